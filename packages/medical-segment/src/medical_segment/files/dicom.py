"""A DICOM series as a volume: slices in the order of their positions, in Hounsfield units or
whatever they mean.

Nothing but geometry, pixels and the identifiers of images is kept; no message repeats what a tag
says, since tags name patients.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medical_segment.files.series import COPY_AGAIN, Slice, choose, open_dicom, reading
from medical_segment.files.series import list_series as list_series
from medical_segment.files.series import series_of as series_of
from medical_segment.files.slices import in_order
from medical_segment.files.volume import Kind, Volume
from vitrail.errors import InputError, MissingError

JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
MEASURED = {"CT", "PT"}  # kinds whose values are quantities, however they are shown


def read_dicom(path: Path, files: Sequence[Path], series: int | None = None) -> Volume:
    """The series in the ``files`` of a folder, or in one file, as (1, columns, rows, slices)
    float32, or (3, …) for colour; ``path`` names it in errors.

    ``series`` chooses among several, from 1, in the order of their numbers. Padding becomes the
    lowest measured value. Raises InputError where it is not clear which series is meant, where
    slices are missing, twice there, damaged or of different size; MissingError for what no
    installed library reads.
    """
    chosen, left_out = choose(path, files, series)
    if chosen[0].frames > 1:
        from medical_segment.files.multiframe import read_multiframe

        return read_multiframe(chosen[0], left_out)
    ordered, affine, uneven = in_order(path, chosen)
    slices = [_pixels(part) for part in ordered]
    if len({piece.shape for piece in slices}) != 1:
        raise InputError(path, "has slices of different size", COPY_AGAIN)
    data = np.stack(slices, axis=-1)  # (C, rows, columns, slices), NaN where nothing was measured
    meant, said = _meant(path, data, [part.header for part in ordered])
    damage = (*left_out, *_siblings(path, files), *uneven, *said)
    files = tuple(part.file for part in ordered)
    headers = tuple(part.header for part in ordered)
    return Volume(
        meant.swapaxes(1, 2), affine, Kind.dicom, files=files, slices=headers, damage=damage
    )


def _siblings(path: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """A word where one slice was named and its folder holds more of its series."""
    if len(files) > 1 or path.is_dir():
        return ()
    from medical_segment.files.kinds import is_dicom

    uid = series_of(path)
    around = [file for file in path.parent.iterdir() if file.is_file() and is_dicom(file)]
    count = sum(series_of(file) == uid for file in around) if uid else 1
    return (f"is one of {count} slices of its series in this folder",) if count > 1 else ()


def _pixels(part: Slice) -> np.ndarray:
    """(C, rows, columns) float32 in the unit that the slice says; NaN for padding."""
    path = part.file
    with reading(path):
        found = open_dicom(path)
        _check_compression(path, found)
        stored = found.pixel_array
        colour = int(found.get("SamplesPerPixel") or 1)
        padded = _padding(found, stored)
        values = apply_modality_lut(stored, found) if colour == 1 else stored
    expected = (int(found.Rows), int(found.Columns)) + ((colour,) if colour > 1 else ())
    slope = float(found.get("RescaleSlope", 1))
    if values.shape != expected or not np.isfinite(slope) or not slope:
        raise InputError(path, "is a damaged slice", COPY_AGAIN)
    scaled = values.astype(np.float32)
    if not np.isfinite(scaled).any():
        raise InputError(path, "is a damaged slice", COPY_AGAIN)
    if padded is not None:
        scaled[padded] = np.nan
    return np.moveaxis(scaled, -1, 0)[:3] if colour > 1 else scaled[None]


def _padding(found: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Where a slice was not measured: a value, or a range of them, of the stored numbers."""
    value = found.get("PixelPaddingValue")
    if not isinstance(value, int) or stored.dtype.kind not in "iu" or stored.ndim != 2:
        return None
    limit = found.get("PixelPaddingRangeLimit")
    # Writers give the value as signed or unsigned as they like; its bits are what counts.
    ends = np.array([value, limit if isinstance(limit, int) else value]).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _meant(
    path: Path, data: np.ndarray, headers: Sequence[Dataset]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The series' values by what all its slices say of their display and padding, and remarks."""
    shown = {str(header.get("PhotometricInterpretation", "")) for header in headers}
    if len(shown) > 1:
        raise InputError(path, "has slices of different kinds of display", COPY_AGAIN)
    if len({"RescaleSlope" in header for header in headers}) > 1:
        raise InputError(path, "has a rescale slope in some slices only", COPY_AGAIN)
    unmeasured = np.isnan(data)
    count = int(unmeasured.sum())
    if count == data.size:
        raise InputError(path, "holds nothing but padding", COPY_AGAIN)
    said: list[str] = []
    low, high = (float(end(data)) for end in (np.nanmin, np.nanmax))
    if shown == {"MONOCHROME1"} and headers[0].get("Modality") not in MEASURED:
        data = np.float32(low + high) - data
        said.append("is stored with white as its lowest value, and was inverted as a whole")
    if count:
        # Networks that leave out zeros take them for what lies around the patient.
        fill = 0.0 if low >= 0 else low
        data = np.where(unmeasured, np.float32(fill), data)
        said.append(f"{count} voxels are padding, not measured, and were taken as {fill:g}")
    return data, tuple(said)


def _check_compression(path: Path, found: Dataset) -> None:
    if "TransferSyntaxUID" not in found.file_meta:  # no preamble, and then no compression
        implicit, little = found.original_encoding
        plainly = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plainly
        return
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
