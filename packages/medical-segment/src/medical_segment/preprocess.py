"""A case as its network sees it: one piece of code for training, the job and the export."""

import numpy as np

from medical_segment.geometry import place
from medical_segment.plan import Plan


def prepare(data: np.ndarray, affine: np.ndarray, plan: Plan) -> np.ndarray:
    """(C, spatial…) of any numbers, on the stored grid -> float32 (C, spatial…) on the network's,
    normalised."""
    data = np.asarray(data, dtype=np.float32)
    if plan.normalisation == "minmax-slice":  # the only one that looks at the stored axes
        return place(normalise(data, plan), affine, plan)
    return normalise(place(data, affine, plan), plan)


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
            low, high, mean, std = map(np.float32, plan.intensity)
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
