"""A whole scene from a method that knows single pixels: every pixel, every n-th with edge-aware
upsampling, or one in each superpixel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hsi_classify.scene.canvas import Canvas, lead
from hsi_classify.scene.scene import REACH, Block, Scene
from vitrail.job import Steps

Answer = Callable[[Block, np.ndarray, np.ndarray], Steps]  # pixels of a block to (N, K)

CHUNK = 1024  # pixels that are asked for together
GUIDES = 5  # components that tell an edge
SPREAD = 0.5  # of a guide's difference (root of the mean square) at which a neighbour counts less
SURE = 0.3  # lead of the winner; what is upsampled with less is computed after all
SAMPLE = 500  # pixels that are computed exactly, to compare


@dataclass(frozen=True)
class Agreement:
    """Of a faster map with the exact one: the ``share`` of ``pixels`` drawn from the scene that
    have the same class, and the share of the scene's pixels that were ``computed``."""

    pixels: int
    share: float
    computed: float

    @property
    def figures(self) -> dict[str, float]:
        return {
            "computed_share": round(self.computed, 4),
            "agreement": round(self.share, 4),
            "agreement_pixels": self.pixels,
        }

    @property
    def sentence(self) -> str:
        return (
            f"{self.computed:.0%} of the pixels were computed; of {self.pixels} drawn ones "
            f"{self.share:.1%} have the class that the exact map gives them"
        )


def every_pixel(scene: Scene, canvas: Canvas, answer: Answer) -> Steps:
    """Fills ``canvas`` where there is data."""
    for block in scene.blocks():
        for rows, columns in chunks(block.inner):
            canvas.put(block.top + rows, columns, (yield from answer(block, rows, columns)))


