"""Videos."""

from typing import Annotated

import typer

from face_quality.commands.options import COMMAND, Judging, find_videos, load_job
from vitrail.options import Answering, Computing, Sources, bundled


@bundled
def best_shot(
    sources: Sources,
    judging: Judging,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=100, help="Shots of each person.")
    ] = 3,
    every: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="Look at every K-th frame (default: five a second)."),
    ] = None,
    gap: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Between two shots of one person.")
    ] = 1.0,
    min_frames: Annotated[
        int, typer.Option(min=1, help="Leave out who is seen in fewer of the searched frames.")
    ] = 2,
    *,
    answering: Answering,
    computing: Computing,
) -> int:
    """Which moments of a video show each person best?

    A SOURCE is a video, an animation, or a folder of frames, which count as a second apart. Faces
    are linked over time; with -o the chosen ones are written as JPEG files, and the timeline of all
    as JSON.
    """
    from face_quality.shots import BestShotJob, Wanted
    from face_quality.writing import write_shots
    from vitrail.answers import Answers

    job = BestShotJob(load_job(judging, computing), Wanted(number, every, gap, min_frames))
    return Answers(COMMAND, job, answering, write_shots).run(
        find_videos(sources, quiet=answering.quiet)
    )
