"""Main faces of many pictures, for what needs them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from face_quality.job import QualityJob
from face_quality.result import JudgedFace
from vitrail.command import report_failure
from vitrail.job import Failure
from vitrail.runner import run
from vitrail.sources import Source

BATCH = 16


@dataclass
class Collected:
    """The main face by each picture's name; how many pictures had none, showed several faces, had
    something else that a row would say, or could not be read."""

    faces: dict[str, JudgedFace] = field(default_factory=dict)
    without_face: int = 0
    several_faces: int = 0
    remarked: int = 0
    failed: int = 0


def collect(job: QualityJob, sources: Sequence[Source], command: str) -> Collected:
    """Each picture that could not be read is told on standard error."""
    found = Collected()
    for source, outcome in run(job, sources, batch_size=BATCH):
        if isinstance(outcome, Failure):
            report_failure(command, source.name, outcome)
            found.failed += 1
            continue
        found.without_face += outcome.main_face is None
        found.several_faces += outcome.seen > 1
        found.remarked += bool(outcome.damage)
        if outcome.main_face is not None:
            found.faces[source.name] = outcome.main_face
    return found
