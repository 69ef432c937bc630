"""A case as its network sees it, and the way back: one piece of code for training, the job and the
export.

Arrays are (C, spatial…); ``affine`` (4, 4) maps a scan's voxels to millimetres,
right-anterior-superior. Axes are only permuted and flipped, so that turning back changes no bit;
resampling is to a size, never a rotation.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from medical_segment.files.nifti import load_nibabel
from medical_segment.plan import Plan


def prepare(data: np.ndarray, affine: np.ndarray, plan: Plan) -> np.ndarray:
    """(C, spatial…) of any numbers, on the stored grid -> float32 (C, spatial…) on the network's,
    normalised."""
    data = np.asarray(data, dtype=np.float32)
    if plan.normalisation == "minmax-slice":  # the only one that looks at the stored axes
        return place(normalise(data, plan), affine, plan)
    return normalise(place(data, affine, plan), plan)


def turns(affine: np.ndarray, orientation: str | None, dims: int = 3) -> np.ndarray:
    """How the stored axes become those of ``orientation`` in NIfTI's letters: nibabel's array
    (axes, 2) of places and directions, the identity for images, which have none."""
    if orientation is None:
        return np.stack([np.arange(dims), np.ones(dims)], axis=1)
    turning = load_nibabel().orientations
    wanted = turning.axcodes2ornt(orientation)
    return turning.ornt_transform(turning.io_orientation(affine), wanted)


def turned(values: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(C, spatial…) on the stored grid with its axes as ``turns`` says."""
    order = np.argsort(axes[:, 0]).tolist()
    return np.ascontiguousarray(_flipped(values, axes).transpose(0, *(n + 1 for n in order)))


def network_shape(shape: Sequence[int], affine: np.ndarray, plan: Plan) -> tuple[int, ...]:
    """The size of a case of stored ``shape`` on the network's grid."""
    axes = turns(affine, plan.orientation, plan.dims)[:, 0].astype(int)
    sizes, spacings = [0] * plan.dims, [1.0] * plan.dims
    for stored, axis in enumerate(axes):
        sizes[axis], spacings[axis] = int(shape[stored]), float(np.linalg.norm(affine[:3, stored]))
    if plan.spacing is None:
        return tuple(sizes)
    return tuple(
        max(1, round(n * own / new))
        for n, own, new in zip(sizes, spacings, plan.spacing, strict=True)
    )


def place(data: np.ndarray, affine: np.ndarray, plan: Plan, *, labels: bool = False) -> np.ndarray:
    """Turns (C, spatial…) and resamples it to the network's spacing; ``labels`` stay whole numbers
    (nearest)."""
    values = turned(data, turns(affine, plan.orientation, plan.dims))
    return resize(values, network_shape(data.shape[1:], affine, plan), labels=labels)


def back(values: np.ndarray, shape: Sequence[int], affine: np.ndarray, plan: Plan) -> np.ndarray:
    """(C, spatial…) on the network's grid -> (C, *shape) on the stored one: resampled linearly,
    turned exactly."""
    axes = turns(affine, plan.orientation, plan.dims)
    order = [int(axis) for axis in axes[:, 0]]
    sides = [0] * len(order)
    for stored, axis in enumerate(order):
        sides[axis] = int(shape[stored])
    values = resize(values, sides).transpose(0, *(axis + 1 for axis in order))
    return _flipped(values, axes)


def channels_back(
    probabilities: np.ndarray, shape: Sequence[int], affine: np.ndarray, plan: Plan
) -> Iterator[np.ndarray]:
    """Each channel (spatial…) on the stored grid, one after the other: few are in memory at
    once."""
    for channel in probabilities:
        yield back(channel[None], shape, affine, plan)[0]


def _flipped(values: np.ndarray, axes: np.ndarray) -> np.ndarray:
    against = [stored + 1 for stored, direction in enumerate(axes[:, 1]) if direction < 0]
    return np.flip(values, tuple(against))


def resize(values: np.ndarray, shape: Sequence[int], *, labels: bool = False) -> np.ndarray:
    """(C, spatial…) at another size, linear as float32, or nearest for ``labels``; untouched where
    the size is the same.

    Voxels are cells whose centres are what counts (PyTorch's ``align_corners=False`` and
    ``nearest-exact``, number for number but for the order of summation).
    """
    # Whole numbers cannot hold what lies between two of them.
    if not labels and tuple(values.shape[1:]) != tuple(shape):
        values = values.astype(np.float32, copy=False)
    # The axes that shrink come first, so that the others have less to do.
    for axis in sorted(range(len(shape)), key=lambda n: shape[n] / values.shape[n + 1]):
        if values.shape[axis + 1] != shape[axis]:
            along = _nearest if labels else _linear
            values = along(values, axis + 1, int(shape[axis]))
    return np.ascontiguousarray(values)


def _nearest(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    step = np.float32(values.shape[axis] / size)
    places = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step
    return values.take(np.minimum(places.astype(int), values.shape[axis] - 1), axis)


def _linear(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    last = values.shape[axis] - 1
    # In float32 as PyTorch computes them: the same voxels and weights even at far ends of axes.
    step, half = np.float32(values.shape[axis] / size), np.float32(0.5)
    places = np.maximum((np.arange(size, dtype=np.float32) + half) * step - half, np.float32(0))
    lower = np.minimum(places.astype(int), last)
    upper = np.minimum(lower + 1, last)
    share = (places - lower).astype(np.float32).reshape(-1, *[1] * (values.ndim - axis - 1))
    found = values.take(lower, axis)
    found *= 1 - share
    above = values.take(upper, axis)
    above *= share
    found += above
    return found


def normalise(image: np.ndarray, plan: Plan) -> np.ndarray:
    """float32 (C, spatial…) with the plan's scheme, as MONAI's transforms compute it; a constant
    channel becomes zeros."""
    match plan.normalisation:
        case "zscore":
            return np.stack([_zscore(channel, np.ones(channel.shape, bool)) for channel in image])
        case "zscore-nonzero":
            return np.stack([_zscore(channel, channel != 0) for channel in image])
        case "minmax":
            return np.stack([_minmax(channel) for channel in image])
        case "minmax-slice":
            slices = [
                np.stack([_minmax(piece) for piece in np.moveaxis(channel, -1, 0)], axis=-1)
                for channel in image
            ]
            return np.stack(slices)
        case "ct":
            low, high, mean, std = map(np.float32, plan.intensity or ())
            return (np.clip(image, low, high) - mean) / std
        case "rgb":
            return image / np.float32(255)
    return image


def _zscore(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """What is counted to mean 0 and deviation 1 by its own; the rest stays as it is."""
    # Raw intensities reach millions, whose squares float32 cannot add up.
    found = values[counted].astype(np.float64)
    if not found.size:
        return values
    scaled = (values - found.mean()) / (found.std() or 1)
    return np.where(counted, scaled.astype(values.dtype), values)


def _minmax(values: np.ndarray) -> np.ndarray:
    """To 0..1; zeros where all values are the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
