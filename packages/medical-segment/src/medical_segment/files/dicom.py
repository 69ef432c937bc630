"""A DICOM series as a volume: slices in the order of their positions, in Hounsfield units or
whatever they mean.

Nothing but geometry, pixels and the identifiers of images is kept; no message repeats what a tag
says, since tags name patients.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medical_segment.files.volume import MAX_VOXELS, Kind, Volume
from vitrail.errors import InputError, MissingError, plain

HEADER_TAGS = [
    "SeriesInstanceUID", "Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "BitsAllocated",
]  # fmt: skip
# What a DICOM-SEG needs besides: identifiers of images. Nothing about a person.
SEG_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "BitsStored",
    "HighBit", "PixelRepresentation", "PhotometricInterpretation",
]  # fmt: skip
JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
UNEVEN = 0.1  # of the distance between slices
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and to the back
COPY_AGAIN = "copy the series again from where it came"


def read_dicom(path: Path, files: Sequence[Path], series: int | None = None) -> Volume:
    """The series in the ``files`` of a folder, or in one file, as (1, columns, rows, slices)
    float32, or (3, …) for colour; ``path`` names it in errors.

    ``series`` chooses among several, from 1, in the order of their identifiers. Raises InputError
    where it is not clear which series is meant, where slices are missing, twice there, damaged or
    of different size, and for multi-frame files; MissingError for a compression that no installed
    plug-in reads.
    """
    chosen = _choose(path, [(file, _header(file)) for file in files], series)
    ordered, affine = _in_order(path, chosen)
    slices = [_pixels(file) for file, _ in ordered]
    if len({piece.shape for piece in slices}) != 1:
        raise InputError(path, "has slices of different size", COPY_AGAIN)
    data = np.stack(slices, axis=-1)  # (C, rows, columns, slices)
    files, headers = zip(*ordered, strict=True)
    return Volume(data.swapaxes(1, 2), affine, Kind.dicom, files=files, slices=headers)


def _header(path: Path) -> Dataset:
    with _reading(path):
        wanted = [*HEADER_TAGS, *SEG_TAGS]
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        for name in HEADER_TAGS:  # values are parsed when they are first asked for
            getattr(found, name, None)
    return found


def _choose(
    path: Path, headers: Sequence[tuple[Path, Dataset]], series: int | None
) -> list[tuple[Path, Dataset]]:
    groups: dict[str, list] = defaultdict(list)
    for file, header in headers:
        if "Rows" in header and "ImagePositionPatient" in header:
            groups[str(header.get("SeriesInstanceUID", ""))].append((file, header))
        elif len(headers) == 1:
            raise InputError(
                file,
                "is not a slice of a scan (it has no position)",
                "give the images of a CT or MR series",
            )
    found = [groups[uid] for uid in sorted(groups)]
    if not found:
        raise InputError(
            path,
            "the folder holds no images with a position",
            "name the folder of a CT or MR series",
        )
    if series is not None and not 1 <= series <= len(found):
        raise InputError(
            path, f"has no series {series}, only {len(found)}", "choose another with --series"
        )
    if series is None and len(found) > 1:
        counts = ", ".join(
            f"{number}: {len(group)}" for number, group in enumerate(found[:8], start=1)
        )
        raise InputError(
            path, f"holds {len(found)} series (slices {counts})", "choose one with --series N"
        )
    return found[(series or 1) - 1]


def _in_order(
    path: Path, slices: list[tuple[Path, Dataset]]
) -> tuple[list[tuple[Path, Dataset]], np.ndarray]:
    """Sorted along the normal of the slices, and the affine from (column, row, slice) to RAS
    millimetres."""
    first = slices[0][1]
    with _reading(path):
        rows, columns = int(first.Rows), int(first.Columns)
        orientation = _numbers(first.ImageOrientationPatient, 6)
        across, down = orientation[:3], orientation[3:]
        normal = np.cross(across, down)
        spacing = _numbers(first.PixelSpacing, 2)
        thickness = float(first.get("SliceThickness") or 1.0)
        for _, header in slices:
            if (int(header.Rows), int(header.Columns)) != (rows, columns):
                raise InputError(path, "has slices of different size", COPY_AGAIN)
            if int(header.get("NumberOfFrames") or 1) > 1:
                raise InputError(
                    path, "is a multi-frame DICOM file", "convert it to NIfTI with dcm2niix"
                )
            if not np.allclose(_numbers(header.ImageOrientationPatient, 6), orientation, atol=1e-3):
                raise InputError(
                    path, "has slices of different orientation", "leave out the localizer"
                )
        places = [_numbers(header.ImagePositionPatient, 3) for _, header in slices]
    if not (
        np.isclose(np.linalg.norm([across, down], axis=1), 1, atol=1e-2).all()
        and abs(across @ down) < 1e-2
    ):
        raise InputError(path, "has a damaged orientation", COPY_AGAIN)
    if (
        not (spacing > 0).all()
        or not 0 < thickness < 1e4
        or rows * columns * len(slices) > MAX_VOXELS
    ):
        raise InputError(path, "has impossible sizes", COPY_AGAIN)
    # Along the normal and never by name: names and instance numbers lie.
    order = np.argsort([place @ normal for place in places], kind="stable")
    places = [places[number] for number in order]
    step = _step(path, places, normal) if len(slices) > 1 else normal * thickness
    affine = np.eye(4)
    affine[:3] = np.stack([across * spacing[1], down * spacing[0], step, places[0]], axis=1)
    return [slices[number] for number in order], TO_RAS @ affine


def _step(path: Path, places: list[np.ndarray], normal: np.ndarray) -> np.ndarray:
    """From one slice to the next in mm; InputError where slices are missing or lie twice at one
    place."""
    steps = np.diff([place @ normal for place in places])
    usual = float(np.median(steps))
    if steps.min() < 1e-3:
        raise InputError(
            path,
            "has several images at one place (echoes or times)",
            "keep one image for each position",
        )
    if np.abs(steps - usual).max() > UNEVEN * usual:
        problem = (
            f"has slices missing or unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm)"
        )
        raise InputError(path, problem, COPY_AGAIN)
    return (places[-1] - places[0]) / (len(places) - 1)


def _pixels(path: Path) -> np.ndarray:
    """(C, rows, columns) float32 in the unit that the slice says."""
    with _reading(path):
        found = pydicom.dcmread(path)
        _check_compression(path, found)
        values = found.pixel_array
        colour = int(found.get("SamplesPerPixel") or 1)
        slope, intercept = (
            float(found.get("RescaleSlope", 1)),
            float(found.get("RescaleIntercept", 0)),
        )
        inverted = found.get("PhotometricInterpretation") == "MONOCHROME1"
    expected = (int(found.Rows), int(found.Columns)) + ((colour,) if colour > 1 else ())
    if values.shape != expected or not (np.isfinite([slope, intercept]).all() and slope):
        raise InputError(path, "is a damaged slice", COPY_AGAIN)
    scaled = values.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if inverted:
        scaled = scaled.max() + scaled.min() - scaled
    return np.moveaxis(scaled, -1, 0)[:3] if colour > 1 else scaled[None]


def _check_compression(path: Path, found: Dataset) -> None:
    syntax = UID(found.file_meta.TransferSyntaxUID)
    if not syntax.is_compressed:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if available:
        return
    if syntax in JPEG_2000:
        raise MissingError(
            path, "is JPEG 2000, which needs a plug-in", "install vitrail-medical-segment[jpeg2000]"
        )
    raise MissingError(
        path,
        "is compressed in a way that no plug-in here reads",
        "unpack it: gdcmconv --raw IN OUT",
    )


def _numbers(values: Sequence, count: int) -> np.ndarray:
    numbers = np.array([float(value) for value in values])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _reading(path: Path) -> AbstractContextManager:
    """The reader's own words may hold a patient's name, so none of them is kept."""
    return plain(path, "is not a whole DICOM image", COPY_AGAIN, log="pydicom", private=True)
