"""GenConViT: is the face in this video real or fake?"""

from typing import TYPE_CHECKING

from vitrail.system import System

if TYPE_CHECKING:
    from deepfake_detect.pipeline import DeepfakePipeline

system = System(
    name="deepfake-detect",
    title="GenConViT",
    summary="Tells real from manipulated faces in videos and pictures",
    package="deepfake_detect",
    distribution="vitrail-deepfake-detect",
    command="deepfake-detect",
    paper="Wodajo Deressa et al., Deepfake Video Detection Using Generative Convolutional Vision Transformer, 2023",
)


def load(net: str | None = None, **options) -> "DeepfakePipeline":
    """The whole system in one call: ``load().predict("video.mp4").verdict``; options as in
    ``pipeline.load``."""
    from deepfake_detect.pipeline import load as load_pipeline

    return load_pipeline(net, **options)
