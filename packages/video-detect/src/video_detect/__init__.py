"""TGBFormer: which objects are in this film, and where, in every frame?"""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from video_detect.film.watch import FilmJob

system = System(
    name="video-detect",
    title="TGBFormer",
    summary="Finds and follows objects in films",
    package="video_detect",
    distribution="vitrail-video-detect",
    command="video-detect",
    paper="Qi and Wang, TGBFormer: Transformer-GraphFormer Blender Network for Video Object "
    "Detection, AAAI 2025",
)


def load(weights: str | None = None, **options: Any) -> "FilmJob":
    """The whole system in one call: ``load().predict("street.mp4").frames``; options as in
    ``job.load``."""
    return system.room("job").load(weights, **options)
