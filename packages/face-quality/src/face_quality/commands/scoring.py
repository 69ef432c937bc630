"""Pictures judged one by one."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from face_quality.commands.options import COMMAND, Cropping, Judging, find_pictures, load_job
from vitrail.errors import UsageError
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

    if layout is Layout.ofiq and not csv:
        raise UsageError("--format ofiq", "is the layout of a table", "add --csv FILE")
    job = load_job(judging, computing, cropping, embed=embed)
    found = find_pictures(sources, quiet=answering.quiet)
    overview = Overview() if page else None

    def keep(rows: Sequence[dict[str, Any]]) -> None:
        if csv:
            write_csv(csv, rows, layout.value)
        if overview and page:
            overview.write(page, rows)

    return Answers(COMMAND, job, answering, write, overview and overview.add, keep).run(found)


@bundled
def rank(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Holds one folder for each person.")
    ],
    judging: Judging,
    *,
    cropping: Cropping,
    answering: Answering,
    computing: Computing,
) -> int:
    """Which picture of each person is the best?

    FOLDER holds a folder for each person; a row has that person's pictures in order, by their main
    faces.
    """
    from face_quality.ranking import RankJob, people_of
    from face_quality.writing import write_best
    from vitrail.answers import Answers

    job = RankJob(load_job(judging, computing, cropping))
    people = people_of(folder, quiet=answering.quiet)
    return Answers(COMMAND, job, answering, write_best).run(people)


@bundled
def gate(
    sources: Sources,
    judging: Judging,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rules in YAML, in place of the usual ones."),
    ] = None,
    *,
    cropping: Cropping,
    answering: Answering,
    computing: Computing,
) -> int:
    """May these pictures be enrolled?

    Each rule can refuse a picture, whatever its score is; the reasons say what has to change. The
    exit status is 0 where all are accepted, 4 where one is refused, 1 where one cannot be read.
    """
    from face_quality.commands.rules import read_rules
    from face_quality.gate import REFUSED, GateJob, Rules
    from face_quality.writing import write_gated
    from vitrail.answers import Answers

    read = read_rules(rules) if rules else Rules()
    job = GateJob(load_job(judging, computing, cropping), read)
    refused = []
    answers = Answers(
        COMMAND,
        job,
        answering,
        write_gated,
        on_rows=lambda rows: refused.extend(row for row in rows if row.get("accepted") is False),
    )
    status = answers.run(find_pictures(sources, quiet=answering.quiet))
    return status or (REFUSED if refused else 0)
