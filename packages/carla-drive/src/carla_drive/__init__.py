"""LeTFuser drives: RGB and depth of three cameras to steering, throttle and brake."""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from carla_drive.job import PerceptionJob

system = System(
    name="carla-drive",
    title="LeTFuser",
    summary="Drives routes by camera, in CARLA or in a world that comes along",
    package="carla_drive",
    distribution="vitrail-carla-drive",
    command="carla-drive",
    job=("perceive",),
    paper="Agand et al., LeTFuser: Light-weight End-to-end Transformer-Based Sensor Fusion for "
    "Autonomous Driving with Multi-Task Learning, 2023",
)


def load(weights: str | None = None, **options: Any) -> "PerceptionJob":
    """What the network sees in single frames: ``load().predict("street.jpg").semantics``; options
    as in ``job.load``."""
    return system.room("job").load(weights, **options)
