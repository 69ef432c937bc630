"""The subcommands that need no store: quality, extract, evaluate, pad-eval."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppg_auth import system
from ppg_auth.commands.options import ModelOptions
from vitrail.errors import UsageError
from vitrail.options import Answering, Debug, Json, Sources, bundled
from vitrail.say import say_tables

if TYPE_CHECKING:
    from ppg_auth.result import Capture

Health = Annotated[
    bool,
    typer.Option("--health", help="Also say the heart rate, which is about the person's health."),
]


@bundled
def quality(
    sources: Sources, model: ModelOptions, answering: Answering, health: Health = False
) -> int:
    """Are these recordings good enough?

    For each SOURCE whether it can be enrolled or verified on, and if not why; with -o also a report
    page.
    """
    from vitrail.answers import Answers
    from vitrail.sources import expand_sources

    found = expand_sources(sources)
    return Answers("ppg-auth", model.load(health=health), answering, _write).run(found)


def _write(capture: "Capture", folder: Path) -> None:
    from ppg_auth.writing import write  # what draws is loaded only where a page is asked for

    write(capture, folder)


@bundled
def extract(
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="A video of a fingertip on the lens.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.csv", help="Default: standard output."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Turn a fingertip video into a table.

    Of seconds and the mean of each colour, as the other subcommands take it
    in the place of the video.
    """
    from ppg_auth.signal.fingertip import read_fingertip
    from ppg_auth.signal.recording import to_csv

    text = to_csv(read_fingertip(video))
    if output is None:
        print(text, end="")
        return
    from vitrail.output import atomic_file

    with atomic_file(output) as temporary:
        temporary.write_text(text)


@bundled
def pad_eval(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Recordings of live fingers in FOLDER/live, of each attack in FOLDER/<attack>.",
        ),
    ],
    model: ModelOptions,
    make: Annotated[
        bool,
        typer.Option(
            "--make",
            help="Make attacks from the live ones: static, synthetic, reversed, replayed …",
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How many attacks get through?

    APCER for each kind of attack and BPCER of live fingers (ISO/IEC 30107-3).
    """
    room = system.room("measure.pad")  # by name, as below
    say_tables([room.evaluate_folder(folder, model.load(), make=make)], json=json)


def evaluate(
    recipe: Annotated[
        Path, typer.Argument(metavar="PIPELINE.yaml", help="A recipe under pipelines/ppg-auth/.")
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Other weights than the bundled ones.", show_default=False
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=3,
            help="Train N networks, each without a part of the people, and test it on that part.",
        ),
    ] = None,
    runs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Keeps the folds' runs; what is there goes on.")
    ] = Path("runs/ppg-folds"),
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.html", help="Tables and DET curves as one page."
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How often is it wrong?

    On people whom the network never saw, with confidence intervals (ISO/IEC 19795-1).
    """
    if folds and weights:
        raise UsageError("--folds", "trains networks of its own", "leave out --weights")
    from vitrail.report import Page, Table

    room = system.room("evaluation")  # by name: what looks at one capture never imports it
    loaded = room.load_recipe(recipe, overrides or ())
    if folds:
        parts = room.cross_validate(loaded, folds, runs)
    else:
        parts = room.evaluate(loaded, weights)
    say_tables([part for part in parts if isinstance(part, Table)], json=json)
    if output:
        page = Page(f"ppg-auth: {loaded.name}")
        page.add(parts)
        page.write(output)
