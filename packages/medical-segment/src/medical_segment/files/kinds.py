"""What a file is, by its first bytes: no library is loaded to find that out."""

import gzip
import zlib
from pathlib import Path

from vitrail.errors import COPY_AGAIN, InputError

NIFTI_HEADERS = (348, 540)  # bytes, which is also the first number of the file
# What begins with a number of 348 bytes as well, and has no magic where NIfTI has its own.
ANALYZE_SIZE, MAGIC_PLACE = 348, 344
DICOMDIR = "DICOMDIR"  # the index of a disc, which the standard names so
# Elements of group 8 that a file without preamble begins with, and the types of their values.
FIRST_ELEMENTS = {0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0016}
VALUE_TYPES = {b"UL", b"CS", b"DA", b"UI", b"SH", b"TM"}
SCAN_SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".hdr")


def is_dicom(path: Path) -> bool:
    """Whether a file is a DICOM object, with its preamble or, as old archives keep them, without.

    A disc's index is none: it holds no image.
    """
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except (OSError, ValueError):
        return False
    if start[128:] == b"DICM":
        return path.name.upper() != DICOMDIR
    return _begins_as_a_data_set(start)


def _begins_as_a_data_set(start: bytes) -> bool:
    group, element = (int.from_bytes(start[n : n + 2], "little") for n in (0, 2))
    if len(start) < 132 or group != 8 or element not in FIRST_ELEMENTS:
        return False
    return start[4:6] in VALUE_TYPES or int.from_bytes(start[4:8], "little") <= 64


def first_bytes(path: Path, count: int = 348) -> bytes:
    """A file's first bytes, unpacked where it is packed."""
    with path.open("rb") as file:
        start = file.read(count)
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        with gzip.open(path) as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, "is cut short or damaged", COPY_AGAIN) from error


def is_nifti(start: bytes) -> bool:
    """Whether a file that begins so has a NIfTI header, or Analyze's, of which that one grew."""
    return len(start) >= 4 and any(
        int.from_bytes(start[:4], order) in NIFTI_HEADERS for order in ("little", "big")
    )


def is_itk(start: bytes) -> bool:
    """Whether a file that begins so is an NRRD or a MetaImage."""
    return start.startswith((b"NRRD000", b"ObjectType")) or b"\nNDims" in b"\n" + start[:64]


def refuse_others(path: Path, start: bytes) -> None:
    """InputError for scans that are not read here, by their right name."""
    if start[:4] == b"\0\0\0\1" and path.suffix.lower() in (".mgz", ".mgh"):
        raise InputError(path, "is a FreeSurfer volume", "convert it: mri_convert IN OUT.nii.gz")
    if path.name.upper() == DICOMDIR and start[128:132] == b"DICM":
        raise InputError(path, "is the index of a disc", "name the disc's folder")
