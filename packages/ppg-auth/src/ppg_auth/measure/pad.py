"""How well the checks tell attacks from live fingers: APCER for each kind of attack, BPCER (ISO/IEC
30107-3)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.presentation import attack_signs, is_replay, polarity, sketch
from ppg_auth.measure.attacks import ATTACKS
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.recording import Recording
from ppg_auth.store.vault import new_key
from vitrail.errors import InputError
from vitrail.report import Table

if TYPE_CHECKING:
    from ppg_auth.job import PulseJob
    from ppg_auth.result import Capture

LIVE = "live"
COLUMNS = (
    "presentations",
    "number",
    "error rate",
    "stopped by",
    "of these too poor to be compared",
)


@dataclass(frozen=True)
class _Known:
    """What the system has seen of live fingers: the sensor's polarity, and the captures' sketches
    under ``key``."""

    polarity: int
    sketches: NDArray[np.uint8]
    key: bytes


def evaluate_folder(folder: Path, job: "PulseJob", *, make: bool) -> Table:
    """One row for the live recordings in ``folder/live`` and one for each kind of attack.

    Attacks lie in folders of their own beside ``live``, or are made from the live ones if ``make``
    says so. A live capture is compared with the others as the remembered ones, an attack with all.
    """
    live = {path: read_recording(path) for path in _files(folder / LIVE)}
    captures = {path: job.predict(recording) for path, recording in live.items()}
    key = new_key()
    sketches = {path: sketch(capture, key) for path, capture in captures.items()}
    usual = Counter(polarity(capture) for capture in captures.values()).most_common(1)[0][0]
    signs = []
    for path, capture in captures.items():
        others = [rows for other, rows in sketches.items() if other != path]
        known = _Known(usual, np.concatenate([sketches[path][:0], *others]), key)
        signs.append(_signs(capture, known))
    rows = [_row("live (BPCER)", signs, list(captures.values()), attack=False)]
    known = _Known(usual, np.concatenate(list(sketches.values())), key)
    for kind, recordings in _attacks(folder, live, make):
        shown = [job.predict(recording) for recording in recordings]
        rows.append(
            _row(
                f"{kind} (APCER)", [_signs(capture, known) for capture in shown], shown, attack=True
            )
        )
    return Table(f"Presentation attacks: {folder.name}", COLUMNS, rows)


def _attacks(
    folder: Path, live: dict[Path, Recording], make: bool
) -> Iterator[tuple[str, list[Recording]]]:
    for kind in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != LIVE):
        yield kind.name, [read_recording(path) for path in _files(kind)]
    if make:
        for kind, attack in ATTACKS.items():
            yield f"{kind}, made", [attack(recording) for recording in live.values()]


def _signs(capture: "Capture", known: _Known) -> tuple[str, ...]:
    signs = list(attack_signs(capture))
    if polarity(capture) != known.polarity:
        signs.append("turned")
    if is_replay(sketch(capture, known.key), known.sketches):
        signs.append("replay")
    return tuple(signs)


def _row(
    kind: str, signs: Sequence[tuple[str, ...]], captures: Sequence["Capture"], *, attack: bool
) -> tuple:
    """A presentation that is too poor to be compared gets nobody in, though no check may have
    stopped it."""
    poor = sum(not capture.usable for capture in captures)
    wrong = [
        not found and capture.usable if attack else bool(found)
        for found, capture in zip(signs, captures, strict=True)
    ]
    stopped = Counter(sign for found in signs for sign in found)
    by = ", ".join(f"{sign} {number}" for sign, number in stopped.most_common())
    return (kind, len(signs), float(np.mean(wrong)), by, poor)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(
            folder,
            "is no folder",
            "put live recordings into 'live', attacks into folders beside it",
        )
    if files := sorted(path for path in folder.iterdir() if path.is_file()):
        return files
    raise InputError(folder, "holds no recording", "put some there")
