"""What may happen to a pair without changing what changed: to both dates, or to one alone."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from change_detect.objects import connected
from vitrail.training.recipe import Section

Crop = tuple[np.ndarray, np.ndarray, np.ndarray]  # before, after (S, S, 3) uint8, changed (S, S)


class Augment(Section):
    """Probabilities in 0..1. ``light``: brightness, contrast, gamma and the colour of the light of
    one date; ``haze``, ``blur`` and ``jpeg`` of one date; ``shift``: one date by up to
    ``max_shift`` pixels; ``still``: a pair becomes one date with itself, nothing changed;
    ``paste``: what is new in another crop, with its label. ``scale``: by how much crops are
    enlarged or reduced at most, both ways."""

    light: float = 0.8
    haze: float = 0.15
    blur: float = 0.15
    jpeg: float = 0.2
    shift: float = 0.4
    max_shift: int = 3
    still: float = 0.08
    paste: float = 0.25
    scale: float = 0.25


def augmented(crop: Crop, donor: Crop | None, how: Augment, rng: np.random.Generator) -> Crop:
    """One crop as training sees it; ``donor`` is another of the same size."""
    before, after, changed = crop
    if donor is not None and rng.random() < how.paste:
        after, changed = _pasted(after, changed, donor, rng)
    if rng.random() < how.still:
        before = after = (before, after)[rng.integers(2)]
        changed = np.zeros_like(changed)
    parts = [_turned(part, *turn) for turn in [_turn(rng)] for part in (before, after, changed)]
    before, after, changed = parts
    dates = [_seen(date, how, rng) for date in (before, after)]
    if rng.random() < how.shift:
        which = rng.integers(2)
        dates[which] = _shifted(dates[which], rng.integers(-how.max_shift, how.max_shift + 1, 2))
    if rng.random() < 0.5:
        dates.reverse()
    return dates[0], dates[1], changed


def _turn(rng: np.random.Generator) -> tuple[int, bool]:
    return int(rng.integers(4)), bool(rng.integers(2))


def _turned(part: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    part = np.rot90(part, quarters)
    return part[:, ::-1] if mirrored else part


def _pasted(
    after: np.ndarray, changed: np.ndarray, donor: Crop, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What is new in the donor's later date, on ground that did not change here."""
    _, source, mask = donor
    labels, count = connected(mask)
    if not count:
        return after, changed
    chosen = rng.random(count + 1) < 0.5
    chosen[0] = False
    near = np.asarray(ndimage.binary_dilation(changed, iterations=2), bool)
    mask = chosen[labels] & ~near
    soft = ndimage.uniform_filter(mask.astype(np.float32), 3)[..., None]
    soft = np.where(mask[..., None], np.maximum(soft, 0.5), 0)
    mixed = after * (1 - soft) + source * soft
    return mixed.astype(np.uint8), changed | mask


def _seen(image: np.ndarray, how: Augment, rng: np.random.Generator) -> np.ndarray:
    """A date under another sky, from another sensor: (S, S, 3) uint8 to the same."""
    image = np.ascontiguousarray(image)
    if rng.random() < how.light:
        values = image.astype(np.float32) / 255
        values = values ** np.exp(rng.uniform(-0.35, 0.35))
        middle = values.mean()
        values = (values - middle) * rng.uniform(0.7, 1.35) + middle * rng.uniform(0.7, 1.3)
        values *= rng.uniform(0.88, 1.12, 3).astype(np.float32)
        grey = values.mean(2, keepdims=True)
        values = grey + (values - grey) * rng.uniform(0.5, 1.4)
        image = _bytes(values)
    if rng.random() < how.haze:
        amount, white = rng.uniform(0.1, 0.45), rng.uniform(0.6, 0.95)
        image = _bytes(image.astype(np.float32) / 255 * (1 - amount) + white * amount)
    if rng.random() < how.blur:
        deviation = rng.uniform(0.4, 1.2)
        image = ndimage.gaussian_filter(image, (deviation, deviation, 0))
    if rng.random() < how.jpeg:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(45, 92)))
        image = np.asarray(Image.open(buffer))
    return image


def _bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _shifted(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Moved by whole pixels; the border is repeated."""
    reach = int(np.abs(by).max())
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    rows, columns = image.shape[:2]
    top, left = reach + int(by[0]), reach + int(by[1])
    return padded[top : top + rows, left : left + columns]
