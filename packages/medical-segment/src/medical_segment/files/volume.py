"""A case in memory: its numbers, where they lie in the patient, and all that the result must give
back."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

MAX_VOXELS = 400_000_000  # of one case: a whole body at 0.8 mm has about this many
MAX_BYTES = 4 * MAX_VOXELS  # that are read of one file, however little room they take in it


class Kind(StrEnum):
    nifti = "NIfTI"
    dicom = "DICOM"
    itk = "ITK"
    image = "image"
    array = "array"


@dataclass(frozen=True)
class Volume:
    """``data`` (C, spatial…) as it was stored, in the file's own order of axes; two or three
    spatial axes.

    ``affine`` (4, 4) maps voxels to millimetres, right-anterior-superior; the identity for images,
    which know no millimetres. ``header`` is a NIfTI file's own. ``files`` are the slices of a DICOM
    series in the order of the last axis, and ``slices`` their headers without pixels and patient;
    or the files of a case. ``damage`` says in words what was odd but not fatal.
    """

    data: np.ndarray
    affine: np.ndarray
    kind: Kind
    header: Any = None
    files: tuple[Path, ...] = ()
    slices: tuple[Any, ...] = ()
    damage: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape."""
        return self.data.shape[1:]

    @property
    def has_millimetres(self) -> bool:
        return self.kind is not Kind.image

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres per voxel along each stored axis (1 for images)."""
        return tuple(float(n) for n in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0))

    @property
    def voxel_ml(self) -> float | None:
        """Millilitres per voxel; None where nothing is known of millimetres or the case is flat."""
        if not self.has_millimetres or len(self.shape) < 3:
            return None
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000
