"""What holds on photographs that nothing was trained or chosen on."""

import cv2
import numpy as np
import pytest

from image_colorize.color import rgb_to_lab
from image_colorize.evaluation import read_case
from image_colorize.merge import lightness_of
from image_colorize.seen import cell_of
from vitrail.testing.beside import DATA, needs

TEST = DATA / "colorize" / "test"
NAMES = ("kodim03", "kodim14", "kodim23")


@needs(TEST)
@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_lightness(job, name):
    """The same at 0.5, 1, 2 and 4 times the size within 3 of a and b; L within 1 inside the gamut;
    hints honoured."""
    case = read_case(TEST / "imgs" / f"{name}.jpg", TEST)
    grey = cv2.cvtColor(case.rgb, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    hints, found = case.hints[50], []
    for scale in (0.5, 1, 2, 4):
        size = round(width * scale), round(height * scale)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        found.append(job.predict(cv2.resize(grey, size, interpolation=how), hints))
    for other in (found[0], *found[2:]):
        assert np.abs(other.chroma - found[1].chroma).mean() < 3
    result = found[1]
    difference = np.abs(lightness_of(result.rgb()) - lightness_of(grey))
    assert np.percentile(difference, 99) < 1
    chroma = [result.chroma[cell_of(one, job.shape)].mean((0, 1)) for one in result.placed]
    wished = [rgb_to_lab(np.array(one.shown) / 255)[1:] for one in result.placed]
    off = np.hypot(*(np.array(chroma) - wished).T)
    assert (off < 10).mean() > 0.95
