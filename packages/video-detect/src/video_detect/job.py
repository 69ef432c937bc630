"""The job: each frame is encoded once, windows of what is remembered are detected together, and
objects are followed through the film."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from video_detect.classes import SCHEMES, in_names_of
from video_detect.film.boxes import objects
from video_detect.film.journal import Journal
from video_detect.film.watch import CHUNK, FilmJob, Options, View
from video_detect.film.windows import Window, Windows
from video_detect.networks import BUNDLED, NETS, Detector, load_detector
from video_detect.others import PerFrameJob
from video_detect.result import FrameRow
from vitrail.detection.others import OtherDetector, is_other, load_other
from vitrail.engine import prepare
from vitrail.errors import UsageError
from vitrail.job import Ask
from vitrail.preprocess.frames import FrameSource, chunks

OTHER_SCORE = 0.3  # of detectors of others, where none is asked for
TOLERANCE = 0.05  # of a logit or of a value that is remembered


@dataclass(frozen=True)
class Remembered:
    """A frame that was encoded: what is kept of it."""

    index: int
    time: float | None
    size: tuple[int, int]  # width, height
    memory: np.ndarray


class VideoJob(FilmJob):
    """TGBFormer over the windows of a film."""

    model = "TGBFormer"

    def __init__(
        self,
        detector: Detector,
        options: Options,
        *,
        engine: str = "auto",
        device: str = "auto",
        keep_in: Path | None = None,
        resume: bool = False,
    ):
        self.detector, facts = detector, detector.facts
        networks = {
            network.name: prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
            for network in (detector.frame, detector.clip)
        }
        super().__init__(
            networks, facts.labels, facts.side, options, keep_in=keep_in, resume=resume
        )

    def _rest(
        self,
        reader: FrameSource,
        view: View,
        indices: Sequence[int],
        done: int,
        journal: Journal | None,
    ) -> Generator[Ask, list, list[FrameRow]]:
        found: list[FrameRow] = []
        overlap, causal = self.settings.overlap, self.settings.online
        windows: Windows[Remembered] = Windows(
            self.settings.window, overlap, causal=causal, done=done
        )
        # In the same chunks as without a stop, so that the numbers are the same to the last bit.
        position = windows.begin - windows.begin % CHUNK
        for chunk in chunks(reader.frames(indices[position:]), CHUNK):
            rows = yield Ask(self.detector.frame.name, [view.fit(frame.image) for frame in chunk])
            for frame, memory in zip(chunk, rows, strict=True):
                time = None if reader.fps is None else frame.time
                size = (frame.image.shape[1], frame.image.shape[0])
                window = windows.push(
                    Remembered(frame.index, time, size, np.array(memory)), position
                )
                position += 1
                if window:
                    found += yield from self._detect(window, view, journal)
        if window := windows.finish():
            found += yield from self._detect(window, view, journal)
        return found

    def _detect(
        self, window: Window[Remembered], view: View, journal: Journal | None
    ) -> Generator[Ask, list, list[FrameRow]]:
        item = np.stack([frame.memory for frame in window.frames])
        (row,) = yield Ask(self.detector.clip.name, [item])
        logits, boxes = row
        taken = []
        for place in range(window.begin, window.end):
            frame = window.frames[place]
            own = objects(logits[place], boxes[place], frame.size, self.labels, self._lowest)
            taken.append(FrameRow(frame.index, frame.time, self._wanted(own)))
        if journal:
            journal.add(taken, view.sizes)
        return taken


def load(
    weights: str | None = None,
    *,
    detector: str | None = None,
    net: str | None = None,
    score: float | None = None,
    classes: Sequence[str] = (),
    every: int = 1,
    online: bool = False,
    track: bool = True,
    names: str = "ours",
    engine: str = "auto",
    device: str = "auto",
    keep_in: Path | None = None,
    resume: bool = False,
) -> FilmJob:
    """The job with the bundled weights, with those named, or with a ``detector`` of others.

    Detectors of others (``vitrail.detection.others``, and released checkpoints of Deformable DETR
    and TransVOD) judge each frame for itself.
    ``names`` is ours or vid, by which labels are called and ``classes`` given.
    ``net`` is both, transformer, graph or single (no memory), None what the weights are for;
    ``score`` None is the threshold that comes with them. ``keep_in`` is the folder in which what is
    known of each film is kept while it is watched; with ``resume`` films that were begun there are
    gone on with. Raises UsageError for classes that the network does not know and for what does not
    go together, and as ``load_detector`` and ``load_other`` do.
    """
    if names not in SCHEMES:
        raise UsageError(names, "is nobody's names", f"use one of {', '.join(SCHEMES)}")
    if net not in (None, *NETS):
        raise UsageError(net, "is not a net", f"use one of {', '.join(NETS)}")
    same = Options(
        score=OTHER_SCORE if score is None else score,
        classes=tuple(classes),
        every=every,
        online=online,
        track=track,
        names=names,
    )
    if detector is not None:
        if weights is not None or net not in (None, "single"):
            problem = "brings its own weights and has no memory"
            raise UsageError(detector, problem, "leave out --weights and --net")
        other = _other(detector, device)
        _check_classes(same, other.labels)
        options = replace(same, net="single", window=1, overlap=0)
        name = Path(detector.partition("=")[0]).name
        return PerFrameJob(other, name, options, keep_in=keep_in, resume=resume)
    own = load_detector(weights or BUNDLED, net)
    if score is None:
        same = replace(same, score=own.facts.score)
    return own_job(own, same, engine=engine, device=device, keep_in=keep_in, resume=resume)


def _other(spec: str, device: str) -> OtherDetector:
    if is_other(spec) or not Path(spec).is_file():
        return load_other(spec, device)
    from video_detect.released import Released

    return Released(Path(spec), device)


def own_job(detector: Detector, options: Options, **where: Any) -> VideoJob:
    """With windows as the weights want them; ``where`` as in ``load``."""
    _check_classes(options, detector.facts.labels)
    size = int(detector.facts.config["window"]) if detector.net != "single" else 1
    sized = replace(options, net=detector.net, window=size, overlap=size // 4)
    return VideoJob(detector, sized, **where)


def _check_classes(options: Options, labels: Sequence[str]) -> None:
    known = in_names_of(options.names, labels)
    for name in options.classes:
        if name not in known:
            there = ", ".join(known)
            raise UsageError(name, "is not a class of this network", f"there are {there}")
