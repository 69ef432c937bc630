"""SSAST: which sounds does this recording hold, and when?"""

from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from audio_classify.job import AudioJob

system = System(
    name="audio-classify",
    title="SSAST",
    summary="Names sounds and when they happen",
    package="audio_classify",
    distribution="vitrail-audio-classify",
    command="audio-classify",
    paper="Gong et al., SSAST: Self-Supervised Audio Spectrogram Transformer, AAAI 2022",
)


def load(weights: str | None = None, **options: Any) -> "AudioJob":
    """The whole system in one call: ``load().predict("rain.wav").labels``; options as in
    ``job.load``."""
    return system.room("job").load(weights, **options)
