"""CVT-ConvMixer-LSTM on CWT scalograms: is this the pulse of the person whom it claims to be?"""

from typing import TYPE_CHECKING

from vitrail.system import System

if TYPE_CHECKING:
    from ppg_auth.job import PulseJob

system = System(
    name="ppg-auth",
    title="CVT-ConvMixer-LSTM",
    summary="Enrols people by their fingertip pulse (PPG) and verifies who they claim to be",
    package="ppg_auth",
    distribution="vitrail-ppg-auth",
    command="ppg-auth",
    job=("quality",),
    paper="Rahman and Banavar, A Hybrid Deep Learning Model for Robust Biometric Authentication "
    "from Low-Frame-Rate PPG Signals, 2025",
)


def load(
    weights: str | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    sample_rate: float | None = None,
    channel: str | None = None,
    health: bool = False,
    patience: float | None = None,
) -> "PulseJob":
    """The way from a recording to embeddings: ``load().predict("finger.mp4").usable``.

    ``weights`` names others than the bundled ones, or a file; ``engine`` and ``device`` are those
    of ``vitrail.engine.prepare``, the others those of ``ppg_auth.job.PulseJob``.
    """
    from vitrail.engine import prepare

    # The rooms know the manifest, so it opens them by name: an import would go in a circle.
    networks = system.room("networks")
    (network,) = networks.load_networks([weights] if weights else [])
    prepared = prepare(network, engine=engine, device=device, tolerance=networks.TOLERANCE)
    options = {"sample_rate": sample_rate, "channel": channel, "health": health}
    return system.room("job").PulseJob(network, prepared, patience=patience, **options)
