"""Makes ``portrait.mp4`` beside this script: a slow camera move over one public-domain
photograph."""

from collections.abc import Iterator
from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from vitrail.testing.media import write_clip

FRAMES, FPS, SIZE = 75, 25, 480


def camera_move(photograph: Image.Image) -> Iterator[np.ndarray]:
    """Zooms in by a fifth while it pans, sways by three degrees and breathes in brightness."""
    for index in range(FRAMES):
        progress = index / (FRAMES - 1)
        eased = (1 - cos(pi * progress)) / 2
        width = 390 - 70 * eased
        centre_x, centre_y = 252 - 20 * eased, 208 - 26 * eased
        angle = radians(3 * sin(2 * pi * progress))
        across, down = width / SIZE * cos(angle), width / SIZE * sin(angle)
        corner_x = centre_x - SIZE / 2 * (across - down)
        corner_y = centre_y - SIZE / 2 * (down + across)
        view = (across, -down, corner_x, down, across, corner_y)
        frame = photograph.transform(
            (SIZE, SIZE), Image.Transform.AFFINE, view, Image.Resampling.BICUBIC
        )
        yield np.asarray(
            frame.point(lambda value, gain=1 + 0.06 * sin(pi * progress): value * gain)
        )


if __name__ == "__main__":
    target = Path(__file__).with_name("portrait.mp4")
    write_clip(
        target,
        camera_move(Image.fromarray(astronaut())),
        fps=FPS,
        options={"crf": "24", "preset": "slow"},
    )
    print(f"{target.name}: {target.stat().st_size:,} bytes")
