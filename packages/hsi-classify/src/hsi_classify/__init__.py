"""LoLA-SpecViT: which material is each pixel of this hyperspectral scene, from a few labels?"""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from hsi_classify.job import SceneJob

system = System(
    name="hsi-classify",
    title="LoLA-SpecViT",
    summary="Names the material of each hyperspectral pixel",
    package="hsi_classify",
    distribution="vitrail-hsi-classify",
    command="hsi-classify",
    paper="LoLA-SpecViT, Int. J. Applied Earth Observation and Geoinformation 144, 2025",
)


def load(weights: str | None = None, **options: Any) -> "SceneJob":
    """The whole system in one call: ``load(labels="points.gpkg").predict("cube.hdr").classes``;
    options as in ``job.load``."""
    return system.room("job").load(weights, **options)
