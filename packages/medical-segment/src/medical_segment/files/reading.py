"""Any input as a volume, by its content and not by its name; several files as the channels of one
case."""

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medical_segment.files.volume import Volume
from vitrail.errors import COPY_AGAIN, InputError
from vitrail.sources import (
    IMAGE_SUFFIXES,
    Source,
    expand_sources,
    natural_sorted,
    open_folders,
    require_file,
)

SCAN_SUFFIXES = (".nii", ".nii.gz")
NIFTI_HEADERS = (348, 540)  # bytes, which is also the first number of the file
CHANNEL = re.compile(
    r"(?P<case>.+)_(?P<number>\d{4})(?P<suffix>\.nii(\.gz)?|\.png|\.tiff?)", re.IGNORECASE
)
SAME_GRID = 1e-3  # mm


@dataclass(frozen=True)
class Case(Source):
    """A source whose ``inputs`` are its channels, in the network's order: a file each, or the
    folder of a DICOM series. ``paths`` are all files that are read for them."""

    inputs: tuple[Path, ...] = ()

    @classmethod
    def of_inputs(cls, name: str, inputs: Sequence[Path]) -> "Case":
        """With the slices of DICOM folders among its paths, so that its fingerprint covers them."""
        paths = [file for path in inputs for file in (_slices(path) or [path])]
        return cls(name, tuple(paths), tuple(inputs))


def find_cases(arguments: Sequence[str], num_channels: int) -> list[Case]:
    """What the user named, a case each: files as they are; of a folder its scans, images and DICOM
    folders below.

    Where the network has several channels, nnU-Net's files ``case_0001`` and up belong to
    ``case_0000`` and are not cases of their own. A folder that holds nothing to read has a
    ``fault``.
    """
    found = open_folders(expand_sources(arguments), _cases_inside)
    paths = [path for source in found for path in source.paths]
    return [
        Case(source.name, fault=source.fault)
        if source.fault
        else case_of(source.path, num_channels)
        for source in found
        if source.fault or num_channels == 1 or not _belongs_to(source.path, paths)
    ]


def _cases_inside(folder: Path) -> list[Path]:
    if found := _in_folder(folder):
        return found
    raise InputError(folder, "the folder holds no scan and no image", "name a folder of cases")


def case_of(path: Path, num_channels: int) -> Case:
    """The case that ``path`` names: by nnU-Net's names with the files of its other channels, which
    need not be there."""
    match = CHANNEL.fullmatch(path.name)
    if num_channels == 1 or not match or int(match["number"]) != 0:
        return Case.of_inputs(str(path), [path])
    names = [f"{match['case']}_{number:04d}{match['suffix']}" for number in range(num_channels)]
    return Case.of_inputs(str(path), [path.with_name(name) for name in names])


def read_source(source: Source, *, series: int | None = None, volume: int | None = None) -> Volume:
    """The volume of a case, or of another source's paths as its channels; errors as in
    ``read_case``, also where a case lacks one of its channels."""
    inputs = source.inputs if isinstance(source, Case) else source.paths
    # A first file that is missing is named by its reader; its siblings only exist by its name.
    missing = [path.name for path in inputs[1:] if not path.exists()]
    if missing and inputs[0].exists():
        raise InputError(
            source.name,
            f"lacks its channel {missing[0]}",
            f"put all {len(inputs)} files of the case beside it",
        )
    return read_case(inputs, series=series, volume=volume)


def read_case(
    files: Path | Sequence[Path], *, series: int | None = None, volume: int | None = None
) -> Volume:
    """One case: a file, a DICOM folder, or several files that are its channels, in order.

    ``series`` chooses among a folder's DICOM series and ``volume`` one of a file's fourth axis,
    both from 1. Raises InputError for what cannot be read and for files of one case that do not lie
    on the same grid.
    """
    files = [files] if isinstance(files, Path) else list(files)
    volumes = [_read(path, series) for path in files]
    first = volumes[0]
    for path, other in zip(files, volumes, strict=True):
        _check_same_grid(path, first, other)
    if len(volumes) > 1:
        first = _joined(files, volumes)
    return first if volume is None else _one_volume(files[0], first, volume)


def _read(path: Path, series: int | None) -> Volume:
    """By content; each library is loaded only where a file wants it."""
    if slices := _slices(path):
        from medical_segment.files.dicom import read_dicom

        return read_dicom(path, slices, series)
    if path.is_dir():
        raise InputError(path, "the folder holds no DICOM file", "name the folder of one series")
    if _is_nifti(_start(require_file(path))):
        from medical_segment.files.nifti import read_nifti

        return read_nifti(path)
    from medical_segment.files.images import read_pages

    return read_pages(path)


def _slices(path: Path) -> list[Path]:
    """The DICOM files directly in a folder, naturally sorted, or the file itself where it is
    one."""
    if path.is_dir():
        files = (file for file in path.iterdir() if file.is_file())
        return natural_sorted(file for file in files if _is_dicom(file))
    return [path] if _is_dicom(path) else []


def _is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except (OSError, ValueError):
        return False


def _is_nifti(start: bytes) -> bool:
    """Whether a file that begins so (unpacked) has a NIfTI header."""
    return len(start) >= 4 and any(
        int.from_bytes(start[:4], order) in NIFTI_HEADERS for order in ("little", "big")
    )


def _start(path: Path) -> bytes:
    """A file's first bytes, unpacked where it is packed."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        with gzip.open(path) as file:
            return file.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, "is cut short or damaged", COPY_AGAIN) from error


def _check_same_grid(path: Path, first: Volume, other: Volume) -> None:
    if other.shape != first.shape:
        sizes = " x ".join(map(str, other.shape))
        raise InputError(
            path,
            f"has another size ({sizes}) than the first of its case",
            "register them to one grid",
        )
    # Two opposite corners: grids that agree there agree everywhere between.
    corners = np.array([[0, 0, 0, 1], [*(np.array([*first.shape, 1, 1])[:3] - 1), 1]]).T
    if np.abs((other.affine - first.affine) @ corners).max() > SAME_GRID:
        raise InputError(
            path, "lies elsewhere than the first of its case", "register them to one grid"
        )


def _joined(files: Sequence[Path], volumes: Sequence[Volume]) -> Volume:
    damage = tuple(
        f"{path.name}: {text}"
        for path, volume in zip(files, volumes, strict=True)
        for text in volume.damage
    )
    data = np.concatenate([volume.data for volume in volumes])
    return replace(volumes[0], data=data, damage=damage)


def _one_volume(path: Path, volume: Volume, number: int) -> Volume:
    count = len(volume.data)
    if number > count:
        raise InputError(
            path, f"has no volume {number}, only {count}", "choose another with --volume"
        )
    return replace(volume, data=volume.data[number - 1 : number])


def _in_folder(folder: Path) -> list[Path]:
    """The folder itself where it holds DICOM files, else all cases below it."""
    if _slices(folder):
        return [folder]
    files = [path for path in folder.iterdir() if path.is_file() and _is_readable(path)]
    below = [case for inner in folder.iterdir() if inner.is_dir() for case in _in_folder(inner)]
    return natural_sorted([*files, *below])


def _is_readable(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(SCAN_SUFFIXES) or path.suffix.lower() in IMAGE_SUFFIXES


def _belongs_to(path: Path, found: Sequence[Path]) -> bool:
    match = CHANNEL.fullmatch(path.name)
    if not match or int(match["number"]) == 0:
        return False
    return path.with_name(f"{match['case']}_0000{match['suffix']}") in found
