"""The ``video-detect`` command."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vitrail import command
from vitrail.options import Answering, Computing, Sources, bundled
from vitrail.say import warn_left_out

COMMAND = "video-detect"


class Names(StrEnum):
    ours = "ours"
    vid = "vid"


class Net(StrEnum):
    both = "both"
    transformer = "transformer"
    graph = "graph"
    single = "single"


@bundled
def detect(
    sources: Sources,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The bundled weights (default: tgbformer), or your own.",
            show_default=False,
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|FILE.onnx|FILE.pth|torchvision:NAME=FILE",
            help="A detector of others, frame by frame; .pth: Deformable DETR's or TransVOD's.",
            show_default=False,
        ),
    ] = None,
    net: Annotated[
        Net | None,
        typer.Option(
            help="What carries memory across frames (default: by weights); single: nothing.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        str,
        typer.Option(metavar="NAME,NAME", help="Only these, as person,car (default: all)."),
    ] = "",
    names: Annotated[
        Names, typer.Option(help="What labels are called: as in COCO, or as in ImageNet VID.")
    ] = Names.ours,
    score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Keep what scores as much (default: by weights).", show_default=False
        ),
    ] = None,
    every: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Compute each N-th frame; between, interpolate."),
    ] = 1,
    online: Annotated[
        bool, typer.Option("--online", help="Look only at earlier frames, never at later ones.")
    ] = False,
    *,
    answering: Answering,
    computing: Computing,
) -> int:
    """Which objects are in this film, and where, in every frame?

    Finds people, vehicles and animals in each SOURCE (a video, an image, or a folder of frames) and
    follows them: each keeps its number. With -o it also writes one row per frame as JSON lines,
    MOT, COCO-VID and CSV, and the film with the boxes drawn in.
    """
    from vitrail.sources import expand_sources, open_folders

    found = open_folders(expand_sources(sources), partial(_inside, quiet=answering.quiet))
    from video_detect.job import load
    from video_detect.writing import write
    from vitrail.answers import Answers

    job = load(
        weights,
        detector=detector,
        net=net and net.value,
        score=score,
        classes=[name.strip() for name in classes.split(",") if name.strip()],
        every=every,
        online=online,
        names=names.value,
        engine=computing.engine.value,
        device=computing.device.value,
        keep_in=answering.output if not answering.ray else None,
        resume=answering.resume,
    )

    def forget(_: object) -> None:
        """No film is left half watched once the call has come to its end."""
        for source in found:
            job.forget(source)

    return Answers(COMMAND, job, answering, write, on_rows=forget).run(found)


def _inside(folder: Path, quiet: bool) -> list[Path]:
    """The sources of a folder; a line names the files that are none."""
    from vitrail.preprocess.frames import find_sources, left_out

    found = find_sources(folder)
    if not quiet:
        warn_left_out(COMMAND, folder, left_out(folder, found), "not named as media")
    return found


def main() -> None:
    command.run(detect, COMMAND)


if __name__ == "__main__":
    main()
