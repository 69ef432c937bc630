"""A cube made ready: the bands that count, the pixels that have data, and blocks of rows with what
surrounds them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hsi_classify.files.cube import Cube
from hsi_classify.scene.bands import Bands, data_per_band, known_bad, poor, spans, usable, with_data
from hsi_classify.scene.components import Moments
from vitrail.errors import InputError

REACH = 7  # rows and columns around a pixel that any method looks at
COSTLY = 0.01  # of the pixels; a band that lacks more is named
STRIP_BYTES = 48_000_000  # of float32 spectra that are in memory at once


@dataclass(frozen=True)
class Block:
    """Rows ``top`` to ``top + rows`` of a scene with ``REACH`` more on all sides: ``spectra``
    (rows + 2 R, columns + 2 R, bands) float32 are differences from the scene's mean, and 0 where
    ``valid`` (the same two axes) is False: outside, and in pixels without data."""

    top: int
    spectra: np.ndarray
    valid: np.ndarray

    @property
    def inner(self) -> np.ndarray:
        """(rows, columns) bool: pixels with data."""
        return self.valid[REACH:-REACH, REACH:-REACH]


@dataclass(frozen=True)
class Scene:
    """``bands`` says which bands are kept; ``moments`` are those of the kept bands over all pixels
    with data, unless they came with weights. ``notes`` say what bands cost."""

    cube: Cube
    bands: Bands
    moments: Moments
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cube: Cube, wish: str = "auto") -> "Scene":
        """Reads the cube twice, a strip at a time: for what has data, then for the moments.

        ``wish`` is that of ``known_bad``; ``auto`` leaves out constant bands and noise too.
        """
        counts = np.zeros(cube.shape[2], np.int64)
        for rows in strips(cube):
            counts += data_per_band(cube.read(rows), cube.nodata)
        if not counts.any():
            raise InputError(cube.name, "has no pixel with data", "give another file")
        reasons = {"no data": set(np.flatnonzero(counts == 0).tolist()), **known_bad(cube, wish)}
        # Only pixels of the bands that remain count: a bad band costs no sample.
        first = usable(cube, reasons).kept
        moments = Moments.of(
            part[with_data(part, cube.nodata)]
            for rows in strips(cube)
            for part in [cube.read(rows)[:, :, first]]
        )
        if wish == "auto":
            constant, noise = poor(moments)
            reasons["constant"] = set(first[constant].tolist())
            reasons["noise: unlike its neighbours"] = set(first[noise].tolist())
        bands = usable(cube, reasons)
        places = np.searchsorted(first, bands.kept)
        kept = Moments(
            moments.count, moments.mean[places], moments.covariance[np.ix_(places, places)]
        )
        return cls(cube, bands, kept, _costly(bands.kept, counts, cube))

    @classmethod
    def known(cls, cube: Cube, kept: np.ndarray, mean: np.ndarray) -> "Scene":
        """For weights that bring their own choice of bands, and the mean (bands,) of those."""
        left = set(range(cube.shape[2])) - set(kept.tolist())
        dropped = {"unknown to the weights": tuple(sorted(left))} if left else {}
        return cls(cube, Bands(kept, dropped), Moments(0, mean, np.zeros((0, 0))))

    @property
    def size(self) -> tuple[int, int]:
        return self.cube.size

    @cached_property
    def std(self) -> np.ndarray:
        """(bands,) of each kept band, and never 0."""
        std = self.moments.std
        return np.maximum(std, 1e-9 * max(std.max(), 1e-30)).astype(np.float32)

    def mean_shift(self) -> np.ndarray:
        """(bands,) how far the mean of the pixels with data lies from ``moments.mean``, which came
        with weights."""
        total, count = np.zeros(len(self.bands.kept)), 0
        for block in self.blocks():
            total += block.spectra.sum((0, 1), dtype=np.float64)  # 0 where there is no data
            count += int(block.inner.sum())
        return total / max(count, 1)

    def block(self, top: int, bottom: int) -> Block:
        """The rows from ``top`` up to ``bottom``."""
        rows, columns = self.size
        above, below = max(0, top - REACH), min(rows, bottom + REACH)
        stored = self.cube.read(slice(above, below))[:, :, self.bands.kept]
        valid = with_data(stored, self.cube.nodata)
        shape = (bottom - top + 2 * REACH, columns + 2 * REACH)
        spectra = np.zeros((*shape, len(self.bands.kept)), np.float32)
        mask = np.zeros(shape, bool)
        start = above - (top - REACH)
        part = slice(start, start + below - above), slice(REACH, REACH + columns)
        mean = self.moments.mean.astype(np.float32)
        spectra[part] = np.where(valid[:, :, None], stored.astype(np.float32) - mean, 0)
        mask[part] = valid
        return Block(top, spectra, mask)

    def blocks(self) -> Iterator[Block]:
        """All rows from the top."""
        rows, columns = self.size
        height = max(
            1, STRIP_BYTES // (4 * len(self.bands.kept) * (columns + 2 * REACH)) - 2 * REACH
        )
        for top in range(0, rows, height):
            yield self.block(top, min(rows, top + height))


def strips(cube: Cube) -> Iterator[slice]:
    """Slices of rows that fit in memory together."""
    rows, columns, bands = cube.shape
    height = max(1, STRIP_BYTES // (8 * columns * bands))
    for top in range(0, rows, height):
        yield slice(top, min(rows, top + height))


def mean_spectra(scene: Scene, ids: np.ndarray) -> Mapping[int, tuple[np.ndarray, np.ndarray]]:
    """For each class of ``ids`` (rows, columns) the mean spectrum and its deviation, over the kept
    bands."""
    sums: dict[int, list] = {}
    mean = scene.moments.mean
    for block in scene.blocks():
        part = ids[block.top : block.top + block.inner.shape[0]]
        inner = block.spectra[REACH:-REACH, REACH:-REACH]
        for value in np.unique(part[block.inner & (part != 0)]):
            chosen = inner[(part == value) & block.inner].astype(np.float64)
            entry = sums.setdefault(int(value), [0, 0.0, 0.0])
            entry[0] += len(chosen)
            entry[1] = entry[1] + chosen.sum(0)
            entry[2] = entry[2] + (chosen**2).sum(0)
    found = {}
    for value, (count, total, squares) in sums.items():
        middle = total / count
        spread = np.sqrt(np.maximum(squares / count - middle**2, 0))
        found[value] = (mean + middle, spread)
    return found


def _costly(kept: np.ndarray, counts: np.ndarray, cube: Cube) -> tuple[str, ...]:
    """A remark where bands lack data in pixels that others have, since those get no class."""
    lacking = counts[kept].max() - counts[kept]
    many = kept[lacking > COSTLY * cube.size[0] * cube.size[1]]
    if not len(many):
        return ()
    share = lacking.max() / (cube.size[0] * cube.size[1])
    listed = spans(tuple(many.tolist()))
    return (f"bands {listed} lack data in up to {share:.0%} of the pixels: see --bad-bands",)
