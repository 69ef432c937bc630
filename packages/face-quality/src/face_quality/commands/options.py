"""What several subcommands ask in the same way, and the job and pictures that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.errors import InputError
from vitrail.options import Computing
from vitrail.say import warn, warn_left_out

if TYPE_CHECKING:
    from face_quality.job import QualityJob
    from vitrail.sources import Source

COMMAND = "face-quality"


@dataclass(frozen=True)
class Judging:
    """Which network judges, and how its number is read."""

    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", help="small, your own, or a checkpoint of the release (model.pt)."
        ),
    ] = "small"
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What 'calibrate' wrote, in place of the weights' own."),
    ] = None
    exit_block: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Read the quality after N blocks: faster, rougher."),
    ] = None
    detector: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="bundled, your own, or a YuNet file (.onnx).")
    ] = "bundled"


@dataclass(frozen=True)
class Cropping:
    """Whether pictures are crops already."""

    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are crops of 112 on the usual template.")
    ] = False
    realign: Annotated[
        bool, typer.Option("--realign", help="Align those crops anew that are off the template.")
    ] = False


def load_job(
    judging: Judging,
    computing: Computing,
    cropping: Cropping = Cropping(),
    *,
    embed: bool = False,
) -> "QualityJob":
    from face_quality import load

    return load(**vars(judging), **vars(cropping), embed=embed, **computing.to_dict())


def find_pictures(arguments: Sequence[str], *, quiet: bool = False) -> "list[Source]":
    """Files as they are named; of a folder each picture below it, but no results of earlier calls,
    and a line about the other files. A folder without any has a ``fault``."""
    from vitrail.sources import expand_sources, open_folders

    return open_folders(expand_sources(arguments), lambda folder: _pictures_in(folder, quiet))


def find_videos(arguments: Sequence[str], *, quiet: bool = False) -> "list[Source]":
    """Files as they are named; a folder with pictures and without videos is one source, its frames;
    of any other each video below it, and a line about the other files."""
    from vitrail.sources import expand_sources, open_folders

    return open_folders(expand_sources(arguments), lambda folder: _videos_in(folder, quiet))


def _pictures_in(folder: Path, quiet: bool) -> list[Path]:
    from vitrail.preprocess.kinds import Kind, kind_of

    files = _files_in(folder)
    pictures = [path for path in files if kind_of(path) is Kind.IMAGE]
    if not pictures:
        raise InputError(folder, "the folder holds no picture", "name a folder of pictures")
    if not quiet:
        known = set(pictures)
        others = [path for path in files if path not in known]
        warn_left_out(COMMAND, folder, others, "no pictures")
    return pictures


def _videos_in(folder: Path, quiet: bool) -> list[Path]:
    from vitrail.preprocess.kinds import Kind, kind_of
    from vitrail.sources import image_files

    files = _files_in(folder)
    taken = [path for path in files if kind_of(path) is Kind.VIDEO]
    frames = [] if taken else image_files(folder)
    if not (taken or frames):
        problem = "the folder holds no video, and no pictures as its frames"
        raise InputError(folder, problem, "name a video or a folder of frames")
    if not quiet:
        known = {*taken, *frames}
        others = [path for path in files if path not in known]
        warn_left_out(COMMAND, folder, others, "no frames" if frames else "no videos")
    return taken or [folder]


def _files_in(folder: Path) -> list[Path]:
    from vitrail.sources import natural_sorted, walk

    tree = walk(folder)
    for place, fault in tree.faults.items():
        warn(COMMAND, f"{place}: {fault.reason}")
    return natural_sorted(tree.files)
