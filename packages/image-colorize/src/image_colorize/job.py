"""The job: an image and its hints in, the image with colours out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from image_colorize import system
from image_colorize.color import CHROMA_SCALE
from image_colorize.follow import pin, settle
from image_colorize.hints import Hint, HintFile, beside, read_hints
from image_colorize.networks import ColorizeNetwork
from image_colorize.palette import hints_from
from image_colorize.result import Result, judged
from image_colorize.seen import COLOURED, Placed, look, network_input, place
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.image import read_image
from vitrail.preprocess.image_whole import SUFFIXES, WholeImage, read_whole
from vitrail.runner import solve
from vitrail.sources import Source, sha256

TOLERANCE = 0.5 / CHROMA_SCALE  # half a unit of a or b


@dataclass(frozen=True)
class Options:
    """All that changes the colours beside weights and hints.

    ``strength`` scales the chroma; ``follow``: what the network missed at a hint is made up for in
    its neighbourhood; ``pin``: the wished colour stands exactly at the hint; ``upsampling`` of the
    chroma is bicubic or guided by the edges of the lightness; ``keep_tone``: the tone of a toned
    scan comes back; ``skip_coloured``: images that have colours are left alone; ``colours``: the
    image from which hints without colours take them; ``palette``: an image that gives colours where
    it is alike, under the hints; ``format`` of the written file.
    """

    strength: float = 1.0
    follow: bool = True
    pin: bool = False
    upsampling: Literal["bicubic", "guided"] = "bicubic"
    keep_tone: bool = False
    skip_coloured: bool = False
    colours: str | None = None
    palette: str | None = None
    format: str | None = None


class ColorizeJob:
    """Images in, coloured images out. A source is an image, or an image and its hint file."""

    model, version = system.name, system.version

    def __init__(
        self,
        network: ColorizeNetwork,
        settings: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        if not 0 <= settings.strength <= 3:
            raise UsageError(f"--strength {settings.strength:g}", "is not in 0..3", "take 1")
        if settings.upsampling not in ("bicubic", "guided"):
            raise UsageError(settings.upsampling, "is no upsampling", "take bicubic or guided")
        if settings.format not in (None, *SUFFIXES):
            raise UsageError(str(settings.format), "is no format", f"one of {', '.join(SUFFIXES)}")
        self.settings, self.network = settings, network
        self.shape, self.name = network.shape, network.name
        self._palette = read_image(settings.palette) if settings.palette else None
        self.networks: Mapping[str, Engine] = {
            network.name: prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
        }
        self.options: Mapping[str, Any] = asdict(settings) | {
            # Their content changes the colours, not where they lie.
            name: sha256(Path(given)) if given else None
            for name, given in (("colours", settings.colours), ("palette", settings.palette))
        }

    def process(self, source: Source) -> Steps:
        """One image from its file to its colours."""
        path, *more = source.paths
        image = read_whole(path)
        digest = sha256(path) if more else source.fingerprint
        wanted = read_hints(more[0], self.settings.colours) if more else HintFile(())
        remarks = list(image.remarks)
        if wanted.sha256 and wanted.sha256 != digest:
            remarks.append("the hints were made for another image")
        start = Result(source.name, path, digest, image, look(image.levels, self.size), wanted)
        return (yield from self._steps(replace(start, damage=tuple(remarks))))

    def predict(
        self,
        image: Source | Path | str | np.ndarray | WholeImage,
        hints: Sequence[Hint] | HintFile | Path | str | None = None,
    ) -> Result:
        """The result for a path, a source, or an image (H, W), (H, W, 3), uint8 or uint16 sRGB.

        ``hints`` is a list of them or a hint file; a path's own hint file beside it is found.
        """
        if isinstance(image, Path | str) and (hints is None or isinstance(hints, Path | str)):
            image = source_of(Path(image), hints)
        if isinstance(image, Source):
            return solve(self.networks, self.process(image))
        name, path, digest = "image", None, None
        if isinstance(image, Path | str):
            name, path, digest = str(image), Path(image), sha256(Path(image))
            image = read_whole(path)
        whole = image if isinstance(image, WholeImage) else WholeImage(_checked(image))
        if isinstance(hints, Path | str):
            hints = read_hints(hints, self.settings.colours)
        wanted = hints if isinstance(hints, HintFile) else HintFile(tuple(hints or ()))
        seen = look(whole.levels, self.size)
        start = Result(name, path, digest, whole, seen, wanted, damage=whole.remarks)
        return solve(self.networks, self._steps(start))

    @property
    def size(self) -> int:
        """Pixels along a side of what the network sees."""
        return self.shape.image_size

    def _steps(self, start: Result) -> Steps:
        settings, seen = self.settings, start.seen
        if settings.skip_coloured and seen.own_colour > COLOURED:
            return replace(start, reasons=("it has colours already and was left alone",))
        placed = place(self._all(start), seen.lightness, self.shape)
        chroma = yield from self.colour(seen.lightness, placed)
        result = replace(
            start,
            placed=placed,
            chroma=chroma * np.float32(settings.strength),
            tone=seen.tone if settings.keep_tone else None,
            guided=settings.upsampling == "guided",
            format=settings.format,
        )
        return replace(result, reasons=judged(result))

    def _all(self, start: Result) -> Sequence[Hint]:
        """The hints, over those from the palette."""
        if self._palette is None:
            return start.wanted.hints
        return (*hints_from(self._palette, start.image.levels), *start.wanted.hints)

    def colour(
        self, lightness: np.ndarray, placed: Sequence[Placed], *, pinned: bool | None = None
    ) -> Steps:
        """The chroma (S, S, 2), unscaled, for lightness (S, S) in 0..100 and hints."""
        (row,) = yield Ask(self.name, [network_input(lightness, placed, self.shape)])
        return self.answered(row, lightness, placed, pinned=pinned)

    def answered(
        self,
        row: np.ndarray,
        lightness: np.ndarray,
        placed: Sequence[Placed],
        *,
        pinned: bool | None = None,
    ) -> np.ndarray:
        """The chroma (S, S, 2), unscaled, from the network's row (2, S, S) in -1..1."""
        chroma = np.moveaxis(np.asarray(row, np.float32), 0, -1) * np.float32(CHROMA_SCALE)
        if self.settings.follow:
            chroma = settle(chroma, lightness, placed, self.shape)
        pinned = self.settings.pin if pinned is None else pinned
        return pin(chroma, placed, self.shape) if pinned else chroma


def source_of(image: Path, hints: Path | str | None = None) -> Source:
    """An image with its hint file, where one is named or lies beside it."""
    file = Path(hints) if hints else beside(image)
    return Source(str(image), (image, file) if file else (image,))


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    shape_fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not shape_fits or not image.size or image.dtype not in (np.uint8, np.uint16):
        problem = f"is {image.dtype} of shape {image.shape}"
        raise InputError("image", problem, "give (H, W) or (H, W, 3), uint8 or uint16")
    return image
