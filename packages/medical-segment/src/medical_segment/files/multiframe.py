"""Enhanced multi-frame DICOM: a whole scan in one file, which highdicom puts in order."""

import importlib.util

import numpy as np

from medical_segment.files.series import COPY_AGAIN, Slice, reading
from medical_segment.files.slices import TO_RAS
from medical_segment.files.volume import MAX_VOXELS, Kind, Volume
from vitrail.errors import InputError, MissingError

FRAMES = "PerFrameFunctionalGroupsSequence"


def read_multiframe(part: Slice, left_out: tuple[str, ...] = ()) -> Volume:
    """The volume in a multi-frame file as (1, columns, rows, slices) float32.

    Raises InputError where its frames have no places (a film), or make more than one volume
    (echoes, times); MissingError without highdicom.
    """
    path, header = part.file, part.header
    if importlib.util.find_spec("highdicom") is None:
        raise MissingError(
            path,
            "is a multi-frame DICOM file, which highdicom reads",
            "install vitrail-medical-segment[dicom-seg]",
        )
    import highdicom
    from pydicom import dcmread

    with reading(path):
        if part.frames * int(header.Rows) * int(header.Columns) > MAX_VOXELS:
            raise InputError(path, "has impossible sizes", COPY_AGAIN)
        found = dcmread(path, force=True)
        if FRAMES not in found:
            problem = "is a film of frames without places (multi-frame, but not enhanced)"
            raise InputError(path, problem, "give a volume")
        image = highdicom.Image.from_dataset(found, copy=False)
        if image.get_volume_geometry() is None:
            problem = "holds more or less than one volume (echoes, times, uneven slices)"
            raise InputError(path, problem, "convert it to NIfTI with dcm2niix")
        volume = image.get_volume(
            dtype=np.float32, apply_real_world_transform=False, apply_voi_transform=False
        )
    # Slices, rows, columns there; columns, rows, slices along their normal here, as in a series.
    if np.linalg.det(volume.affine[:3, 2::-1]) < 0:
        volume = volume.flip_spatial(axes=0)
    affine = TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
    data = np.ascontiguousarray(volume.array.transpose(2, 1, 0))[None]
    if not np.isfinite(data).all():
        raise InputError(path, "holds values that are not finite", COPY_AGAIN)
    return Volume(data, affine, Kind.dicom, files=(path,), damage=left_out)
