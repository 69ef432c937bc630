"""Before, after, and what changed, side by side."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from change_detect.result import Result, area_text

PAPER, INK, FADED = (253, 253, 252), (35, 39, 43), (110, 115, 120)
CHANGED = (230, 80, 0)
SIDE = 480  # pixels of a panel, at most and about
GAP = 12


def draw(result: Result, path: Path) -> None:
    """Three panels of the same size and a line of figures under them."""
    panels = [*result.pictures, overlay(result)]
    scale = SIDE / max(panels[0].shape[:2])
    high, wide = (max(1, round(side * scale)) for side in panels[0].shape[:2])
    size = (wide, high)
    kind = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    images = [Image.fromarray(panel).resize(size, kind) for panel in panels]
    head, foot = 34, 44
    sheet = Image.new("RGB", (3 * size[0] + 4 * GAP, size[1] + head + foot), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    titles = (f"before: {result.names[0]}", f"after: {result.names[1]}", "changed")
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        left = GAP + number * (size[0] + GAP)
        sheet.paste(image, (left, head))
        pen.text((left, 8), _fitting(title, font, size[0]), INK, font)
    known = result.areas and area_text(result.areas["changed"])
    figures = f"{result.share:.2%} changed" + (f", {known}" if known else "")
    count = len(result.objects)
    figures += f", {count} object{'s' * (count != 1)}, threshold {result.threshold:.2f}"
    pen.text(
        (GAP, size[1] + head + 12), _fitting(figures, font, sheet.width - 2 * GAP), FADED, font
    )
    sheet.save(path)


def overlay(result: Result) -> np.ndarray:
    """The later date, greyer, with changed pixels in colour (rows, columns, 3)."""
    after = result.pictures[1].astype(np.float32)
    grey = after.mean(axis=2, keepdims=True)
    shown = 0.5 * after + 0.3 * grey + 40
    changed, missing = reduced(result)
    shown[changed] = 0.35 * shown[changed] + 0.65 * np.array(CHANGED, np.float32)
    shown[missing] = 128
    return np.clip(shown, 0, 255).astype(np.uint8)


def reduced(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Where something changed and where there is no data, reduced as the pictures are: a cell is
    changed where any of its pixels is."""
    step, shape = result.reduced, result.pictures[0].shape[:2]
    changed, missing = np.zeros(shape, bool), np.zeros(shape, bool)
    for rows, strip in result.mask.strips(step * max(1, 512 // step)):
        padding = [(0, -side % step) for side in strip.shape]
        cells = [np.pad(strip == 1, padding), np.pad(strip == 255, padding, constant_values=True)]
        shapes = [c.reshape(c.shape[0] // step, step, -1, step) for c in cells]
        top = rows.start // step
        place = slice(top, top + shapes[0].shape[0])
        changed[place], missing[place] = shapes[0].any((1, 3)), shapes[1].all((1, 3))
    return changed, missing


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while len(text) > 4 and font.getlength(text) > width:
        text = f"{text[: len(text) // 2 - 1]}…{text[len(text) // 2 + 2 :]}"
    return text
