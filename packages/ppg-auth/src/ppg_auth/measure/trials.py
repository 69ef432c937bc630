"""Networks, each measured on people whom it never saw, and what was measured joined to one table's
worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ppg_auth.data import Take
from ppg_auth.measure.figures import Attempts, Placement, Scorer, compare, plain, protected
from ppg_auth.measure.protocols import Captures, protocols, usable
from ppg_auth.networks import PulseNetwork, embed
from ppg_auth.result import MIN_WINDOWS
from ppg_auth.signal.beats import MIN_BEATS, cut_beats, mean_beat, systolic_peaks
from ppg_auth.signal.windows import SignalConfig, Windows

CAMERA_RATE = 14.0
ATTEMPT = 20.0  # seconds of a usual attempt

Measured = Mapping[str, Attempts]  # by protocol


@dataclass(frozen=True)
class Trial:
    """A network and the recordings of people whom it never saw."""

    network: PulseNetwork
    takes: Sequence[Take]
    captures: Captures = field(default_factory=Captures)
    _rows: dict[tuple[str, int], NDArray] = field(default_factory=dict)

    def rows(self, way: "Way", windows: Windows) -> NDArray[np.float32]:
        """What ``way`` makes of windows that ``captures`` gave, computed once."""
        key = (way.rows_name, id(windows))
        if key not in self._rows:
            self._rows[key] = way.rows(windows)
        return self._rows[key]


@dataclass(frozen=True)
class Way:
    """A way to compare: how recordings are cleaned, what is made of their windows (rows), and how
    rows are scored.

    Ways of one ``rows_name`` make the same rows.
    """

    rows_name: str
    signal: SignalConfig
    rows: Callable[[Windows], NDArray[np.float32]]
    scorer: Scorer


def shipped(network: PulseNetwork) -> Way:
    """As the command does."""
    return Way(
        "network",
        network.checkpoint.signal,
        lambda windows: embed(network.module, windows),
        protected,
    )


def unprotected(network: PulseNetwork) -> Way:
    """The embeddings by their cosine."""
    return Way(
        "network", network.checkpoint.signal, lambda windows: embed(network.module, windows), plain
    )


def at_camera_rate(network: PulseNetwork) -> Way:
    """The same from 14 samples per second."""
    signal = replace(network.checkpoint.signal, grid=CAMERA_RATE)
    return Way("camera", signal, lambda windows: embed(network.module, windows), plain)


def with_share(share: float) -> Callable[[PulseNetwork], Way]:
    """The embeddings of networks in which the beat expert counts ``share``."""

    def way(network: PulseNetwork) -> Way:
        def rows(windows: Windows) -> NDArray[np.float32]:
            from ppg_auth.model import PulseNet

            module = network.module
            assert isinstance(module, PulseNet)
            kept = module.share.item()
            module.share.fill_(share)
            embedded = embed(module, windows)
            module.share.fill_(kept)
            return embedded

        return Way(f"share {share}", network.checkpoint.signal, rows, plain)

    return way


def template(network: PulseNetwork) -> Way:
    """The mean beat of a whole capture: what a network must beat."""
    return Way("template", TEMPLATE_SIGNAL, mean_beat_of, plain)


def measure(
    trials: Sequence[Trial],
    way_of: Callable[[PulseNetwork], Way],
    seconds: float = ATTEMPT,
    enrolment: float | None = None,
) -> Measured:
    """The attempts of all trials, each of ``seconds``, against templates of the first ``enrolment``
    seconds, or of all.

    Each network's people are compared among themselves. Captures that are not usable are left out.
    """
    parts: dict[str, list[Attempts]] = {}
    for trial in trials:
        way, captures = way_of(trial.network), trial.captures
        least = min(MIN_WINDOWS, windows_in(seconds, way.signal))
        for protocol in protocols(trial.takes):
            enrolled = [
                _placement(
                    trial, way, take, captures.beginning(take, way.signal, enrolment), MIN_WINDOWS
                )
                for take in protocol.enrol
            ]
            attempts = [
                _placement(trial, way, take, capture, least)
                for take in protocol.probe
                for capture in captures.of(take, way.signal, seconds)
            ]
            parts.setdefault(protocol.name, []).append(compare(enrolled, attempts, way.scorer))
    return {name: Attempts.joined(found) for name, found in parts.items()}


def windows_in(seconds: float, signal: SignalConfig) -> int:
    """How many windows a capture has at best."""
    return int((seconds - signal.window) / signal.hop) + 1


def failure_to_acquire(trials: Sequence[Trial], seconds: float, protocol: str) -> float:
    """The share of a protocol's captures of ``seconds`` that are not usable."""
    found = [
        usable(capture, min(MIN_WINDOWS, windows_in(seconds, trial.network.checkpoint.signal)))
        for trial in trials
        for tried in protocols(trial.takes)
        if tried.name == protocol
        for take in tried.probe
        for capture in trial.captures.of(take, trial.network.checkpoint.signal, seconds)
    ]
    return 1 - float(np.mean(found)) if found else float("nan")


def _placement(
    trial: Trial, way: Way, take: Take, capture: Windows | None, least: int
) -> Placement:
    rows = np.empty((0, 0), np.float32)
    if capture is not None and usable(capture, least):
        rows = trial.rows(way, capture)
    return Placement(take.person, take.sensor, rows)


TEMPLATE = "mean-beat template"
TEMPLATE_SIGNAL = SignalConfig(band=(0.5, 8.0))


def mean_beat_of(windows: Windows) -> NDArray[np.float32]:
    """The mean beat (1, 64) of a whole capture, of norm 1, or nothing (0, 64): compared by
    cosine."""
    beats = cut_beats(windows.pulse, systolic_peaks(windows.pulse, windows.rate))
    if len(beats) < MIN_BEATS:
        return np.empty((0, beats.shape[1]), np.float32)
    return mean_beat(beats)[None].astype(np.float32)
