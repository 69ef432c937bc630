"""A film watched: which of its frames are computed, what is kept of it meanwhile, and the rows that
it becomes."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from video_detect import system
from video_detect.classes import in_names_of
from video_detect.film.between import filled
from video_detect.film.follow import Follower, Numbers, Track
from video_detect.film.journal import Journal
from video_detect.result import FrameRow, Object, Result
from vitrail.errors import VitrailError
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.frames import Arrays, FrameSource, open_frames
from vitrail.preprocess.video import VideoReader
from vitrail.runner import solve
from vitrail.sources import Source

STEP = 32  # sides of what the network sees are multiples of it
CHUNK = 8  # frames that are encoded together
UNSURE = 0.5  # of the threshold: what scores as much may go on with a track
STRETCHED = 1.15  # of the aspect: beyond it a remark says so
SMALL_SIDE = 64  # pixels of a frame, below which a remark says so
TIMELESS_FPS = 25.0  # of frames without time, for how long an object may be gone


@dataclass(frozen=True)
class Options:
    """What changes numbers beside the weights. ``overlap`` frames are shared by two windows;
    ``classes`` empty keeps all; ``every`` computes each so-manieth frame. ``names`` is whose names
    labels have, ours or ImageNet VID's (``vid``)."""

    net: str = "both"
    score: float = 0.3
    classes: tuple[str, ...] = ()
    every: int = 1
    window: int = 8
    overlap: int = 2
    online: bool = False
    track: bool = True
    names: str = "ours"


class FilmJob(ABC):
    """Films in, rows of objects out; how objects are found in frames is the heirs' matter.

    ``labels`` are those that can be found; ``side`` is the longer side of what the network sees,
    None where frames stay as they are. ``keep_in`` and ``resume`` as in ``load``.
    """

    model: str
    version = system.version

    def __init__(
        self,
        networks: Mapping[str, Engine],
        labels: tuple[str, ...],
        side: int | None,
        options: Options,
        *,
        keep_in: Path | None = None,
        resume: bool = False,
    ):
        self.networks, self.side, self.settings = networks, side, options
        self.labels = in_names_of(options.names, labels)
        self.keep_in, self.resume = keep_in, resume

    @property
    def options(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.settings).items()}

    def process(self, source: Source) -> Steps:
        journal = self._journal(source) if self.keep_in else None
        if journal and not self.resume:
            journal.remove()
        with open_frames(source.path) as frames:
            return (yield from self._watch(frames, source.path.name, source.path, journal))

    def predict(self, images: np.ndarray | Path | str) -> Result:
        """The result for a path, or for uint8 RGB of shape (H, W, 3) or (T, H, W, 3)."""
        if isinstance(images, Path | str):
            steps = self.process(Source.of(images))
        else:
            steps = self._watch(Arrays.of(images), "array", None, None)
        return solve(self.networks, steps)

    def forget(self, source: Source) -> None:
        """What was kept of a film for the case that the call is stopped is needed no longer."""
        if self.keep_in:
            with suppress(VitrailError, OSError):  # a source without content has none
                self._journal(source).remove()

    def _journal(self, source: Source) -> Journal:
        weights = {name: engine.weights for name, engine in self.networks.items()}
        facts = {"version": self.version, "weights": weights, "options": self.options}
        assert self.keep_in is not None
        return Journal(self.keep_in, source.fingerprint, facts)

    def _watch(
        self, reader: FrameSource, name: str, path: Path | None, journal: Journal | None
    ) -> Generator[Ask, list, Result]:
        view, every = View(self.side), self.settings.every
        indices = [*range(0, reader.frame_count, every)]
        if indices and indices[-1] != reader.frame_count - 1:
            indices.append(reader.frame_count - 1)
        found, sizes = journal.read() if journal else ([], [])
        if [row.index for row in found] != indices[: len(found)]:
            found, sizes = [], []  # frames could not be read: what was said of them is not kept
            if journal:
                journal.remove()
        view.see(sizes)
        if len(found) < len(indices):
            found += yield from self._rest(reader, view, indices, len(found), journal)
        rows = followed(found, self.settings) if self.settings.track else found
        return Result(
            name=name,
            frames=tuple(self._complete(rows, reader)),
            width=view.first[0],
            height=view.first[1],
            fps=reader.fps,
            labels=self.settings.classes or self.labels,
            damage=tuple(reader.damage),
            reasons=tuple(self._reasons(view, len(rows))),
            path=path,
        )

    @abstractmethod
    def _rest(
        self,
        reader: FrameSource,
        view: "View",
        indices: Sequence[int],
        done: int,
        journal: Journal | None,
    ) -> Generator[Ask, list, list[FrameRow]]:
        """The rows behind the first ``done``, before they are linked to tracks."""

    @property
    def _lowest(self) -> float:
        """The score from which objects are kept for the linking."""
        return self.settings.score * (UNSURE if self.settings.track else 1.0)

    def _wanted(self, objects: Sequence[Object]) -> tuple[Object, ...]:
        classes = self.settings.classes
        return tuple(one for one in objects if not classes or one.label in classes)

    def _complete(self, rows: list[FrameRow], reader: FrameSource) -> list[FrameRow]:
        """A row for every frame: those that were not wanted, or cannot be decoded, from the rows
        beside them, at the file's own times."""
        clock = reader.time if isinstance(reader, VideoReader) else None
        return filled(rows, clock)

    def _reasons(self, view: "View", count: int) -> Iterator[str]:
        if count < self.settings.window and self.settings.net != "single":
            yield f"the film has {count} frames, fewer than the {self.settings.window} of a window"
        if self.settings.every > 1:
            yield f"one frame in {self.settings.every} was computed, those between are interpolated"
        if len(view.sizes) > 1:
            yield f"the frames have {len(view.sizes)} sizes; all were brought to that of the first"
        if min(view.first) < SMALL_SIDE:
            yield f"frames of {view.first[0]} x {view.first[1]} show too little to be sure"
        if view.stretch > STRETCHED:
            yield f"frames were stretched by {view.stretch:.2f} to fit the network"