def every_nth(scene: Scene, canvas: Canvas, answer: Answer, axes: np.ndarray, step: int) -> Steps:
    """Every ``step``-th row and column is computed; what lies between is the mean of its four
    neighbours among them, weighed by distance and by how alike the spectra are along ``axes``
    (bands, C): joint bilateral upsampling (Kopf et al. 2007). Where that leaves two classes near to
    each other, and where no neighbour has data, the pixel is computed too. Gives how many were."""
    size = tuple(-(-side // step) for side in scene.size)
    shares = np.zeros((*size, len(canvas.ids)), np.float32)
    guides = np.zeros((*size, axes.shape[1]), np.float32)
    known = np.zeros(size, bool)
    for block in scene.blocks():
        on_grid = np.zeros(block.inner.shape, bool)
        on_grid[-block.top % step :: step, ::step] = True
        for rows, columns in chunks(block.inner & on_grid):
            found = yield from answer(block, rows, columns)
            canvas.put(block.top + rows, columns, found)
            place = (block.top + rows) // step, columns // step
            shares[place], known[place] = found, True
            guides[place] = guide(block, axes)[rows, columns]
    computed = int(known.sum())
    for block in scene.blocks():
        image = guide(block, axes)
        unsure = block.inner & (canvas.classes[_rows_of(block)] == 0)
        for rows, columns in chunks(unsure):
            place = np.stack([block.top + rows, columns], 1) / step
            mixed, total = _mixed(place, image[rows, columns], shares, guides, known)
            sure = (total > 0) & (lead(mixed) >= SURE)
            canvas.put(block.top + rows[sure], columns[sure], mixed[sure])
            unsure[rows[sure], columns[sure]] = False
        computed += int(unsure.sum())
        for rows, columns in chunks(unsure):
            canvas.put(block.top + rows, columns, (yield from answer(block, rows, columns)))
    return computed


def by_superpixels(
    scene: Scene, canvas: Canvas, answer: Answer, axes: np.ndarray, pixels: int
) -> Steps:
    """Superpixels of about ``pixels`` pixels (SLIC, Achanta et al. 2012) along ``axes``; the most
    typical pixel of each is computed and gives its class to all. Gives how many were computed."""
    from skimage.segmentation import slic

    parts = [(guide(block, axes), block.inner) for block in scene.blocks()]
    image = np.concatenate([part for part, _ in parts])
    valid = np.concatenate([inner for _, inner in parts])
    count = max(1, round(valid.sum() / pixels))
    segments = slic(
        image, count, compactness=0.1, convert2lab=False, mask=valid, channel_axis=-1
    ).astype(np.int64)
    chosen = _typical(image, segments, valid)
    shares = np.zeros((segments.max() + 1, len(canvas.ids)), np.float32)
    typical = np.zeros(valid.shape, bool)
    typical.flat[chosen] = True
    for block in scene.blocks():
        for rows, columns in chunks(typical[_rows_of(block)]):
            found = yield from answer(block, rows, columns)
            shares[segments[block.top + rows, columns]] = found
    rows, columns = np.nonzero(valid)
    canvas.put(rows, columns, shares[segments[rows, columns]])
    return len(chosen)


def compare(
    scene: Scene, canvas: Canvas, answer: Answer, computed: int, seen: np.ndarray | None = None
) -> Steps:
    """The ``Agreement`` of a filled canvas with exact answers, on pixels drawn from those with data
    and without those already ``seen`` (flat numbers)."""
    everything = np.flatnonzero(canvas.classes)
    drawn = everything if seen is None else np.setdiff1d(everything, seen)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(drawn, min(SAMPLE, len(drawn)), replace=False))
    rows, columns = np.unravel_index(drawn, scene.size)
    same = 0
    for block in scene.blocks():
        inside = (rows >= block.top) & (rows < block.top + block.inner.shape[0])
        if inside.any():
            found = yield from answer(block, rows[inside] - block.top, columns[inside])
            exact = np.array(canvas.ids)[found.argmax(1)]
            same += int((exact == canvas.classes[rows[inside], columns[inside]]).sum())
    return Agreement(len(drawn), same / len(drawn), computed / len(everything))


def guide(block: Block, axes: np.ndarray) -> np.ndarray:
    """(rows, columns, C) of a block without its surroundings."""
    return block.spectra[REACH:-REACH, REACH:-REACH] @ axes


def chunks(mask: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns where a mask is True, some pixels at a time."""
    rows, columns = np.nonzero(mask)
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK], columns[start : start + CHUNK]


def _rows_of(block: Block) -> slice:
    return slice(block.top, block.top + block.inner.shape[0])


def _mixed(
    place: np.ndarray, mine: np.ndarray, shares: np.ndarray, guides: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K) of pixels at ``place`` (N, 2) on the grid with guides ``mine`` (N, C),
    and the sum of their neighbours' weights, 0 where none has data."""
    low = np.floor(place).astype(np.int64)
    mixed = np.zeros((len(place), shares.shape[-1]), np.float32)
    total = np.zeros(len(place), np.float32)
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = low + corner
        near = 1 - np.abs(place - at)
        at = np.minimum(at, np.array(known.shape) - 1)
        where = at[:, 0], at[:, 1]
        far = ((mine - guides[where]) ** 2).mean(1)
        # Never quite 0, so that a pixel unlike all its neighbours still follows the nearest.
        weight = near.prod(1) * (np.exp(-far / (2 * SPREAD**2)) + 1e-6) * known[where]
        mixed += weight[:, None] * shares[where]
        total += weight.astype(np.float32)
    return mixed / np.maximum(total, 1e-12)[:, None], total


def _typical(image: np.ndarray, segments: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Flat numbers of one pixel in each segment: that whose guides are nearest to their mean."""
    places = np.flatnonzero(valid)
    mine, guides = segments.ravel()[places], image.reshape(-1, image.shape[-1])[places]
    counts = np.maximum(np.bincount(mine), 1)
    means = np.stack([np.bincount(mine, column) for column in guides.T], 1) / counts[:, None]
    far = ((guides - means[mine]) ** 2).sum(1)
    order = np.lexsort((far, mine))
    first = np.r_[True, np.diff(mine[order]) > 0]
    return np.sort(places[order[first]])
