"""``carla-drive perceive``: what the network sees in single frames."""

from pathlib import Path
from typing import Annotated

import typer

from vitrail.errors import InputError
from vitrail.options import Answering, Computing, Sources, bundled


@bundled
def perceive(
    sources: Sources,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Bundled, your own, or an official file."),
    ] = None,
    fov: Annotated[
        float, typer.Option(metavar="DEG", help="Horizontal field of view of the camera.")
    ] = 90.0,
    depth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CARLA's coded depth of the same frame, for one SOURCE."),
    ] = None,
    *,
    answering: Answering,
    computing: Computing,
) -> int:
    """Which pixel is road, car, sky, and is there a red light?

    Takes frames of any size and camera. With -o it writes semantics.png (CARLA's ids), the classes
    over the picture, and with --depth the view from above.
    """
    from carla_drive import load
    from carla_drive.writing import write
    from vitrail.answers import Answers
    from vitrail.sources import expand_sources, image_files, open_folders

    def inside(folder: Path) -> list[Path]:
        found = image_files(folder)
        if not found:
            raise InputError(folder, "the folder holds no image", "name a folder of frames")
        return found

    job = load(weights, fov=fov, depth=depth, **computing.to_dict())
    found = open_folders(expand_sources(sources), inside)
    return Answers("carla-drive", job, answering, write).run(found)
