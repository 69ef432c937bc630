"""One image that somebody is colouring: hints come, move and go, and each picture of it is computed
from what they are then."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from image_colorize.hints import Hint, HintFile
from image_colorize.job import ColorizeJob
from image_colorize.merge import merge
from image_colorize.result import Result
from image_colorize.seen import Seen, look, place
from vitrail.preprocess.image_whole import WholeImage
from vitrail.runner import Compute, solve

Hints = tuple[Hint, ...]


class Session:
    """An image (H, W) or (H, W, 3), uint8 or uint16 sRGB, and its hints, for any number of threads.

    Every change can be undone. ``networks`` compute in place of the job's own, as a service shares
    them between its callers.
    """

    def __init__(
        self,
        job: ColorizeJob,
        image: np.ndarray | WholeImage,
        networks: Mapping[str, Compute] | None = None,
        *,
        sha256: str | None = None,
    ):
        self.job = job
        self.image = image if isinstance(image, WholeImage) else WholeImage(np.asarray(image))
        self.sha256 = sha256
        self.seen: Seen = look(self.image.levels, job.size)
        self._networks = networks or job.networks
        self._lock = threading.Lock()
        self._hints: Hints = ()
        self._past: list[Hints] = []
        self._future: list[Hints] = []

    @property
    def hints(self) -> Hints:
        return self._hints

    def add(self, x: float, y: float, rgb: Sequence[int]) -> int:
        """A hint at a place in 0..1; its number."""
        red, green, blue = (int(level) for level in rgb)
        with self._lock:
            number = 1 + max((hint.id or 0 for hint in self._hints), default=0)
            self._change((*self._hints, Hint(x, y, (red, green, blue), number)))
        return number

    def move(self, number: int, x: float, y: float) -> None:
        """KeyError where there is no such hint."""
        self._replace(number, lambda hint: replace(hint, x=x, y=y))

    def recolour(self, number: int, rgb: Sequence[int]) -> None:
        """KeyError where there is no such hint."""
        red, green, blue = (int(level) for level in rgb)
        self._replace(number, lambda hint: replace(hint, rgb=(red, green, blue)))

    def remove(self, number: int) -> None:
        """KeyError where there is no such hint."""
        self._replace(number, lambda hint: None)

    def undo(self) -> None:
        """Takes the last change back, if there is one."""
        self._step(self._past, self._future)

    def redo(self) -> None:
        """Makes a change again that was taken back."""
        self._step(self._future, self._past)

    def chroma(
        self, hints: Sequence[Hint] | None = None, *, pinned: bool | None = None
    ) -> np.ndarray:
        """The chroma (S, S, 2), unscaled, for the session's hints or for others; ``pinned`` or as
        the job has it."""
        placed = place(self._hints if hints is None else hints, self.seen.lightness, self.job.shape)
        return solve(self._networks, self.job.colour(self.seen.lightness, placed, pinned=pinned))

    def render(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """The coloured image (H, W, 3), uint8 or uint16, at (height, width) or its own size."""
        levels = self.image.levels
        if size is not None and size != levels.shape[:2]:
            how = cv2.INTER_AREA if size[0] < levels.shape[0] else cv2.INTER_CUBIC
            levels = cv2.resize(levels, (size[1], size[0]), interpolation=how)
        settings = self.job.settings
        chroma = self.chroma() * np.float32(settings.strength)
        tone = self.seen.tone if settings.keep_tone else None
        return merge(levels, chroma, tone=tone, guided=settings.upsampling == "guided").rgb

    def result(
        self,
        hints: Sequence[Hint] | None = None,
        *,
        strength: float | None = None,
        pinned: bool | None = None,
    ) -> Result:
        """What the job gives for these hints, to be written as a file."""
        wanted = self._hints if hints is None else tuple(hints)
        settings = self.job.settings
        return Result(
            "image",
            None,
            self.sha256,
            self.image,
            self.seen,
            HintFile(wanted),
            place(wanted, self.seen.lightness, self.job.shape),
            self.chroma(wanted, pinned=pinned)
            * np.float32(settings.strength if strength is None else strength),
            tone=self.seen.tone if settings.keep_tone else None,
            guided=settings.upsampling == "guided",
            format=settings.format,
        )

    def _replace(self, number: int, make: Callable[[Hint], Hint | None]) -> None:
        with self._lock:
            if all(hint.id != number for hint in self._hints):
                raise KeyError(number)
            made = [make(hint) if hint.id == number else hint for hint in self._hints]
            self._change(tuple(hint for hint in made if hint is not None))

    def _change(self, hints: Hints) -> None:
        self._past.append(self._hints)
        self._future.clear()
        self._hints = hints

    def _step(self, source: list[Hints], target: list[Hints]) -> None:
        with self._lock:
            if source:
                target.append(self._hints)
                self._hints = source.pop()
