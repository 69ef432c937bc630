"""Main faces of many pictures, for what needs them together."""

from collections.abc import Sequence

from face_quality.job import QualityJob
from face_quality.result import JudgedFace
from vitrail.command import report_failure
from vitrail.job import Failure
from vitrail.runner import run
from vitrail.sources import Source

BATCH = 16


def collect(
    job: QualityJob, sources: Sequence[Source], command: str
) -> tuple[dict[str, JudgedFace], int]:
    """The main face by each picture's name, and how many pictures could not be read, each of which
    is told on standard error."""
    faces, failed = {}, 0
    for source, outcome in run(job, sources, batch_size=BATCH):
        if isinstance(outcome, Failure):
            report_failure(command, source.name, outcome)
            failed += 1
        elif outcome.main_face is not None:
            faces[source.name] = outcome.main_face
    return faces, failed
