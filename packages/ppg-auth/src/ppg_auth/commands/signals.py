"""The verbs about recordings, which need no store: quality, extract."""

from pathlib import Path
from typing import Annotated

import typer

from ppg_auth.commands.bundles import ModelOptions, bundled
from vitrail.options import BatchSize, Debug, Json, Output, Quiet, Resume, Sources

Health = Annotated[
    bool,
    typer.Option("--health", help="Also say the heart rate, which is about the person's health."),
]


@bundled
def quality(
    sources: Sources,
    model: ModelOptions,
    output: Output = None,
    health: Health = False,
    batch_size: BatchSize = 16,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Are these recordings good enough?

    For each SOURCE whether it can be enrolled or verified on, and if not why; with -o also a report
    page.
    """
    from vitrail.answers import Batch
    from vitrail.sources import expand_sources

    paths = expand_sources(sources)
    pipeline = model.load(health=health)
    return Batch("ppg-auth", pipeline, batch_size, output, resume, json, quiet).run(paths)


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
    from ppg_auth.fingertip import read_fingertip
    from ppg_auth.recording import to_csv

    text = to_csv(read_fingertip(video))
    if output is None:
        print(text, end="")
        return
    from vitrail.output import atomic_file

    with atomic_file(output) as temporary:
        temporary.write_text(text)
