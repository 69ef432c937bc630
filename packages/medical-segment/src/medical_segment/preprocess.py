"""A case as its network sees it: one piece of code for training, the job and the export.

Arrays are (C, spatial…); ``affine`` (4, 4) maps a scan's voxels to millimetres,
right-anterior-superior. Axes are only permuted and flipped, so that turning back changes no bit;
resampling is to a size, never a rotation.
"""

from collections.abc import Sequence

import nibabel
import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from torch import Tensor
from torch.nn import functional as F

from medical_segment.plan import Plan

INTERPOLATION = {2: "bilinear", 3: "trilinear"}


def prepare(data: np.ndarray, affine: np.ndarray, plan: Plan) -> Tensor:
    """(C, spatial…) of any numbers, on the stored grid -> float32 (C, spatial…) on the network's,
    normalised."""
    data = np.asarray(data, dtype=np.float32)
    if plan.normalisation == "minmax-slice":  # the only one that looks at the stored axes
        return place(normalise(torch.from_numpy(data), plan).numpy(), affine, plan)
    return normalise(place(data, affine, plan), plan)


def place(data: np.ndarray, affine: np.ndarray, plan: Plan, *, labels: bool = False) -> Tensor:
    """Turns (C, spatial…) and resamples it to the network's spacing; ``labels`` stay whole numbers
    (nearest)."""
    turned = np.stack([nibabel.apply_orientation(channel, turns(affine, plan)) for channel in data])
    values = torch.from_numpy(np.ascontiguousarray(turned))
    return resize(values, network_shape(data.shape[1:], affine, plan), labels=labels)


def turns(affine: np.ndarray, plan: Plan) -> np.ndarray:
    """How the stored axes become the network's: nibabel's orientation array (axes, 2), the identity
    for pictures."""
    if plan.orientation is None:
        return np.stack([np.arange(plan.dims), np.ones(plan.dims)], axis=1)
    return ornt_transform(io_orientation(affine), axcodes2ornt(plan.orientation))


def network_shape(shape: Sequence[int], affine: np.ndarray, plan: Plan) -> tuple[int, ...]:
    """The size of a case of stored ``shape`` on the network's grid."""
    axes = turns(affine, plan)[:, 0].astype(int)
    sizes, spacings = [0] * plan.dims, [1.0] * plan.dims
    for stored, axis in enumerate(axes):
        sizes[axis], spacings[axis] = int(shape[stored]), float(np.linalg.norm(affine[:3, stored]))
    if plan.spacing is None:
        return tuple(sizes)
    return tuple(
        max(1, round(n * own / new))
        for n, own, new in zip(sizes, spacings, plan.spacing, strict=True)
    )


def resize(values: Tensor, shape: Sequence[int], *, labels: bool = False) -> Tensor:
    """(C, spatial…) at another size, linear, or nearest for ``labels``; untouched where the size is
    the same."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    batch = values[None].float()
    if labels:
        return F.interpolate(batch, tuple(shape), mode="nearest-exact")[0].to(values.dtype)
    return F.interpolate(batch, tuple(shape), mode=INTERPOLATION[len(shape)], align_corners=False)[
        0
    ]


def normalise(image: Tensor, plan: Plan) -> Tensor:
    """(C, spatial…) with the plan's scheme, as MONAI's transforms compute it; a constant channel
    becomes zeros.

    In plain torch, since importing MONAI takes four times as long as a small scan.
    """
    match plan.normalisation:
        case "zscore":
            return torch.stack(
                [_zscore(channel, torch.ones_like(channel, dtype=torch.bool)) for channel in image]
            )
        case "zscore-nonzero":
            return torch.stack([_zscore(channel, channel != 0) for channel in image])
        case "minmax":
            return torch.stack([_minmax(channel) for channel in image])
        case "minmax-slice":
            slices = [
                torch.stack([_minmax(piece) for piece in channel.unbind(-1)], dim=-1)
                for channel in image
            ]
            return torch.stack(slices)
        case "ct":
            low, high, mean, std = plan.intensity
            return (image.clamp(low, high) - mean) / std
        case "rgb":
            return image / 255
    return image


def _zscore(values: Tensor, counted: Tensor) -> Tensor:
    """What is counted to mean 0 and deviation 1 by its own; the rest stays as it is."""
    found = values[
        counted
    ].double()  # raw intensities reach millions, whose squares float32 cannot add up
    if not found.numel():
        return values
    std = found.std(unbiased=False)
    scaled = (values.double() - found.mean()) / (std if std > 0 else 1)
    return torch.where(counted, scaled.to(values.dtype), values)


def _minmax(values: Tensor) -> Tensor:
    """To 0..1; zeros where all values are the same."""
    low, high = values.aminmax()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)
