"""SSAST: which sounds does this recording hold, and when?"""

from typing import TYPE_CHECKING

from vitrail.system import System

if TYPE_CHECKING:
    from pathlib import Path

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


def load(
    weights: str | None = None,
    *,
    labels: "Path | None" = None,
    engine: str = "auto",
    device: str = "auto",
    **options,
) -> "AudioJob":
    """The whole system in one call: ``load().predict("rain.wav").labels``.

    ``weights`` is a catalogued name or a file (default: ``sounds``), ``labels`` a file with the
    class names of an official checkpoint; ``options`` are those of ``job.Options``.
    """
    from audio_classify.job import AudioJob, Options
    from audio_classify.networks import load_network

    network = load_network(weights or "sounds", labels)
    return AudioJob(network, Options(**options), engine=engine, device=device)
