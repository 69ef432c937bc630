"""A result's maps as files: NIfTI for scans, PNG or TIFF for pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from medical_segment.nifti import write_nifti
from medical_segment.volume import Volume

if TYPE_CHECKING:
    from medical_segment.result import Result


def write_maps(result: "Result", folder: Path) -> None:
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
        write_nifti(folder / f"{name}.nii.gz", values, volume)
    elif values.ndim == 2:
        Image.fromarray(values).save(folder / f"{name}.png")
    else:
        tifffile.imwrite(
            folder / f"{name}.tif",
            values,
            photometric="minisblack",
            compression="zlib",
            metadata={"axes": "ZYX"},
        )


def _write_probabilities(result: "Result", folder: Path) -> None:
    """float32: the channels are NIfTI's fourth axis, or a TIFF's C."""
    values = result.probabilities.astype(np.float32, copy=False)
    if result.volume.has_millimetres:
        values = values if values.ndim == 4 else values[:, :, :, None]
        write_nifti(folder / "probabilities.nii.gz", np.moveaxis(values, 0, -1), result.volume)
        return
    axes = "CYX" if values.ndim == 3 else "CZYX"
    tifffile.imwrite(
        folder / "probabilities.tif",
        values,
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": axes},
    )


def _plain(name: str) -> str:
    """A label's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60]
