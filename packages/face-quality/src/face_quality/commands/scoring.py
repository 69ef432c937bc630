"""Pictures judged one by one."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from face_quality.commands.options import COMMAND, Cropping, Judging, find_pictures, load_job
from vitrail.options import Answering, Computing, Sources, bundled


class Layout(StrEnum):
    ours = "ours"
    ofiq = "ofiq"


@bundled
def score(
    sources: Sources,
    judging: Judging,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a table with a row for each source."),
    ] = None,
    layout: Annotated[
        Layout, typer.Option("--format", help="Its columns: ours, or those of OFIQ.")
    ] = Layout.ours,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an overview page (.html): worst faces first."),
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Add the faces' embeddings to the rows.")
    ] = False,
    *,
    cropping: Cropping,
    answering: Answering,
    computing: Computing,
) -> int:
    """Will a recognition system know these people again from these pictures?

    Gives the main face of each SOURCE a score from 0 to 100 and says what would have to change.
    Folders are searched for pictures. With -o it writes each face's crop beside its row.
    """
    from face_quality.writing import Overview, write, write_csv
    from vitrail.answers import Answers

    job = load_job(judging, computing, cropping, embed=embed)
    found = find_pictures(sources, quiet=answering.quiet)
    overview = Overview() if page else None

    def keep(rows: Sequence[dict[str, Any]]) -> None:
        if csv:
            write_csv(csv, rows, layout.value)

    answers = Answers(COMMAND, job, answering, write, overview and overview.add, keep)
    status = answers.run(found)
    if overview and page:
        overview.write(page)
    return status
