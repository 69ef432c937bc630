"""A result as files; ``result.json`` is written by the core."""

from pathlib import Path

import numpy as np
from PIL import Image

from carla_drive.result import Result
from carla_drive.world.labels import COLOURS, NAMES
from vitrail.report import Page

OPACITY = 0.5


def write(result: Result, folder: Path) -> None:
    """``semantics.png`` holds the ids, ``overlay.png`` their colours over the picture, ``bird.png``
    the view from above where depth was given."""
    Image.fromarray(result.semantics).save(folder / "semantics.png")
    colours = COLOURS[result.semantics]
    overlay = np.rint(result.picture * (1 - OPACITY) + colours * OPACITY).astype(np.uint8)
    Image.fromarray(overlay).save(folder / "overlay.png")
    page = Page("What is on the road")
    shares = {name: f"{share:.1%}" for name, share in result.shares.items()}
    page.facts({"red light": f"{result.red_light:.2f}", **shares})
    page.picture(overlay, "Classes over the picture", lossless=True)
    if result.bird is not None:
        seen = result.bird < len(NAMES)
        above = np.full((*result.bird.shape, 3), 24, np.uint8)
        above[seen] = COLOURS[result.bird[seen]]
        Image.fromarray(above).save(folder / "bird.png")
        page.picture(above, "From above: 192 m across, 40 m ahead", lossless=True)
    page.write(folder / "page.html")
