"""The report on one source, for people: what the verdict is, when it arose, and what spoke for
it."""

from collections.abc import Iterator
from pathlib import Path

from deepfake_detect.result import Moment, Result
from deepfake_detect.verdict import Label, Observation
from vitrail.report import Chart, Page, Series, Table

TONES = {Label.REAL: "good", Label.FAKE: "bad", Label.UNDECIDED: "open"}
LIMITS = (
    "A score is evidence, not proof. Detectors of this kind recognise most forgeries of the kinds they were trained on "
    "and far fewer of others: on unseen generators an AUC near 0.7 is usual. Strong compression, make-up and unusual "
    "light raise false alarms."
)


def write_page(result: Result, path: Path, source: str) -> None:
    """Writes the page as one file that needs nothing else."""
    page = Page(f"Deepfake check: {source}")
    page.verdict(result.verdict.label.value, _sentence(result), TONES[result.verdict.label])
    page.facts(_facts(result))
    for trouble in result.damage:
        page.text(f"Trouble with the source: {trouble}.")
    if result.observations:
        page.heading("Score over time")
        page.chart(_timeline(result))
        if result.verdict.persons:
            page.table(_persons(result))
    if result.moments:
        page.heading("Most suspicious moments")
        page.text(
            "Each row shows one face as the networks saw it and what spoke for a fake: where the last stage of the "
            "backbone looked (Grad-CAM), and where the autoencoder's picture of the face departs from it."
        )
        for moment in result.moments:
            page.gallery(_pictures(moment, result))
    page.heading("How to read this")
    page.text(LIMITS)
    page.write(path)


def _sentence(result: Result) -> str:
    score = result.verdict.score
    reasons = "; ".join(result.verdict.reasons)
    if score is None:
        return reasons
    limits = f"real up to {result.thresholds.real_below:.2f}, fake from {result.thresholds.fake_above:.2f}"
    return reasons or f"P(fake) of the most suspicious person is {score:.2f} ({limits})"


def _facts(result: Result) -> dict[str, str]:
    return {
        "P(fake)": "none" if result.verdict.score is None else f"{result.verdict.score:.3f}",
        "Frames looked at": str(result.frames),
        "Frames with a face": str(result.frames_with_face),
        "Persons": str(len({seen.person for seen in result.observations})),
    }


def _timeline(result: Result) -> Chart:
    people = sorted({seen.person for seen in result.observations})
    lines = [
        _line(f"person {person}", [s for s in result.observations if s.person == person])
        for person in people
    ]
    return Chart(
        title="P(fake) of each person"
        if result.has_time
        else "P(fake) of each person, by picture number",
        series=lines,
        y_label="P(fake)",
        y_range=(0.0, 1.0),
        threshold=result.thresholds.fake_above,
        shaded=list(_suspicious(result)),
        shaded_label="suspicious",
    )


def _line(name: str, seen: list[Observation]) -> Series:
    return Series(name, [one.time for one in seen], [one.score for one in seen])


def _suspicious(result: Result) -> Iterator[tuple[float, float]]:
    """Intervals in which the frames' highest score stays at or above the limit of FAKE, frame after
    frame."""
    highest: dict[float, float] = {}
    for seen in result.observations:
        highest[seen.time] = max(seen.score, highest.get(seen.time, 0.0))
    start = end = None
    for time, score in sorted(highest.items()):
        if score >= result.thresholds.fake_above:
            start, end = (time if start is None else start), time
        elif start is not None:
            yield start, end
            start = None
    if start is not None:
        yield start, end


def _persons(result: Result) -> Table:
    columns = (
        "person",
        "P(fake)",
        "95 % from",
        "to",
        "median",
        "frames",
        "frames above limit",
        "note",
    )
    rows = [
        (
            person.id,
            person.score,
            *(person.interval or (None, None)),
            person.median,
            len(person.observations),
            None if person.share_above is None else f"{person.share_above:.0%}",
            person.reason or "",
        )
        for person in result.verdict.persons
    ]
    return Table("Persons", columns, rows)


def _pictures(moment: Moment, result: Result) -> list:
    seen = moment.observation
    when = f"{seen.time:.2f} s" if result.has_time else f"picture {seen.frame}"
    scores = ", ".join(f"{name} {score:.2f}" for name, score in seen.scores.items())
    return [
        (moment.crop, f"{when}, person {seen.person}: {scores}"),
        *((p, n) for n, p in moment.explanations.items()),
    ]
