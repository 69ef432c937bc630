"""Any input as a volume, by its content and not by its name; several files as the channels of one
case."""

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medical_segment.volume import Volume
from vitrail.errors import InputError
from vitrail.sources import IMAGE_SUFFIXES, expand_sources, natural_sorted, require_file

SCAN_SUFFIXES = (".nii", ".nii.gz")
CHANNEL = re.compile(
    r"(?P<case>.+)_(?P<number>\d{4})(?P<suffix>\.nii(\.gz)?|\.png|\.tiff?)", re.IGNORECASE
)
SAME_GRID = 1e-3  # mm


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


def find_sources(arguments: Sequence[str], num_channels: int) -> list[Path]:
    """What the user named, a case each: files as they are; of a folder its scans, pictures and
    DICOM folders below.

    Where the network has several channels, nnU-Net's files ``case_0001`` and up belong to
    ``case_0000`` and are no cases of their own. InputError for a folder that holds nothing to read.
    """
    found: list[Path] = []
    for path in expand_sources(arguments):
        inside = _in_folder(path) if path.is_dir() else [path]
        if not inside:
            raise InputError(
                path, "the folder holds no scan and no picture", "name a folder of cases"
            )
        found += inside
    return [
        path for path in dict.fromkeys(found) if num_channels == 1 or not _belongs_to(path, found)
    ]


def case_files(source: Path, num_channels: int) -> list[Path]:
    """The files of the case that ``source`` names; InputError where nnU-Net's names say that one is
    missing."""
    match = CHANNEL.fullmatch(source.name)
    if num_channels == 1 or not match or int(match["number"]) != 0:
        return [source]
    names = [f"{match['case']}_{number:04d}{match['suffix']}" for number in range(num_channels)]
    files = [source.with_name(name) for name in names]
    missing = [path.name for path in files if not path.exists()]
    if missing:
        raise InputError(
            source,
            f"lacks its channel {missing[0]}",
            f"put all {num_channels} files of the case beside it",
        )
    return files


def _read(path: Path, series: int | None) -> Volume:
    from medical_segment import dicom, nifti, pictures

    if path.is_dir() or dicom.is_dicom(path):
        return dicom.read_dicom(path, series)
    if nifti.is_nifti(_start(require_file(path))):
        return nifti.read_nifti(path)
    return pictures.read_picture(path)


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
        raise InputError(
            path, "is cut short or damaged", "copy it again from where it came"
        ) from error


def _check_same_grid(path: Path, first: Volume, other: Volume) -> None:
    if other.shape != first.shape:
        sizes = " x ".join(map(str, other.shape))
        raise InputError(
            path,
            f"has another size ({sizes}) than the first of its case",
            "register them to one grid",
        )
    corners = np.array([[0, 0, 0, 1], [*(np.array([*first.shape, 1, 1])[:3] - 1), 1]]).T
    if np.abs((other.affine - first.affine) @ corners).max() > SAME_GRID:
        raise InputError(
            path, "lies elsewhere than the first of its case", "register them to one grid"
        )


def _joined(files: Sequence[Path], volumes: Sequence[Volume]) -> Volume:
    first = volumes[0]
    data = np.concatenate([volume.data for volume in volumes])
    damage = tuple(
        f"{path.name}: {text}"
        for path, volume in zip(files, volumes, strict=True)
        for text in volume.damage
    )
    return Volume(data, first.affine, first.kind, first.header, first.files, damage)


def _one_volume(path: Path, volume: Volume, number: int) -> Volume:
    count = len(volume.data)
    if number > count:
        raise InputError(
            path, f"has no volume {number}, only {count}", "choose another with --volume"
        )
    parts = {**vars(volume), "data": volume.data[number - 1 : number]}
    return Volume(**parts)


def _in_folder(folder: Path) -> list[Path]:
    """The folder itself where it holds DICOM files, else all cases below it."""
    from medical_segment.dicom import dicom_files

    if dicom_files(folder):
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
