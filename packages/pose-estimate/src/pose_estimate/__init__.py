"""EViTPose and UniTransPose: people and their joints in photographs and films."""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from pose_estimate.job import PoseJob

system = System(
    name="pose-estimate",
    title="EViTPose and UniTransPose",
    summary="Finds people and their joints, at the cost that you choose",
    package="pose_estimate",
    distribution="vitrail-pose-estimate",
    command="pose-estimate",
    paper="Kinfu and Vidal, Transformers with Joint Tokens and Local-Global Attention for "
    "Efficient Human Pose Estimation, IEEE TPAMI 2026",
)


def load(weights: str | None = None, **options: Any) -> "PoseJob":
    """The whole system in one call: ``load().predict("street.jpg").people``; options as in
    ``job.load``."""
    return system.room("job").load(weights, **options)
