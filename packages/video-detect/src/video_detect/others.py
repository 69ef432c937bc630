"""Detectors of others, frame by frame, through our tracks and files."""

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from video_detect.film.boxes import likely_objects
from video_detect.film.journal import Journal
from video_detect.film.watch import CHUNK, FilmJob, Options, View
from video_detect.result import FrameRow
from vitrail.detection.others import NAME, OtherDetector
from vitrail.job import Ask
from vitrail.preprocess.frames import FrameSource, chunks


class PerFrameJob(FilmJob):
    """A detector of others: each frame for itself, nothing is remembered but the tracks."""

    def __init__(
        self,
        detector: OtherDetector,
        model: str,
        options: Options,
        *,
        keep_in: Path | None = None,
        resume: bool = False,
    ):
        self.model = model
        networks = {NAME: detector}
        super().__init__(networks, detector.labels, None, options, keep_in=keep_in, resume=resume)

    def _rest(
        self,
        reader: FrameSource,
        view: View,
        indices: Sequence[int],
        done: int,
        journal: Journal | None,
    ) -> Generator[Ask, list, list[FrameRow]]:
        found: list[FrameRow] = []
        for chunk in chunks(reader.frames(indices[done:]), CHUNK):
            answers = yield Ask(NAME, [frame.image for frame in chunk])
            taken = []
            for frame, rows in zip(chunk, answers, strict=True):
                size = (frame.image.shape[1], frame.image.shape[0])
                view.see([size])
                corners = np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:4]), 1)
                numbers = rows[:, 5].astype(int)
                own = likely_objects(corners, rows[:, 4], numbers, size, self.labels, self._lowest)
                time = None if reader.fps is None else frame.time
                taken.append(FrameRow(frame.index, time, self._wanted(own)))
            found += taken
            if journal:
                journal.add(taken, view.sizes)
        return found
