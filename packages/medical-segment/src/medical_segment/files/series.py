"""Headers of DICOM files: which are images, which series they make, and which of these is meant."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from vitrail.errors import InputError, one_line, plain

HEADER_TAGS = [
    "SeriesInstanceUID", "SeriesNumber", "Modality", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "BitsAllocated", "PhotometricInterpretation", "RescaleSlope",
]  # fmt: skip
# What a DICOM-SEG needs besides: identifiers of images. Nothing about a person.
SEG_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "BitsStored",
    "HighBit", "PixelRepresentation",
]  # fmt: skip
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66"  # and what begins so: label maps, surfaces
COPY_AGAIN = "copy the series again from where it came"
MANY = 8  # series that an error line lists


@dataclass(frozen=True)
class Slice:
    """A DICOM file and its header without pixels and patient."""

    file: Path
    header: Dataset

    @property
    def frames(self) -> int:
        return int(self.header.get("NumberOfFrames") or 1)


def reading(path: Path) -> AbstractContextManager:
    """The reader's own words may hold a patient's name, so none of them is kept."""
    return plain(path, "is not a whole DICOM image", COPY_AGAIN, log="pydicom", private=True)


def open_dicom(path: Path, **options: Any) -> Dataset:
    """A file with or without DICOM's preamble."""
    return pydicom.dcmread(path, force=True, **options)


def series_of(path: Path) -> str:
    """The identifier of a file's series; empty where it has none that could be read."""
    try:
        with reading(path):
            wanted = ["SeriesInstanceUID"]
            found = open_dicom(path, stop_before_pixels=True, specific_tags=wanted)
            return str(found.get("SeriesInstanceUID", ""))
    except InputError:
        return ""


def read_header(path: Path) -> Slice:
    with reading(path):
        wanted = [*HEADER_TAGS, *SEG_TAGS]
        found = open_dicom(path, stop_before_pixels=True, specific_tags=wanted)
        # Values are parsed when they are first asked for, with warnings that repeat them.
        for name in wanted:
            getattr(found, name, None)
    return Slice(path, found)


def choose(
    path: Path, files: Sequence[Path], series: int | None
) -> tuple[list[Slice], tuple[str, ...]]:
    """The slices of the series that is meant, and what was left out, in a sentence.

    InputError where there is none, where ``series`` is not among them, or where several are there
    and none was chosen.
    """
    found, others = _grouped(files)
    if not found:
        if len(files) == 1:
            problem = "is not a slice of a scan (it has no position)"
            raise InputError(files[0], problem, "give the images of a CT or MR series")
        problem = "the folder holds no images with a position"
        raise InputError(path, problem, "name the folder of a CT or MR series")
    if series is not None and not 1 <= series <= len(found):
        raise InputError(
            path, f"has no series {series}, only {len(found)}", "choose another with --series"
        )
    if series is None and len(found) > 1:
        counts = ", ".join(
            f"{number}: {sum(part.frames for part in group)}"
            for number, group in enumerate(found[:MANY], start=1)
        )
        more = ", …" if len(found) > MANY else ""
        raise InputError(
            path,
            f"holds {len(found)} series (slices {counts}{more})",
            "see --list-series, choose with --series N",
        )
    names = ", ".join(file.name for file in others[:3]) + (", …" if len(others) > 3 else "")
    said = f"{len(others)} DICOM files that are no slices were left out: {names}"
    return found[(series or 1) - 1], (said,) if others else ()


def list_series(path: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """The series in a folder: the number that ``--series`` takes, description, kind, size.

    The description is the scanner's own text, for the eyes of who holds the files; it goes into no
    result.
    """
    rows = []
    for number, group in enumerate(_grouped(files)[0], start=1):
        with reading(path):
            first = group[0]
            wanted = ["SeriesDescription"]
            text = open_dicom(first.file, stop_before_pixels=True, specific_tags=wanted)
            description = one_line(text.get("SeriesDescription") or "", 64)
        size = first.header.Columns, first.header.Rows, sum(part.frames for part in group)
        rows.append(
            {
                "source": str(path),
                "series": number,
                "description": description,
                "modality": str(first.header.get("Modality", "")),
                "size": " x ".join(map(str, size)),
            }
        )
    return rows


def _grouped(files: Sequence[Path]) -> tuple[list[list[Slice]], list[Path]]:
    """Series in the order of their numbers, each multi-frame file as one of its own; and the files
    that are no slices."""
    groups: dict[tuple, list[Slice]] = defaultdict(list)
    others = []
    for part in map(read_header, files):
        header = part.header
        multi = part.frames > 1
        drawn = str(header.get("SOPClassUID", "")).startswith(SEGMENTATION)
        if "Rows" not in header or drawn or not (multi or "ImagePositionPatient" in header):
            others.append(part.file)
            continue
        number = _number(header.get("SeriesNumber"))
        own = str(header.get("SOPInstanceUID", part.file)) if multi else ""
        groups[number, str(header.get("SeriesInstanceUID", "")), own].append(part)
    return [groups[key] for key in sorted(groups)], others


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 1 << 31  # of a series without a number: behind the others
