"""A result as files: maps (NIfTI for scans, PNG or TIFF for images), tables, overview, page."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from medical_segment.files.volume import Volume
from medical_segment.postprocess import Thing
from medical_segment.result import Result, Structure
from medical_segment.show import montage, viewer
from medical_segment.show.display import colours


def write(result: Result, folder: Path) -> None:
    """Writes the maps on the file's grid, tables, the overview and the page; a DICOM-SEG and
    outlines where the result asks for them."""
    write_maps(result, folder)
    _write_table(folder / "volumes.csv", Structure, result.structures)
    if result.instances is not None:
        _write_table(folder / "objects.csv", Thing, result.things)
    montage.draw(result, folder / "overview.png")
    viewer.write(result, folder / "viewer.html")
    if result.dicom_seg:
        from medical_segment.files.dicom_seg import write_dicom_seg

        write_dicom_seg(folder / "segmentation.dcm", result.volume, _masks(result))
    if result.outlines:
        _write_outlines(result, folder)


def _masks(result: Result) -> dict[str, np.ndarray]:
    return {structure.name: result.mask(structure.name) for structure in result.structures}


def _write_outlines(result: Result, folder: Path) -> None:
    if not result.is_image:
        from medical_segment.files.rtstruct import write_rtstruct

        masks = _masks(result)
        palette = dict(zip(masks, colours(len(masks)), strict=True))
        write_rtstruct(folder / "outlines.dcm", result.volume, masks, palette)
        return
    from medical_segment.files.imagej import write_rois

    if result.instances is None:
        maps = [(mask, {1: name}) for name, mask in _masks(result).items()]
    else:
        maps = [(result.instances, {thing.number: str(thing.number) for thing in result.things})]
    write_rois(folder / "outlines.zip", maps)


def write_maps(result: Result, folder: Path) -> None:
    """``labels``, and where the result has them ``instances``, ``probabilities`` and a
    ``region-NAME`` each."""
    maps = {"labels": result.labels, "instances": result.instances}
    if result.regions is not None:
        for name, mask in zip(result.plan.labels, result.regions, strict=True):
            maps[f"region-{_plain(name)}"] = mask.astype(np.uint8)
    for name, values in maps.items():
        if values is not None:
            write_map(result.volume, folder, name, values)
    if result.probabilities is not None:
        _write_probabilities(result, folder)


def write_map(volume: Volume, folder: Path, name: str, values: np.ndarray) -> None:
    """Whole numbers (spatial…) on the grid of ``volume``: NAME.nii.gz, NAME.png, or NAME.tif for
    several pages."""
    if volume.has_millimetres:
        from medical_segment.files.nifti import write_nifti

        write_nifti(folder / f"{name}.nii.gz", values, volume)
    elif values.ndim == 2:
        from PIL import Image

        Image.fromarray(values).save(folder / f"{name}.png")
    else:
        _write_tiff(folder / f"{name}.tif", values, "ZYX")


def _write_probabilities(result: Result, folder: Path) -> None:
    """float32: the channels are NIfTI's fourth axis, or a TIFF's C."""
    assert result.probabilities is not None
    values = result.probabilities.astype(np.float32, copy=False)
    if result.volume.has_millimetres:
        from medical_segment.files.nifti import write_nifti

        values = values if values.ndim == 4 else values[:, :, :, None]
        write_nifti(folder / "probabilities.nii.gz", np.moveaxis(values, 0, -1), result.volume)
    else:
        axes = "CYX" if values.ndim == 3 else "CZYX"
        _write_tiff(folder / "probabilities.tif", values, axes)


def _write_tiff(path: Path, values: np.ndarray, axes: str) -> None:
    import tifffile

    tifffile.imwrite(
        path, values, photometric="minisblack", compression="zlib", metadata={"axes": axes}
    )


def _write_table(path: Path, kind: type, rows: Sequence[Any]) -> None:
    """Dataclasses of one ``kind`` as CSV, one row each."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(kind)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def _plain(name: str) -> str:
    """A label's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60]
