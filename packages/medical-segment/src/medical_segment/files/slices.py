"""Where the slices of a DICOM series lie, and the grid that they make together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medical_segment.files.series import COPY_AGAIN, Slice, reading
from medical_segment.files.volume import MAX_VOXELS
from vitrail.errors import InputError

UNEVEN, NOTABLE = 0.1, 0.02  # of the distance between slices
ASIDE = 0.5  # of a pixel over the whole stack: less is how positions were rounded, more is a tilt
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and to the back


def in_order(
    path: Path, slices: Sequence[Slice]
) -> tuple[list[Slice], np.ndarray, tuple[str, ...]]:
    """Sorted along the normal of the slices; the affine from (column, row, slice) to RAS
    millimetres; and what is odd about their places.

    The affine is orthogonal, unless the slices really are shifted against each other as a tilted
    gantry does. InputError where slices are missing, twice there, or not parallel.
    """
    first = slices[0].header
    _require_tags(path, slices)
    with reading(path):
        rows, columns = int(first.Rows), int(first.Columns)
        orientation = _numbers(first.ImageOrientationPatient, 6)
        across, down = orientation[:3], orientation[3:]
        spacing = _numbers(first.PixelSpacing, 2)
        thickness = float(first.get("SliceThickness") or 1.0)
        for part in slices:
            header = part.header
            if (int(header.Rows), int(header.Columns)) != (rows, columns):
                raise InputError(path, "has slices of different size", COPY_AGAIN)
            if not np.allclose(_numbers(header.PixelSpacing, 2), spacing, rtol=1e-3):
                raise InputError(path, "has slices of different pixel spacing", COPY_AGAIN)
            if not np.allclose(_numbers(header.ImageOrientationPatient, 6), orientation, atol=1e-3):
                raise InputError(
                    path, "has slices of different orientation", "leave out the localizer"
                )
        places = np.array([_numbers(part.header.ImagePositionPatient, 3) for part in slices])
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
    # Tags are rounded to a few digits; ITK takes none but axes at right angles.
    across = across / np.linalg.norm(across)
    normal = np.cross(across, down)
    normal /= np.linalg.norm(normal)
    down = np.cross(normal, across)
    # Along the normal and never by name: names and instance numbers lie.
    order = np.argsort(places @ normal, kind="stable")
    places = places[order]
    if len(slices) > 1:
        step, said = _step(path, places, normal, float(spacing.min()))
    else:
        step, said = normal * thickness, ()
        if not first.get("SliceThickness"):
            said = ("is one slice of unknown thickness, taken as 1 mm",)
    affine = np.eye(4)
    affine[:3] = np.stack([across * spacing[1], down * spacing[0], step, places[0]], axis=1)
    return [slices[number] for number in order], TO_RAS @ affine, said


def _require_tags(path: Path, slices: Sequence[Slice]) -> None:
    names = {
        "ImageOrientationPatient": "orientation",
        "PixelSpacing": "pixel spacing, so that nothing in it can be measured",
    }
    for tag, words in names.items():
        if any(not part.header.get(tag) for part in slices):
            raise InputError(path, f"lacks its {words}", "take it again from its archive")


def _step(
    path: Path, places: np.ndarray, normal: np.ndarray, pixel: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """From one slice to the next in mm, and remarks; InputError where slices are missing, lie twice
    at one place, or beside each other without a rule."""
    steps = np.diff(places @ normal)
    usual = float(np.median(steps))
    if steps.min() < 1e-3:
        raise InputError(
            path,
            "has several images at one place (echoes or times)",
            "keep one image for each position",
        )
    apart = f"{steps.min():.2f} to {steps.max():.2f} mm"
    if np.abs(steps - usual).max() > UNEVEN * usual:
        problem = f"has slices missing or unevenly spaced ({apart})"
        raise InputError(path, problem, COPY_AGAIN)
    said = []
    if np.abs(steps - usual).max() > NOTABLE * usual:
        said.append(f"its slices lie {apart} apart and were taken as evenly spaced")
    last = len(places) - 1
    whole = places[-1] - places[0]
    height = float(whole @ normal)
    aside = whole - normal * height
    tilted = bool(np.linalg.norm(aside) > ASIDE * pixel)
    step = whole / last if tilted else normal * (height / last)
    beside = places - places[0] - np.arange(last + 1)[:, None] * step
    shifted = float(np.linalg.norm(beside - (beside @ normal)[:, None] * normal, axis=1).max())
    if shifted > 2 * ASIDE * pixel:
        problem = f"has slices that lie up to {shifted:.1f} mm beside each other"
        raise InputError(path, problem, "is it one series? register its slices first")
    if shifted > NOTABLE * pixel:
        said.append(f"its slices lie up to {shifted:.2g} mm beside a straight line")
    if tilted:
        angle = float(np.degrees(np.arctan2(np.linalg.norm(aside), height)))
        said.append(
            f"its slices are shifted against each other by {angle:.1f} degrees (a tilted gantry)"
        )
    return step, tuple(said)


def _numbers(values: Sequence, count: int) -> np.ndarray:
    numbers = np.array([float(value) for value in values])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError
    return numbers
