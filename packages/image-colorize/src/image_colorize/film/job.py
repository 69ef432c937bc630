"""The job on films: each frame coloured with the hints that are carried to it, steadied along the
motion, and written with the film's own times and sound."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from image_colorize import system
from image_colorize.film.carry import Course
from image_colorize.film.flow import Flow, Motion, small
from image_colorize.film.result import FilmResult
from image_colorize.film.steady import Steady
from image_colorize.hints import Hint, HintFile, read_hints
from image_colorize.job import ColorizeJob
from image_colorize.merge import merge
from image_colorize.placing import free_place, holds
from image_colorize.result import PALE
from image_colorize.seen import COLOURED, look, network_input, place
from vitrail.errors import InputError
from vitrail.job import Ask, Steps
from vitrail.preprocess.frames import chunks
from vitrail.preprocess.remake import FilmWriter
from vitrail.preprocess.video import Frame, VideoReader, open_video
from vitrail.sources import Source, sha256

TOGETHER = 8  # frames that wait for the network at full size
MAX_HINTS = 500  # of a film: each is carried over every frame
PARTIAL = ".partial.mp4"


@dataclass
class _Sums:
    """What is told of all frames."""

    frames: int = 0
    chroma: float = 0.0
    own_colour: float = 0.0
    outside: int = 0


class FilmJob:
    """Films in, coloured films out. A source is a film, or a film and its hint file.

    ``wished`` says where a source's film should go; one that is there stays, unless ``overwrite``,
    or where ``renewable`` names it as made of the same source before; no source is ever replaced.
    What an interruption leaves is ``NAME.partial.mp4``.
    """

    model, version = system.name, system.version

    def __init__(
        self,
        job: ColorizeJob,
        wished: Callable[[Source], Path],
        *,
        overwrite: bool = False,
        barred: Iterable[Path] = (),
        renewable: Callable[[Source], Path | None] = lambda source: None,
    ):
        self.job, self._wished, self._renewable = job, wished, renewable
        self._overwrite, self._barred = overwrite, list(barred)
        self.networks = job.networks
        self.options: Mapping[str, Any] = job.options

    def process(self, source: Source) -> Steps:
        """One film from its file to the coloured one."""
        path, *more = source.paths
        wanted = read_hints(more[0], self.job.settings.colours) if more else HintFile(())
        if len(wanted.hints) > MAX_HINTS:
            problem = f"holds {len(wanted.hints)} hints"
            raise InputError(more[0], problem, f"a film takes {MAX_HINTS}")
        wished = self._wished(source)
        with (
            open_video(path) as film,
            open_video(path) as looked_ahead,
            _partial(wished) as partial,
        ):
            damage, reasons = _of_hints(film, wanted.hints)
            if wanted.sha256 and wanted.sha256 != (sha256(path) if more else source.fingerprint):
                damage.append("the hints were made for another film")
            course, steady, sums = Course(looked_ahead, wanted.hints), Steady(), _Sums()
            with FilmWriter(partial, film) as writer:
                yield from self._coloured(film, course, steady, sums, writer)
            written = self._placed(source, partial, wished)
        chroma = sums.chroma / sums.frames
        if sums.own_colour / sums.frames > COLOURED:
            reasons.append("the film has colours of its own, which were dropped")
        if chroma < PALE:
            reasons.append("hardly any colour was found: a hint where you know the colour helps")
        return FilmResult(
            source.name,
            written,
            sha256(written),
            film.width,
            film.height,
            sums.frames,
            film.duration,
            steady.cuts,
            course.tracks,
            chroma,
            sums.outside,
            steady.flicker,
            steady.flicker_alone,
            damage=(*film.damage, *writer.damage, *damage),
            reasons=tuple(reasons),
        )

    def _coloured(
        self, film: VideoReader, course: Course, steady: Steady, sums: _Sums, writer: FilmWriter
    ) -> Steps:
        job, motions = self.job, _Motions()
        for frames in chunks(film.frames(range(film.frame_count)), TOGETHER):
            seen = [look(frame.image, job.size) for frame in frames]
            moved = [motions(frame) for frame in frames]
            placed = [
                place(course.at(frame.index, motion), one.lightness, job.shape)
                for frame, motion, one in zip(frames, moved, seen, strict=True)
            ]
            rows = yield Ask(
                job.name,
                [
                    network_input(one.lightness, here, job.shape)
                    for one, here in zip(seen, placed, strict=True)
                ],
            )
            for frame, motion, one, here, row in zip(
                frames, moved, seen, placed, rows, strict=True
            ):
                chroma = steady(job.answered(row, one.lightness, here), motion)
                chroma = chroma * np.float32(job.settings.strength)
                merged = merge(frame.image, chroma, guided=job.settings.upsampling == "guided")
                writer.add(merged.rgb, frame.time, _duration(film, frame.index))
                sums.frames += 1
                sums.chroma += float(np.hypot(chroma[..., 0], chroma[..., 1]).mean())
                sums.own_colour += one.own_colour
                sums.outside += merged.outside

    def _placed(self, source: Source, made: Path, wished: Path) -> Path:
        target = self._renewable(source) or free_place(
            wished, made, overwrite=self._overwrite, barred=self._barred
        )
        if target is None:
            raise InputError(source.name, "has too many coloured copies there", "move some away")
        if not holds(target, made):
            made.replace(target)
        return target


@dataclass
class _Motions:
    """The motion to each frame from the one before it; None on the first."""

    _flow: Flow = field(default_factory=Flow)
    _before: np.ndarray | None = None

    def __call__(self, frame: Frame) -> Motion | None:
        now, before = small(frame.image), self._before
        self._before = now
        return None if before is None else self._flow.between(before, now)


@contextmanager
def _partial(wished: Path) -> Iterator[Path]:
    """The path of a film in the making; after an error it goes, after an interruption it stays."""
    number = 1
    while (path := wished.with_name(_numbered(wished.stem, number) + PARTIAL)).exists():
        number += 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot be written: {(error.strerror or str(error)).lower()}"
        raise InputError(path, problem, "choose another output folder") from error
    try:
        yield path
    except Exception:
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)  # where the same film was there already


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"


def _of_hints(film: VideoReader, hints: Sequence[Hint]) -> tuple[list[str], list[str]]:
    """What is wrong with the hints' times, and what was taken for granted."""
    damage, reasons = list[str](), list[str]()
    for number, hint in enumerate(hints, start=1):
        if hint.time is not None and hint.time > film.duration:
            damage.append(f"hint {number} lies behind the film's end; it counts for the last frame")
    if untimed := sum(hint.time is None for hint in hints):
        reasons.append(f"{untimed} hints without a time count for the first frame")
    return damage, reasons


def _duration(film: VideoReader, index: int) -> float:
    if index + 1 < film.frame_count:
        return film.time(index + 1) - film.time(index)
    return 1 / film.fps
