"""The job: a recording in, the embeddings of its good windows out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppg_auth import system
from ppg_auth.networks import PulseNetwork
from ppg_auth.result import Capture, too_short
from ppg_auth.signal.reading import read_source
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.windows import Preprocess
from ppg_auth.store.template import DIM
from vitrail.errors import InputError
from vitrail.job import Ask, Engine, Steps
from vitrail.runner import solve
from vitrail.sources import Source

CHUNK = 64  # windows that wait together for the network; a long recording has thousands


class PulseJob:
    """Recordings in, captures out.

    ``sample_rate`` in Hz is for files that tell no times, ``channel`` names the column of the pulse
    where the columns' names do not tell; ``health`` lets results tell the heart
    rate; ``patience`` is for how many seconds a video is decoded.
    """

    model = system.title

    def __init__(
        self,
        network: PulseNetwork,
        engine: Engine,
        *,
        sample_rate: float | None = None,
        channel: str | None = None,
        health: bool = False,
        patience: float | None = None,
    ):
        self.network, self.patience = network, patience
        self.version = system.version
        self.networks: Mapping[str, Engine] = {"pulse": engine}
        self.options: Mapping[str, Any] = {
            "sample_rate": sample_rate,
            "channel": channel,
            "health": health,
        }
        self.preprocess = Preprocess(network.checkpoint.signal)

    def process(self, source: Source) -> Steps:
        """Reads the whole recording, cleans it, and asks for an embedding per good window."""
        rate, channel = self.options["sample_rate"], self.options["channel"]
        recording = read_source(source, rate, self.patience, channel)
        return (yield from self._look(source.name, recording))

    def predict(self, recording: Recording | Path | str) -> Capture:
        """The capture of a file, or of a recording in memory; InputError where either cannot be
        used."""
        if isinstance(recording, Recording):
            steps = self._look("recording", recording)
        else:
            steps = self.process(Source.of(recording))
        return solve(self.networks, steps)

    def _look(self, name: str, recording: Recording) -> Steps:
        try:
            windows = self.preprocess.cut(recording)
        except InputError as error:
            raise InputError(name, error.problem, error.remedy) from error
        items, rows = windows.items[windows.good], []
        for start in range(0, len(items), CHUNK):
            rows += yield Ask("pulse", list(items[start : start + CHUNK]))
        found = {reason for reasons in windows.reasons for reason in reasons}
        if too_short(windows):
            found.add("short")
        return Capture(
            source=name,
            embeddings=np.array(rows, np.float32).reshape(-1, DIM),
            windows=windows,
            reasons=tuple(sorted(found)),
            config=self.network.checkpoint.config,
            notes=recording.notes,
            health=self.options["health"],
        )
