"""CVT-ConvMixer-LSTM on CWT scalograms: is this the pulse of the person whom it claims to be?"""

from typing import TYPE_CHECKING

from vitrail.system import System

if TYPE_CHECKING:
    from ppg_auth.pipeline import PulsePipeline

system = System(
    name="ppg-auth",
    title="CVT-ConvMixer-LSTM",
    summary="Enrols people by their fingertip pulse (PPG) and verifies that they are who they claim to be",
    package="ppg_auth",
    distribution="vitrail-ppg-auth",
    command="ppg-auth",
    job=("quality",),
    paper="Rahman and Banavar, A Hybrid Deep Learning Model for Robust Biometric Authentication from "
    "Low-Frame-Rate PPG Signals, 2025",
)


def load(weights: str | None = None, **options) -> "PulsePipeline":
    """The way from a recording to embeddings: ``load().capture("finger.mp4").usable``; options as
    in PulsePipeline."""
    from ppg_auth.pipeline import load as load_pipeline

    return load_pipeline(weights, **options)
