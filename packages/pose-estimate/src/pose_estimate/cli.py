"""The ``pose-estimate`` command."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitrail import command
from vitrail.options import Answering, Computing, Sources, bundled
from vitrail.say import warn, warn_left_out

if TYPE_CHECKING:
    from pose_estimate.result import Result

COMMAND = "pose-estimate"
ALL_RESULTS = "coco_results.json"  # of all images, in the output folder


class Head(StrEnum):
    heatmap = "heatmap"
    token = "token"
    regression = "regression"


class Select(StrEnum):
    attention = "attention"
    joints = "joints"
    skeleton = "skeleton"


@bundled
def estimate(
    sources: Sources,
    answering: Answering,
    computing: Computing,
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="evitpose, unitranspose, your own file, or ViTPose's as published.",
        ),
    ] = "evitpose",
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the people are: COCO results or annotations, MOT text, CSV.",
            show_default=False,
        ),
    ] = None,
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="Each image shows one person, and whole.")
    ] = False,
    detector: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help="Who finds people: your own file, a folder for transformers, an ONNX file.",
        ),
    ] = "people",
    detector_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Lowest score of somebody found.", show_default=False),
    ] = None,
    keep: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the patches that is looked at.")
    ] = 1.0,
    budget_gmacs: Annotated[
        float | None,
        typer.Option(
            metavar="G", help="Instead: what one person may cost, in GMACs.", show_default=False
        ),
    ] = None,
    select: Annotated[
        Select,
        typer.Option(
            help="Who ranks the patches: the joints' attention, or the pose of the frame before."
        ),
    ] = Select.attention,
    head: Annotated[
        Head | None,
        typer.Option(help="Which head answers (default: the file's first).", show_default=False),
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Joints to tell: coco, mpii, aic, crowdpose, ochuman, jrdb, lsp, unified.",
            show_default=False,
        ),
    ] = None,
    joints: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Names of an official file's joints.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Which expert of ViTPose++: coco, aic, mpii, ap10k, apt36k, wholebody.",
            show_default=False,
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Look at each person mirrored too; twice the cost.")
    ] = False,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Keep results that are probably one person.")
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Lowest score of a person that is told.")
    ] = 0.0,
    detect_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frames of a film from search to search.")
    ] = 4,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Take the tremor out of a film's joints.")
    ] = False,
    rotate: Annotated[
        int,
        typer.Option(metavar="0|90|180|270", help="Degrees clockwise that make it upright."),
    ] = 0,
) -> int:
    """Where are the people in this photograph or film, and where are their joints?

    Finds the people of each SOURCE (an image, a film, or a folder of them) and the joints of each:
    pixels of the file as it is, and a score. With -o it also writes COCO JSON, CSV, pictures or a
    film with the skeletons drawn in, and marker tables of films.
    """
    from vitrail.sources import expand_sources, open_folders

    inside = partial(_inside, quiet=answering.quiet)
    found = open_folders(expand_sources(sources), inside)
    from pose_estimate import load
    from pose_estimate.show.tables import coco_results
    from pose_estimate.writing import write
    from vitrail.answers import Answers

    job = load(
        weights,
        boxes=boxes,
        whole_image=whole_image,
        detector=detector,
        detector_score=detector_score,
        joints=joints,
        head=head and head.value,
        keep=keep,
        budget_gmacs=budget_gmacs,
        select=select.value,
        skeleton=skeleton,
        dataset=dataset,
        flip=flip,
        keep_all=keep_all,
        min_score=min_score,
        detect_every=detect_every,
        smooth=smooth,
        rotate=rotate,
        **computing.to_dict(),
    )
    together: list[dict[str, Any]] = []

    def gather(result: "Result") -> None:
        if not result.is_film:
            together.extend(coco_results(result))

    status = Answers(COMMAND, job, answering, write, gather).run(found)
    if answering.output and len(found) > 1 and not answering.resume:
        _write_together(answering.output / ALL_RESULTS, together)
    return status


def _write_together(path: Path, rows: list[dict[str, Any]]) -> None:
    import json

    from vitrail.output import atomic_file

    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(rows, allow_nan=False) + "\n", encoding="utf-8")


def _inside(folder: Path, quiet: bool) -> list[Path]:
    """The images and films below a folder, in the order that a person counts, but no results of
    earlier calls; a line tells of other files."""
    from vitrail.errors import InputError
    from vitrail.preprocess.kinds import kind_of
    from vitrail.sources import natural_sorted, walk

    tree = walk(folder)
    files = natural_sorted(path for path in tree.files if path.is_file())
    media = [path for path in files if kind_of(path)]
    for place, fault in tree.faults.items():
        warn(COMMAND, f"{place}: {fault.reason}")
    if not media:
        raise InputError(folder, "the folder holds no image and no film", "name another")
    if not quiet:
        known = set(media)
        others = [path for path in files if path not in known]
        warn_left_out(COMMAND, folder, others, "not named as media")
    return media


def main() -> None:
    command.run(estimate, COMMAND)


if __name__ == "__main__":
    main()
