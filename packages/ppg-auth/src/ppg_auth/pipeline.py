"""The way from a recording to embeddings: read, cut into good windows, look at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ppg_auth import system
from ppg_auth.capture import Capture
from ppg_auth.model import EMBED_DIM
from ppg_auth.networks import PulseNetwork, load_networks
from ppg_auth.preprocess import Preprocess, Windows
from ppg_auth.recording import Recording, read_recording
from vitrail.engine import prepare
from vitrail.errors import InputError
from vitrail.pipeline import Pipeline, compute

BATCH = 16
TOLERANCE = 0.01  # of an embedding's components; cosines then change by at most as much


@dataclass(frozen=True)
class Sample:
    """One recording, cut into windows."""

    source: Path
    windows: Windows
    notes: tuple[str, ...]


class PulsePipeline(Pipeline[Sample, Capture]):
    """Recordings in, captures out.

    ``sample_rate`` in Hz is for files that tell no times; ``health`` lets results tell the heart
    rate; ``patience`` is for how many seconds a video is decoded.
    """

    def __init__(
        self,
        network: PulseNetwork,
        *,
        engine: str = "eager",
        device: str = "auto",
        sample_rate: float | None = None,
        health: bool = False,
        patience: float | None = None,
    ):
        self.network, self.sample_rate, self.health, self.patience = (
            network,
            sample_rate,
            health,
            patience,
        )
        self.preprocess = Preprocess(network.signal)
        self.engine = prepare(
            network.module,
            engine=engine,
            device=device,
            tolerance=TOLERANCE,
            key=network.weights.sha256,
        )

    def settings(self) -> dict:
        return {
            "model": system.title,
            "version": system.version,
            "weights": {self.network.name: self.network.weights.sha256},
            "sample_rate": self.sample_rate,
            "health": self.health,
        }

    def runtime(self) -> dict:
        return {"device": self.engine.device, "engine": self.engine.name}

    def capture(self, source: Recording | Path | str) -> Capture:
        """The capture of a file, or of a recording in memory; InputError where either cannot be
        used."""
        sample = (
            self._cut(Path("recording"), source)
            if isinstance(source, Recording)
            else self.read(Path(source))
        )
        return compute(self, sample, batch_size=BATCH)

    def read(self, source: Path) -> Sample:
        return self._cut(source, read_recording(source, self.sample_rate, patience=self.patience))

    def items(self, sample: Sample) -> Iterator[Tensor]:
        yield from torch.from_numpy(sample.windows.items[sample.windows.good])

    def infer(self, batch: Tensor) -> Tensor:
        """Unit embeddings (B, 128)."""
        return self.engine(batch)

    def collect(self, sample: Sample, outputs: Tensor) -> Capture:
        found = {reason for reasons in sample.windows.reasons for reason in reasons}
        return Capture(
            source=sample.source,
            embeddings=outputs.reshape(-1, EMBED_DIM).float().numpy(),
            windows=sample.windows,
            reasons=(*sample.notes, *sorted(found)),
            transform=self.network.module.scalogram,
            health=self.health,
        )

    def _cut(self, source: Path, recording: Recording) -> Sample:
        try:
            return Sample(source, self.preprocess(recording), recording.notes)
        except InputError as error:
            raise InputError(source, error.problem, error.remedy) from error


def load(weights: str | None = None, **options) -> PulsePipeline:
    """The whole way in one call: ``load().capture("finger.mp4").usable``; ``options`` as in
    PulsePipeline."""
    return PulsePipeline(load_networks([weights] if weights else [])[0], **options)
