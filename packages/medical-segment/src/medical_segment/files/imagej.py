"""Outlines of objects as ImageJ and Fiji open them in their ROI Manager."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from medical_segment.files.tracing import outlines
from vitrail.errors import MissingError


def require_roifile() -> None:
    """MissingError where the library is not installed."""
    if importlib.util.find_spec("roifile") is None:
        raise MissingError(
            "roifile", "ImageJ's ROIs need this library", "install vitrail-medical-segment[imagej]"
        )


def write_rois(path: Path, maps: Iterable[tuple[np.ndarray, Mapping[int, str]]]) -> None:
    """Writes a zip with the outlines of what is numbered in ``maps``, each (rows, columns), or
    (pages, rows, columns) with the page of each outline, and the numbers' names.

    ImageJ counts from a pixel's corner. An object in several pieces, or with holes, has an outline
    for each. Where there are none, no file is written.
    """
    from roifile import ImagejRoi, roiwrite

    rois = []
    for numbers, names in maps:
        for page, picture in enumerate(numbers.reshape(-1, *numbers.shape[-2:])):
            for number, line in _lines(picture):
                corners = np.float32(line[:, ::-1] + 0.5)  # x, y
                position = page if numbers.ndim == 3 else None
                roi = ImagejRoi.frompoints(corners, name=names[number], position=position)
                rois.append(roi)
    if rois:
        roiwrite(path, rois, mode="w")


def _lines(picture: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The outlines of each number in a map (rows, columns)."""
    from scipy.ndimage import find_objects

    for number, box in enumerate(find_objects(picture.astype(np.int32)), start=1):
        if box is not None:
            for line in outlines(picture[box] == number):
                yield number, line + [side.start for side in box]