class View:
    """Frames as the network sees them: all of the size that the first one gets, the longer side at
    ``side``, stretched to multiples of ``STEP``, since boxes are relative; as they are where
    ``side`` is None."""

    def __init__(self, side: int | None):
        self.side = side
        self.sizes: list[tuple[int, int]] = []  # width, height, in the order in which they came up
        self.target = (0, 0)

    @property
    def first(self) -> tuple[int, int]:
        return self.sizes[0] if self.sizes else (0, 0)

    def see(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Frames of these sizes came up."""
        for size in sizes:
            if not self.sizes:
                self.target = self._fitted(size)
            if size not in self.sizes:
                self.sizes.append(size)

    def _fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.side is None:
            return size
        scale = self.side / max(size)
        width, height = (max(STEP, round(n * scale / STEP) * STEP) for n in size)
        return width, height

    def fit(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) to float32 (3, H', W')."""
        height, width = image.shape[:2]
        self.see([(width, height)])
        kind = cv2.INTER_AREA if width > self.target[0] else cv2.INTER_LINEAR
        small = cv2.resize(image, self.target, interpolation=kind)
        return small.transpose(2, 0, 1).astype(np.float32)

    @property
    def stretch(self) -> float:
        """How much the shape of the first frame was changed; at least 1."""
        if not self.sizes:
            return 1.0
        ratio = (self.target[0] / self.first[0]) / (self.target[1] / self.first[1])
        return max(ratio, 1 / ratio)


def followed(rows: Sequence[FrameRow], options: Options) -> list[FrameRow]:
    """The rows with the objects that belong to a track, under its number; those that score less
    than ``options.score`` count only there."""
    follower = Follower(options.score)
    linked: list[list[tuple[Object, Track]]] = []
    for row in rows:
        time = row.index / TIMELESS_FPS if row.time is None else row.time
        unsure = options.score * UNSURE
        linked.append(follower.follow([one for one in row.objects if one.score >= unsure], time))
    numbers = Numbers(2 if len(rows) > 2 and not options.online else 1)
    return [
        replace(row, objects=numbers.number(own)) for row, own in zip(rows, linked, strict=True)
    ]
