"""What a network takes at once: the whole volume, or one slice of it, and its walk through the
windows."""

from collections.abc import Iterator

import numpy as np

from medical_segment.files.volume import MAX_VOXELS, Kind, Volume
from medical_segment.plan import Plan
from medical_segment.postprocess import activate
from medical_segment.preprocess import network_shape, prepare
from vitrail.errors import InputError
from vitrail.grids import Canvas, Grid, is_flat

SURE = 10.0  # the logit of what was not computed
GREY = (0.299, 0.587, 0.114)


class Plane:
    """One image on its way through a network.

    ``data`` (C, spatial…) and ``affine`` (4, 4) are as stored. The prepared image and the canvas
    come with the first window and go with the last; what remains are the ``probabilities`` (K,
    spatial…) on the network's grid.
    """

    def __init__(self, data: np.ndarray, affine: np.ndarray, plan: Plan, overlap: float):
        self.data, self.affine, self.plan, self.overlap = data, affine, plan, overlap
        self.count = self.skipped = 0
        self.probabilities: np.ndarray | None = None
        self._canvas: Canvas | None = None

    def windows(self) -> Iterator[tuple[int, np.ndarray]]:
        """Number and (C, *patch) of each window that needs the network; mere background is settled
        on the way."""
        # Made here and not before: of a stack only the plane at work is held prepared.
        image = prepare(self.data, self.affine, self.plan)
        grid = Grid(image.shape[1:], self.plan.patch, self.overlap)
        self._canvas, self.count = Canvas(grid, len(self.plan.labels)), len(grid)
        # The air around a patient says nothing, so no network is asked about it.
        background = np.full(len(self.plan.labels), -SURE, np.float32)
        if self.plan.activation == "softmax":
            background[0] = SURE
        for number in range(len(grid)):
            crop = grid.crop(image, number)
            if is_flat(crop):
                self.skipped += 1
                self.add(number, background)
            else:
                yield number, crop

    def add(self, number: int, logits: np.ndarray) -> None:
        """Adds a window's logits, (K, *patch) or (K,); after the last one there are
        probabilities."""
        canvas = self._canvas
        assert canvas is not None  # ``windows`` made it
        canvas.add(number, logits)
        if not canvas.left:
            self.probabilities = activate(canvas.logits(), self.plan)
            self._canvas = None


def fit_channels(source: str, volume: Volume, plan: Plan) -> np.ndarray:
    """As many channels as the network takes: grey for three, three for grey; InputError for any
    other number."""
    data, wanted = volume.data, len(plan.channels)
    if len(data) == wanted:
        return data
    if len(data) == 1 and wanted == 3 and volume.kind is Kind.image:
        return np.repeat(data, 3, axis=0)
    if len(data) == 3 and wanted == 1 and not volume.has_millimetres:
        return np.tensordot(np.array(GREY, np.float32), data.astype(np.float32), axes=1)[None]
    names = ", ".join(plan.channels[:4])
    remedy = (
        "choose one with --volume N"
        if wanted == 1
        else "name the files of one case with --together"
    )
    raise InputError(
        source, f"has {len(data)} channel(s), the network takes {wanted} ({names})", remedy
    )


def cut(source: str, volume: Volume, plan: Plan, overlap: float) -> tuple[int | None, list[Plane]]:
    """The stored axis along which a volume is cut into slices, None for a whole, and the planes.

    InputError for what the network does not take, and for a voxel size that would make too much of
    it.
    """
    data = fit_channels(source, volume, plan)
    _require_kind(source, volume, plan)
    affine, axis = volume.affine, None
    if plan.dims == data.ndim - 1:
        images = [data]
    else:
        axis = _across(volume)
        affine = affine[:, [*(number for number in range(3) if number != axis), axis, 3]]
        images = [np.take(data, number, axis + 1) for number in range(data.shape[axis + 1])]
    size = network_shape(images[0].shape[1:], affine, plan)
    if np.prod(size, dtype=float) > MAX_VOXELS:
        sides = " x ".join(map(str, size))
        raise InputError(
            source, f"would be {sides} at the network's voxel size", "is its voxel size right?"
        )
    return axis, [Plane(image, affine, plan, overlap) for image in images]


def _require_kind(source: str, volume: Volume, plan: Plan) -> None:
    if not volume.has_millimetres and (plan.spacing or plan.orientation):
        raise InputError(
            source, "is an image, and the network segments scans", "take other --weights"
        )
    if plan.dims == 3 and len(volume.shape) == 2:
        raise InputError(
            source, "is flat, and the network segments volumes", "take other --weights"
        )


def _across(volume: Volume) -> int:
    """The axis from slice to slice: the first of pages; of a scan that of the widest spacing, and
    of equals the last, as is usual."""
    if not volume.has_millimetres:
        return 0
    spacing = volume.spacing
    return max(range(3), key=lambda number: (round(spacing[number], 3), number))
