"""Any input as a volume, by its content and not by its name; several files as the channels of one
case."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medical_segment.files.finding import Case, Input
from medical_segment.files.kinds import first_bytes, is_itk, is_nifti, refuse_others
from medical_segment.files.volume import Volume
from vitrail.errors import InputError
from vitrail.sources import Source, require_file

SAME_GRID = 1e-3  # mm


def read_source(source: Source, *, series: int | None = None, volume: int | None = None) -> Volume:
    """The volume of a case, or of another source's paths as its channels; errors as in
    ``read_case``, also where a case lacks one of its channels."""
    inputs = source.inputs if isinstance(source, Case) else [*map(Input.of, source.paths)]
    # A first file that is missing is named by its reader; its siblings only exist by its name.
    missing = [part.path.name for part in inputs[1:] if not part.path.exists()]
    if missing and inputs[0].path.exists():
        raise InputError(
            source.name,
            f"lacks its channel {missing[0]}",
            f"put all {len(inputs)} files of the case beside it",
        )
    return _read_all(inputs, series, volume)


def read_case(
    files: Path | Sequence[Path], *, series: int | None = None, volume: int | None = None
) -> Volume:
    """One case: a file, a DICOM folder, or several files that are its channels, in order.

    ``series`` chooses among a folder's DICOM series and ``volume`` one of a file's fourth axis,
    both from 1. Raises InputError for what cannot be read and for files of one case that do not lie
    on the same grid.
    """
    files = [files] if isinstance(files, Path) else files
    return _read_all([*map(Input.of, files)], series, volume)


def _read_all(inputs: Sequence[Input], series: int | None, volume: int | None) -> Volume:
    volumes = [_read(part, series) for part in inputs]
    first, paths = volumes[0], [part.path for part in inputs]
    for path, other in zip(paths, volumes, strict=True):
        _check_same_grid(path, first, other)
    if len(volumes) > 1:
        first = _joined(paths, volumes)
    return first if volume is None else _one_volume(paths[0], first, volume)


def _read(part: Input, series: int | None) -> Volume:
    """By content; each library is loaded only where a file wants it."""
    path = part.path
    if part.slices:
        from medical_segment.files.dicom import read_dicom

        return read_dicom(path, part.slices, series)
    if path.is_dir():
        raise InputError(path, "the folder holds no DICOM file", "name the folder of one series")
    start = first_bytes(require_file(path))
    refuse_others(path, start)
    if is_nifti(start):
        from medical_segment.files.nifti import read_nifti

        return read_nifti(path)
    if is_itk(start):
        from medical_segment.files.itk import read_itk

        return read_itk(path)
    from medical_segment.files.images import read_pages

    return read_pages(path)


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
