"""Who enrols with which recordings, who is verified with which, and recordings cut into captures as
users make them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ppg_auth.data import Take
from ppg_auth.result import MIN_WINDOWS
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.windows import Preprocess, SignalConfig, Windows
from vitrail.errors import InputError, UsageError

POSTURES = ("sitting", "standing")
SETTLING = 1.0  # seconds at the start of a recording that no capture holds


@dataclass(frozen=True)
class Protocol:
    """Templates are made of ``enrol``, a placement per recording; attempts are captures cut from
    ``probe``."""

    name: str
    enrol: tuple[Take, ...]
    probe: tuple[Take, ...]


def protocols(takes: Iterable[Take]) -> list[Protocol]:
    """What can be asked of these recordings: within a posture, across postures, and enrolled in
    both.

    Of recordings without a posture the first of each person enrols. UsageError where nobody has two
    recordings.
    """
    takes = list(takes)
    sitting, standing = (
        by_person(take for take in takes if take.condition == name) for name in POSTURES
    )
    if not (sitting and standing):
        return [_first_and_later("first recording → others", by_person(takes))]
    both = sorted(sitting.keys() & standing.keys())
    within = [
        _first_and_later(f"{name} → {name}, minutes later", people)
        for name, people in zip(POSTURES, (sitting, standing), strict=True)
    ]
    across = Protocol(
        "sitting → standing",
        tuple(take for person in both for take in sitting[person]),
        tuple(take for person in both for take in standing[person]),
    )
    two = Protocol(
        "both postures → both, minutes later",
        tuple(take for person in both for take in (sitting[person][0], standing[person][0])),
        tuple(take for person in both for take in (*sitting[person][1:], *standing[person][1:])),
    )
    return [*within, across, two]


def by_person(takes: Iterable[Take]) -> dict[str, list[Take]]:
    grouped = defaultdict(list)
    for take in takes:
        grouped[take.person].append(take)
    return dict(grouped)


def _first_and_later(name: str, people: dict[str, list[Take]]) -> Protocol:
    several = [takes for takes in people.values() if len(takes) > 1]
    if len(several) < 2:
        raise UsageError(name, "fewer than two people have two recordings", "give more recordings")
    return Protocol(
        name,
        tuple(takes[0] for takes in several),
        tuple(take for takes in several for take in takes[1:]),
    )


@dataclass
class Captures:
    """Recordings cut into captures of some length, each cleaned as if there were nothing around it;
    kept once made."""

    _recordings: dict[Take, Recording] = field(default_factory=dict)
    _cut: dict[tuple, list[Windows | None]] = field(default_factory=dict)

    def of(self, take: Take, signal: SignalConfig, seconds: float) -> list[Windows | None]:
        """The windows of successive captures of ``seconds``; None for one that cannot be used at
        all."""
        key = (take, signal, seconds)
        if key not in self._cut:
            self._cut[key] = [
                _windows(part, signal) for part in cut(self._recording(take), seconds)
            ]
        return self._cut[key]

    def beginning(self, take: Take, signal: SignalConfig, seconds: float | None) -> Windows | None:
        """The windows of a recording's first ``seconds``, or of all of it."""
        recording = self._recording(take)
        return self.of(take, signal, seconds or float(np.ptp(recording.seconds)) - SETTLING)[0]

    def _recording(self, take: Take) -> Recording:
        if take not in self._recordings:
            self._recordings[take] = read_recording(take.path, take.sample_rate)
        return self._recordings[take]


def cut(recording: Recording, seconds: float) -> list[Recording]:
    """Successive captures of ``seconds``, or the whole recording where it is shorter than one."""
    first = recording.seconds[0] + SETTLING
    count = max(1, int((recording.seconds[-1] - first + 0.05) / seconds))
    starts = first + seconds * np.arange(count)
    inside = [
        (recording.seconds >= start) & (recording.seconds < start + seconds) for start in starts
    ]
    return [
        replace(recording, seconds=recording.seconds[kept], values=recording.values[kept])
        for kept in inside
        if kept.any()
    ]


def usable(windows: Windows | None, least: int = MIN_WINDOWS) -> bool:
    """Whether a capture has enough good windows to be compared."""
    return windows is not None and int(windows.good.sum()) >= least


def _windows(recording: Recording, signal: SignalConfig) -> Windows | None:
    try:
        return Preprocess(signal)(recording)
    except InputError:
        return None
