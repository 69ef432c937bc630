"""The verbs about recordings, which need no store: quality, extract."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppg_auth.commands.options import ModelOptions
from vitrail.options import Answering, Debug, Sources, bundled

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
    from vitrail.sources import Source, expand_sources

    found = [Source.of(path) for path in expand_sources(sources)]
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

    Of seconds and the mean of each colour, as the other verbs take it in the place of the video.
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
