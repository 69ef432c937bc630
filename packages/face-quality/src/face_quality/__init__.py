"""ViT-FIQA: will a recognition system know this person again from this picture?"""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from face_quality.job import QualityJob

system = System(
    name="face-quality",
    title="ViT-FIQA",
    summary="Says how useful a face image is for recognition",
    package="face_quality",
    distribution="vitrail-face-quality",
    command="face-quality",
    job=("score",),
    paper="Atzori et al., ViT-FIQA: Assessing Face Image Quality using Vision Transformers, "
    "ICCV Workshops 2025",
)


def load(weights: str | None = None, **options: Any) -> "QualityJob":
    """The whole system in one call: ``load().predict("portrait.jpg").faces``; options as in
    ``job.load``."""
    return system.room("job").load(weights, **options)
