"""The box of dlib's HOG face detector, imitated: official deepfake weights were trained on crops of
it."""

# Of the square, in units of sqrt(width * height); all four figures were fitted on 223 matched faces
SIDE = 0.96
SHIFT_X, SHIFT_Y = 0.018, 0.053  # of its centre, in units of width and height
ASPECT = 1.106 / 0.830  # height over width of a detector's box

Box = tuple[float, float, float, float]


def official_box(box: Box) -> Box:
    """The square (x0, y0, x1, y1) that dlib's HOG detector would give for a face whose detector box
    is ``box``."""
    x0, y0, x1, y1 = box
    width, height = max(x1 - x0, 0.0), max(y1 - y0, 0.0)
    half = SIDE * (width * height) ** 0.5 / 2
    x, y = (x0 + x1) / 2 + SHIFT_X * width, (y0 + y1) / 2 + SHIFT_Y * height
    return x - half, y - half, x + half, y + half


def detector_box(square: Box) -> Box:
    """The box of usual shape for which ``official_box`` gives ``square``."""
    x0, y0, x1, y1 = square
    width = (x1 - x0) / SIDE / ASPECT**0.5
    height = width * ASPECT
    x, y = (x0 + x1) / 2 - SHIFT_X * width, (y0 + y1) / 2 - SHIFT_Y * height
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
