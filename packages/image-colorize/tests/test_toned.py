"""The measure by which ``--skip-coloured`` tells colour photographs from toned scans."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from image_colorize.color import lab_to_rgb, rgb_to_lab
from image_colorize.seen import COLOURED, look
from vitrail.preprocess.image import read_image
from vitrail.testing.beside import DATA, needs

SIZE = 112  # the bundled network's
PHOTOGRAPHS = DATA / "colorize" / "test" / "imgs"


def sepia(lightness: np.ndarray) -> np.ndarray:
    warm = np.sin(lightness / 100 * np.pi)
    return levels(lightness, 4 + 6 * warm, 8 + 14 * warm)


def duotone(lightness: np.ndarray) -> np.ndarray:
    """Blue shadows, yellow lights."""
    share = lightness / 100
    return levels(lightness, 5 * share, 15 * share - 15 * (1 - share))


def yellowed(lightness: np.ndarray) -> np.ndarray:
    """Warm, more so towards the border, with a scanner's colour noise, as JPEG of quality 60."""
    y, x = np.mgrid[: lightness.shape[0], : lightness.shape[1]] / (len(lightness) - 1)
    border = (2 * np.maximum(abs(x - 0.5), abs(y - 0.5))) ** 3
    clean = levels(lightness, 5 + 3 * border, 12 + 8 * border)
    noise = np.random.default_rng(0).normal(0, 6, clean.shape)
    buffer = io.BytesIO()
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def levels(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    rgb = lab_to_rgb(np.dstack([lightness, a + 0 * lightness, b + 0 * lightness]))
    return np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("tone", [sepia, duotone, yellowed])
def test_a_made_scan_counts_as_grey(tone):
    rng = np.random.default_rng(1)
    scene = cv2.resize(rng.uniform(5, 95, (12, 12)), (256, 256), interpolation=cv2.INTER_CUBIC)
    assert look(tone(scene.clip(0, 100)), SIZE).own_colour < COLOURED


@needs(PHOTOGRAPHS)
def test_photographs_have_colours_and_their_toned_copies_none():
    photographs = sorted(PHOTOGRAPHS.glob("*.jpg"))
    assert len(photographs) == 24
    for path in photographs:
        image = read_image(path)
        assert look(image, SIZE).own_colour > COLOURED, path
        small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA) / 255
        for tone in (sepia, duotone, yellowed):
            toned = tone(rgb_to_lab(small)[..., 0])
            assert look(toned, SIZE).own_colour < COLOURED, (path, tone)
