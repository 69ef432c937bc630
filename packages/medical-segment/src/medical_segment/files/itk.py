"""NRRD and MetaImage, the formats of 3D Slicer and ITK, by SimpleITK."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from medical_segment.files.kinds import first_bytes
from medical_segment.files.volume import MAX_VOXELS, Kind, Volume
from vitrail.companions import companions
from vitrail.errors import COPY_AGAIN, InputError, MissingError, plain

HEADER = 1 << 16  # bytes within which a header ends
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK counts to the left and to the back
ZOOMS = (1e-4, 1e4)  # mm per voxel that a scan can have


def read_itk(path: Path) -> Volume:
    """A ``.nrrd`` or ``.mha`` file, whatever its name, with two or three axes; several numbers a
    voxel become channels.

    Raises InputError for what is damaged, too large, or one of two files; MissingError without
    SimpleITK.
    """
    _require_whole(path)
    if importlib.util.find_spec("SimpleITK") is None:
        raise MissingError(
            path, "is read by SimpleITK", "install vitrail-medical-segment[itk], or convert it"
        )
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with plain(path, "is damaged or cut short"):
        reader = SimpleITK.ImageFileReader()
        # By content: the library goes by the suffix, and the file may have another.
        reader.SetImageIO("NrrdImageIO" if _is_nrrd(path) else "MetaImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size, parts = reader.GetSize(), reader.GetNumberOfComponents()
        voxels = float(np.prod(size, dtype=float)) * parts
        if voxels > MAX_VOXELS:
            sides = " x ".join(map(str, size))
            raise InputError(path, f"is too large ({sides} voxels)", "crop or resample it")
        if len(size) not in (2, 3):
            raise InputError(path, f"has {len(size)} axes", "give two or three")
        _require_content(path, voxels)
        image = reader.Execute()
        data = SimpleITK.GetArrayFromImage(image)  # (slices, rows, columns[, parts])
    if data.dtype.kind not in "uif":
        raise InputError(path, "does not hold plain numbers", "convert it to integers or floats")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise InputError(path, "holds values that are not finite", "replace them")
    channels = np.moveaxis(data, -1, 0) if parts > 1 else data[None]
    channels = channels.transpose(0, *range(channels.ndim - 1, 0, -1))
    data = np.ascontiguousarray(channels, np.float32 if data.dtype.kind == "f" else None)
    return Volume(data, _affine(path, image, len(size)), Kind.itk, files=(path,))


def _affine(path: Path, image: Any, axes: int) -> np.ndarray:
    affine = np.eye(4)
    spacing = np.array(image.GetSpacing())
    direction = np.array(image.GetDirection()).reshape(axes, axes)
    affine[:axes, :axes] = direction * spacing
    affine[:axes, 3] = image.GetOrigin()
    good = np.isfinite(affine).all() and (spacing > ZOOMS[0]).all() and (spacing < ZOOMS[1]).all()
    if not good or abs(np.linalg.det(direction)) < 1e-3:
        raise InputError(path, "lies on no proper grid", "mend its header")
    return TO_RAS @ affine


def _require_whole(path: Path) -> None:
    """InputError for a header whose numbers lie in a file that is not beside it."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise InputError(path, "is packed by gzip", "unpack it")
    head = first_bytes(path, HEADER).split(b"\n\n" if _is_nrrd(path) else b"\0", 1)[0].lower()
    lines = [line.replace(b" ", b"") for line in head.splitlines()]
    apart = (b"datafile:", b"datafile:=")
    elsewhere = any(line.startswith(apart) for line in lines) or any(
        line.startswith(b"elementdatafile=") and line.strip() != b"elementdatafile=local"
        for line in lines
    )
    if elsewhere and not companions(path):
        problem = "is the header of a scan whose numbers lie in another file that is not beside it"
        raise InputError(path, problem, "put it there, or save both as one file, .nrrd or .mha")


def _is_nrrd(path: Path) -> bool:
    return first_bytes(path, 4) == b"NRRD"


def _require_content(path: Path, voxels: float) -> None:
    """InputError where a file is too small for its sizes even at the best that deflate can do."""
    if voxels > 1100 * sum(part.stat().st_size for part in (path, *companions(path))):
        raise InputError(path, "is cut short", COPY_AGAIN)
