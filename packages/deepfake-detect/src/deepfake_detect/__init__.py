"""GenConViT: is the face in this video real or fake?"""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepfake_detect.job import DeepfakeJob

system = System(
    name="deepfake-detect",
    title="GenConViT",
    summary="Tells real from manipulated faces in videos and images",
    package="deepfake_detect",
    distribution="vitrail-deepfake-detect",
    command="deepfake-detect",
    paper="Wodajo Deressa et al., Deepfake Video Detection Using Generative Convolutional Vision "
    "Transformer, 2023",
)


def load(weights: "str | Sequence[str] | None" = None, **options: Any) -> "DeepfakeJob":
    """The whole system in one call: ``load().predict("video.mp4").verdict``; the options are those
    of ``job.load``."""
    return system.room("job").load(weights, **options)
