"""Labelled videos and images judged by the whole job, and what came of it as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from deepfake_detect.data.labelled import LABELS, Labelled, read_labelled
from deepfake_detect.job import DeepfakeJob
from deepfake_detect.measure.figures import MEASURES, VERDICTS, auc, measures, verdicts
from deepfake_detect.model import FAKE, REAL
from deepfake_detect.result import Result
from vitrail.errors import VitrailError
from vitrail.job import Failure
from vitrail.preprocess.video import open_video
from vitrail.report import Table
from vitrail.runner import run
from vitrail.sources import VIDEO_SUFFIXES, Source

BATCH = 16
BITS = "bits per pixel alone"
MAX_EACH = 40  # sources that get a row each


@dataclass(frozen=True)
class Judged:
    """A labelled source and its result, or the failure of reading it."""

    file: Labelled
    result: Result | Failure

    @property
    def verdict(self) -> str:
        return "FAILED" if isinstance(self.result, Failure) else self.result.verdict.label.value

    @property
    def score(self) -> float:
        """P(fake), NaN where nobody could be judged."""
        if isinstance(self.result, Failure) or self.result.verdict.score is None:
            return float("nan")
        return self.result.verdict.score

    @property
    def frame_scores(self) -> list[float]:
        """For each frame with a face, P(fake) of its most suspicious one."""
        worst: dict[int, float] = {}
        for seen in () if isinstance(self.result, Failure) else self.result.observations:
            worst[seen.frame] = max(seen.score, worst.get(seen.frame, 0.0))
        return list(worst.values())


def judge_sources(job: DeepfakeJob, source: Path) -> list[Judged]:
    """Every file of a labelled folder or list, judged by ``job``."""
    return judge_files(job, read_labelled(source))


def judge_files(job: DeepfakeJob, files: Sequence[Labelled]) -> list[Judged]:
    sources = [Source.of(file.path) for file in files]
    results = run(job, sources, batch_size=BATCH)
    return [Judged(file, result) for file, (_, result) in zip(files, results, strict=True)]


def source_tables(
    title: str,
    by_scorer: Mapping[str, Sequence[Judged]],
    manipulations: Mapping[str, str] | None = None,
) -> list[Table]:
    """Figures over sources and over frames beside those of the bits per pixel alone, the verdicts,
    and a row for each source where they are few.

    ``manipulations`` names what was done to the fakes, by patterns of their file names, where their
    list does not tell; each gets a row against all real sources.
    """
    rows, verdict_rows = [], []
    for scorer, judged in by_scorer.items():
        for unit, scores, labels, groups in (
            ("sources", *_sources(judged)),
            ("frames", *_frames(judged)),
        ):
            known = ~np.isnan(scores)
            figures = measures(scores[known], labels[known], groups[known])
            rows.append((scorer, unit, int(known.sum()), *figures))
        verdict_rows.append((scorer, len(judged), *_verdicts(judged)))
    rows.append(_bits_alone(next(iter(by_scorer.values()))))
    tables = [
        Table(f"{title}: scores", ("scorer", "of", "number", *MEASURES), rows),
        Table(f"{title}: verdicts", ("scorer", "sources", *VERDICTS), verdict_rows),
    ]
    by_kind = _by_manipulation(title, by_scorer, manipulations or {})
    if by_kind.rows:
        tables.append(by_kind)
    first = next(iter(by_scorer.values()))
    return [*tables, _each(title, by_scorer)] if len(first) <= MAX_EACH else tables


def _bits_alone(judged: Sequence[Judged]) -> tuple:
    """What a file's size alone tells: the fewer bits it has for a pixel, the more it is a fake."""
    bits = np.array([_bits_per_pixel(one.file.path) for one in judged])
    _, labels, groups = _sources(judged)
    known = ~np.isnan(bits)
    figures = measures(-bits[known], labels[known], groups[known])
    return (BITS, "videos", int(known.sum()), *figures[:-1], None)  # it has no 0.5


def _bits_per_pixel(path: Path) -> float:
    """NaN for what is no video, or broken."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return float("nan")
    try:
        with open_video(path) as video:
            pixels = video.frame_count * video.width * video.height
    except VitrailError:
        return float("nan")
    return 8 * path.stat().st_size / pixels


def _by_manipulation(
    title: str, by_scorer: Mapping[str, Sequence[Judged]], manipulations: Mapping[str, str]
) -> Table:
    rows = []
    for scorer, judged in by_scorer.items():
        real = [one for one in judged if one.file.label == REAL]
        by_kind: dict[str, list[Judged]] = {}
        for one in judged:
            if one.file.label == FAKE and (kind := _kind(one.file, manipulations)):
                by_kind.setdefault(kind, []).append(one)
        for name, fakes in sorted(by_kind.items()):
            scores, labels, _ = _sources([*real, *fakes])
            of_frames, frame_labels, _ = _frames([*real, *fakes])
            known = ~np.isnan(scores)
            rows.append((
                name, scorer, len(fakes), auc(labels[known] == FAKE, scores[known]),
                auc(frame_labels == FAKE, of_frames), *_counts(fakes),
            ))  # fmt: skip
        if by_kind:
            rows.append(("none: the real ones", scorer, len(real), None, None, *_counts(real)))
    columns = (
        "manipulation",
        "scorer",
        "sources",
        "AUC of sources",
        "AUC of frames",
        "FAKE",
        "UNDECIDED",
        "REAL",
    )
    return Table(f"{title}: by manipulation, against all real sources", columns, rows)


def _kind(file: Labelled, manipulations: Mapping[str, str]) -> str:
    """What was done to a fake; empty where nobody says."""
    named = (kind for pattern, kind in manipulations.items() if fnmatch(file.path.name, pattern))
    return file.kind or next(named, "")


def _counts(judged: Sequence[Judged]) -> list[int]:
    found = [one.verdict for one in judged]
    return [found.count(verdict) for verdict in ("FAKE", "UNDECIDED", "REAL")]


def _sources(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, label and group of each source."""
    scores = np.array([one.score for one in judged])
    return scores, np.array([one.file.label for one in judged]), np.arange(len(judged))


def _frames(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, label and group of each frame; a source's frames are one group."""
    frames = [
        (score, one.file.label, group)
        for group, one in enumerate(judged)
        for score in one.frame_scores
    ]
    scores, labels, groups = np.array(frames).reshape(-1, 3).T
    return scores, labels.astype(int), groups.astype(int)


def _verdicts(judged: Sequence[Judged]) -> tuple[float, ...]:
    scores, labels, _ = _sources(judged)
    done = [one.result for one in judged if isinstance(one.result, Result)]
    return verdicts(scores, labels, done[0].thresholds)


def _each(title: str, by_scorer: Mapping[str, Sequence[Judged]]) -> Table:
    names = {label: name for name, label in LABELS.items()}
    rows = [
        (
            one.file.path.name,
            names[one.file.label],
            scorer,
            one.score,
            one.verdict,
            len(one.frame_scores),
        )
        for scorer, judged in by_scorer.items()
        for one in judged
    ]
    return Table(
        f"{title}: each",
        ("source", "label", "scorer", "P(fake)", "verdict", "frames with a face"),
        rows,
    )
