"""The map and the confusion of classes as pictures."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hsi_classify.result import Result
from vitrail.errors import one_line
from vitrail.report.palette import heat, ink_on

MIN_SIDE, MAX_SIDE = 560, 2400  # pixels of the picture's longer side
PAPER, INK = (253, 253, 252), (35, 39, 43)
FONT = 16
MAX_NAME = 40
CELL = 44


def colour_map(result: Result) -> np.ndarray:
    """uint8 (rows, columns, 3); white where there is no class."""
    table = np.full((int(result.classes.max()) + 1, 3), 255, np.uint8)
    for value in result.ids:
        if value < len(table):
            table[value] = result.colours[value]
    return table[result.classes]


def thinning(result: Result) -> int:
    """Which pixels the picture shows: every n-th of a large scene."""
    return -(-max(result.classes.shape) // MAX_SIDE)


def draw_map(result: Result) -> np.ndarray:
    """uint8 (H, W, 3): the map, enlarged or thinned out by whole numbers, with its legend."""
    image, step = colour_map(result), thinning(result)
    longest = max(image.shape[:2])
    if longest < MIN_SIDE:
        factor = -(-MIN_SIDE // longest)
        image = image.repeat(factor, 0).repeat(factor, 1)
    image = image[::step, ::step]
    font = ImageFont.load_default(FONT)
    shares = {value: share for value, _, _, share, _ in result.areas}
    texts = [
        (value, f"{one_line(result.names.get(value, str(value)), MAX_NAME)}  {shares[value]:.1%}")
        for value in result.ids
    ]
    row = round(FONT * 1.6)
    width = round(max(font.getlength(text) for _, text in texts)) + 3 * FONT
    columns = max(1, image.shape[1] // width)
    lines = -(-len(texts) // columns)
    strip = Image.new("RGB", (max(image.shape[1], width), lines * row + FONT), PAPER)
    pen = ImageDraw.Draw(strip)
    for number, (value, text) in enumerate(texts):
        x, y = (number % columns) * width + FONT // 2, (number // columns) * row + FONT // 2
        pen.rectangle((x, y, x + FONT, y + FONT), result.colours[value], INK)
        pen.text((x + FONT * 1.5, y - 1), text, INK, font)
    canvas = Image.new("RGB", (strip.width, image.shape[0] + strip.height), PAPER)
    canvas.paste(Image.fromarray(image), (0, 0))
    canvas.paste(strip, (0, image.shape[0]))
    return np.asarray(canvas)


def draw_confusion(result: Result) -> np.ndarray:
    """uint8 (H, W, 3): true classes in rows, guesses in columns, each row's shares as colours and
    its counts as numbers."""
    score = result.score
    assert score is not None
    names = [one_line(result.names.get(int(v), str(v)), 28) for v in score.classes]
    font, small = ImageFont.load_default(FONT - 2), ImageFont.load_default(FONT - 4)
    left = round(max(font.getlength(name) for name in names)) + 2 * FONT
    count, top = len(names), 2 * FONT + 10
    image = Image.new("RGB", (left + count * CELL + FONT, top + count * CELL + FONT), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((FONT // 2, FONT // 2), "true class \\ on the map", INK, small)
    totals = np.maximum(score.totals[:, None], 1)
    tones = heat(score.confusion / totals)
    for row in range(count):
        pen.text((FONT // 2, top + row * CELL + CELL // 3), names[row], INK, font)
        pen.text((left + row * CELL + 8, top - FONT), str(score.classes[row]), INK, small)
        for column in range(count):
            x, y = left + column * CELL, top + row * CELL
            tone = tuple(int(part) for part in tones[row, column])
            pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), tone)
            text = str(score.confusion[row, column])
            if text != "0":
                red, green, blue = tone
                pen.text((x + 4, y + CELL // 3), text, ink_on((red, green, blue)), small)
    return np.asarray(image)
