"""From answers about pixels to a result: the canvas filled as the options say, and what is to be
said of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hsi_classify.options import Options
from hsi_classify.result import Result
from hsi_classify.scene.canvas import Canvas
from hsi_classify.scene.scene import Scene
from hsi_classify.scene.whole import (
    GUIDES,
    Answer,
    by_superpixels,
    compare,
    every_nth,
    every_pixel,
)
from vitrail.job import Steps


def fill(
    scene: Scene, canvas: Canvas, answer: Answer, axes: np.ndarray, settings: Options
) -> Steps:
    """Fills the canvas as ``settings`` say, and gives what the row and its reasons tell of a map
    that is not computed pixel by pixel. ``axes`` (bands, C) make of spectra what a network sees."""
    seen = None
    if settings.is_exact:
        yield from every_pixel(scene, canvas, answer)
        return {}, ()
    if not any(block.inner.any() for block in scene.blocks()):
        return {}, ()
    if settings.stride:
        computed = yield from every_nth(scene, canvas, answer, axes[:, :GUIDES], settings.stride)
    elif settings.superpixels:
        computed = yield from by_superpixels(
            scene, canvas, answer, axes[:, :GUIDES], settings.superpixels
        )
    else:
        from hsi_classify.fit.student import by_student

        seen = yield from by_student(scene, canvas, answer, axes)
        computed = len(seen)
    agreement = yield from compare(scene, canvas, answer, computed, seen)
    return agreement.figures, (agreement.sentence,)


def map_result(
    scene: Scene,
    canvas: Canvas,
    made_by: Mapping[str, Any],
    names: Mapping[int, str],
    colours: Mapping[int, tuple[int, int, int]],
    *,
    notes: Sequence[str] = (),
    reasons: Sequence[str] = (),
    **more: Any,
) -> Result:
    """The result of a scene whose canvas is filled; ``reasons`` and ``notes`` of who filled it come
    before what is to be said of the cube and its bands. ``more`` are fields of the result."""
    from hsi_classify.show.envi import tilt
    from vitrail.raster import pixel_area
    from vitrail.report.palette import colour

    cube, ids = scene.cube, canvas.ids
    kept, waves = scene.bands.kept, cube.wavelengths
    area, sheared = None, ()
    if cube.transform is not None:
        area = pixel_area(cube.crs, cube.transform, np.arange(cube.size[0]))
        if tilt(cube.transform) is None:
            sheared = ("the cube's grid is sheared or mirrored: classes.hdr cannot say where",)
    said = [*cube.notes, *notes, *scene.bands.sentences(), *scene.notes, *sheared]
    if empty := int((canvas.classes == 0).sum()):
        zeros = " or are 0 in all" if cube.nodata is None else ""
        said.append(f"{empty} pixels have no class: they lack data in a band{zeros}")
    if area is None:
        said.append("the cube has no coordinate reference system: areas are in pixels")
    return Result(
        cube.name,
        canvas.classes,
        canvas.probability,
        canvas.margin,
        ids,
        names,
        # By place, not by id: neighbours in the palette are the easiest to tell apart.
        {**{value: colour(n) for n, value in enumerate(ids)}, **colours},
        cube.crs,
        cube.transform,
        area,
        {**made_by, "bands": len(kept)},
        cube.damage,
        (*reasons, *said),
        axis=tuple(waves[n] if waves else float(n + 1) for n in kept),
        has_wavelengths=waves is not None,
        **more,
    )
