"""The files that a result becomes: the table of single faces, and the report for people (what the
verdict is, when it arose, and what spoke for it)."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from deepfake_detect.decide.verdict import Label, Observation
from deepfake_detect.result import Moment, Result
from vitrail.report import Chart, Overlay, Page, Series, Table

FRAMES_FILE, REPORT_FILE = "frames.csv", "report.html"
CORNERS = ("x0", "y0", "x1", "y1")
TONES: dict[Label, Literal["good", "bad", "open"]] = {
    Label.REAL: "good",
    Label.FAKE: "bad",
    Label.UNDECIDED: "open",
}
LIMITS = (
    "A score is evidence, not proof. Detectors of this kind recognise most forgeries of the kinds "
    "they were trained on and far fewer of others: on unseen generators an AUC near 0.7 is usual. "
    "Strong compression, make-up and unusual light raise false alarms."
)


def write(result: Result, folder: Path) -> None:
    """Writes ``frames.csv`` and ``report.html``, one file that needs nothing else."""
    with (folder / FRAMES_FILE).open("w", newline="") as file:
        csv.writer(file).writerows(_frames(result))
    _page(result).write(folder / REPORT_FILE)


def _frames(result: Result) -> Iterator[list]:
    names = list(result.observations[0].scores) if result.observations else []
    yield ["frame", "time", "person", *CORNERS, "detector_score", *names, "score"]
    for seen in result.observations:
        yield [
            seen.frame,
            f"{seen.time:.3f}" if result.has_time else "",
            seen.person,
            *(f"{value:.1f}" for value in seen.face.box),
            f"{seen.face.score:.3f}",
            *(f"{seen.scores[name]:.6f}" if name in seen.scores else "" for name in names),
            f"{seen.score:.6f}",
        ]


def _page(result: Result) -> Page:
    page = Page(f"Deepfake check: {result.name}")
    page.verdict(result.verdict.label.value, _sentence(result), TONES[result.verdict.label])
    page.facts(_facts(result))
    if result.scene:
        page.picture(*_scene(result, *result.scene))
    for trouble in result.damage:
        page.text(f"Trouble with the source: {trouble}.")
    if result.observations:
        page.heading("Score over time")
        page.chart(_timeline(result))
        if result.verdict.persons:
            page.table(_persons(result))
        if result.verdict.segments:
            page.table(_segments(result))
    if result.moments:
        page.heading("Most suspicious moments")
        page.text(
            "Each row shows one face as the networks saw it and what spoke for a fake: where the "
            "last stage of the backbone looked (Grad-CAM), and where the autoencoder's "
            "reconstruction departs from the face."
        )
        for moment in result.moments:
            page.gallery(_images(moment, result))
    page.heading("How to read this")
    page.text(LIMITS)
    page.heading("What was judged")
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page.facts({"file": result.name, **result.facts, "report made": made})
    return page


def _sentence(result: Result) -> str:
    score, reasons = result.verdict.score, result.verdict.reasons
    if score is None or result.verdict.label is Label.UNDECIDED:
        return "; ".join(reasons)
    low, high = result.thresholds.real_below, result.thresholds.fake_above
    limits = f"real up to {low:.2f}, fake from {high:.2f}"
    return "; ".join((f"P(fake) of the most suspicious person is {score:.2f} ({limits})", *reasons))


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
        else "P(fake) of each person, by image number",
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
    start, end = None, 0.0
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


def _scene(result: Result, index: int, image: np.ndarray) -> tuple[np.ndarray, str]:
    """A frame with everybody's box and number, and what it is."""
    overlay = Overlay(image)
    here = [seen for seen in result.observations if seen.frame == index]
    for seen in here:
        overlay.box(*seen.face.box, label=str(seen.person), number=seen.person)
    when = f"{here[0].time:.2f} s" if result.has_time else f"image {index}"
    return overlay.image(), f"{when}: the persons by their numbers"


def _segments(result: Result) -> Table:
    columns = ("person", "from", "to", "P(fake)", "elsewhere")
    rows = [
        (one.person, f"{one.start:.2f}", f"{one.end:.2f}", one.score, one.elsewhere)
        for one in result.verdict.segments
    ]
    return Table("Parts that look fake", columns, rows)


def _images(moment: Moment, result: Result) -> list:
    seen = moment.observation
    when = f"{seen.time:.2f} s" if result.has_time else f"image {seen.frame}"
    scores = ", ".join(f"{name} {score:.2f}" for name, score in seen.scores.items())
    return [
        (moment.crop, f"{when}, person {seen.person}: {scores}"),
        *((image, name) for name, image in moment.explanations.items()),
    ]
