"""From the scores of single faces to one verdict on a source, with its reasons."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from deepfake_detect.decide.segments import Segment, find_segment
from vitrail.faces.face import Face
from vitrail.metrics.bootstrap import bootstrap_interval

MIN_FACE = 60  # pixels: below it a crop has less detail than the networks were trained on
SMALL = f"smaller than {MIN_FACE} px"
MIN_FRAMES = 3  # frames in which a person must be seen before the person is judged
# Of the crop: below it the image's edge cuts off what a blended face would have around it
MIN_INSIDE = 0.8
MIN_EYE_DISTANCE = 0.22  # of the box's width: below it one eye is hidden, the face is a profile


class Label(StrEnum):
    REAL = "REAL"
    FAKE = "FAKE"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Thresholds:
    """A score of at least ``fake_above`` is FAKE, of at most ``real_below`` REAL, between them
    UNDECIDED."""

    real_below: float
    fake_above: float


@dataclass(frozen=True)
class Observation:
    """One face in one frame. ``scores`` are P(fake) by network; ``score`` is their mean. ``inside``
    is the share of its crop that lies within the image; below a detector's score of ``certain`` it
    is perhaps no face."""

    frame: int
    time: float
    face: Face
    person: int
    scores: dict[str, float]
    inside: float = 1.0
    certain: float = 0.0

    @property
    def score(self) -> float:
        return float(np.mean(list(self.scores.values())))

    @property
    def weakness(self) -> str | None:
        """Why this view of the face is no ground for a verdict; None when it is one."""
        x0, y0, x1, y1 = self.face.box
        if min(x1 - x0, y1 - y0) < MIN_FACE:
            return SMALL
        if self.inside < MIN_INSIDE:
            return "cut off by the image's edge"
        left, right = self.face.landmarks[:2]
        return "in profile" if np.linalg.norm(right - left) < MIN_EYE_DISTANCE * (x1 - x0) else None


@dataclass(frozen=True)
class Person:
    """One face followed over time. ``score`` is the mean over its usable frames, with a bootstrap
    interval of 95 %; None, with ``reason``, when the person was not judged."""

    id: int
    observations: tuple[Observation, ...]
    score: float | None
    interval: tuple[float, float] | None
    median: float | None
    share_above: float | None
    reason: str | None
    segment: Segment | None = None

    @property
    def largest(self) -> Observation:
        """The view in which the face is largest."""
        return max(self.observations, key=lambda seen: seen.face.size)

    def to_dict(self) -> dict:
        return {
            "id": self.id,
            "score": self.score,
            "interval": self.interval,
            "median": self.median,
            "share_above": self.share_above,
            "frames": len(self.observations),
            "box": list(self.largest.face.box),
            "box_frame": self.largest.frame,
            "from": self.observations[0].time,
            "to": self.observations[-1].time,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Verdict:
    """``score`` is P(fake) of the most suspicious person, or of the most suspicious segment where
    that alone makes the verdict; None when nobody could be judged."""

    label: Label
    score: float | None
    reasons: tuple[str, ...]
    persons: tuple[Person, ...]

    @property
    def segments(self) -> list[Segment]:
        return [person.segment for person in self.persons if person.segment]


def judge(
    observations: Sequence[Observation], frames: int, thresholds: Thresholds, unit: str = "second "
) -> Verdict:
    """The verdict on a source of which ``frames`` frames were looked at; a missing face is never a
    verdict.

    Nor is a person judged whose face has a detector's score, in the median of its frames, below
    what is certain: it may be none. Whoever was seen and not judged is named in the reasons, and
    while such a person could be FAKE the verdict is UNDECIDED, never REAL; one seen in fewer frames
    than a verdict needs is named only. Where nobody is fake as a whole, a segment that is makes the
    verdict FAKE; ``unit`` is what its times count.
    """
    by_person = defaultdict(list)
    for observation in observations:
        by_person[observation.person].append(observation)
    persons = tuple(
        _person(number, seen, frames, thresholds) for number, seen in sorted(by_person.items())
    )
    scores = [person.score for person in persons if person.score is not None]
    if not scores:
        return Verdict(Label.UNDECIDED, None, _why_nobody(observations, persons, frames), persons)
    score, left_out = max(scores), _left_out(persons)
    if score >= thresholds.fake_above:
        return Verdict(Label.FAKE, score, left_out, persons)
    if segments := [person.segment for person in persons if person.segment]:
        parts = tuple(
            f"person {one.person} looks fake from {unit}{one.start:.4g} to {one.end:.4g}: score "
            f"{one.score:.2f} there, {one.elsewhere:.2f} elsewhere"
            for one in segments
        )
        top = max(one.score for one in segments)
        return Verdict(Label.FAKE, top, (*parts, *left_out), persons)
    needed = min(MIN_FRAMES, frames)
    open_ones = [person for person in persons if _may_be_fake(person, needed, thresholds)]
    if score > thresholds.real_below:
        low, high = f"{thresholds.real_below:.2f} (real)", f"{thresholds.fake_above:.2f} (fake)"
        between = f"score {score:.2f} lies between {low} and {high}"
        return Verdict(Label.UNDECIDED, score, (between, *left_out), persons)
    if open_ones:
        whose = ", ".join(str(person.id) for person in open_ones)
        who = "person" if len(open_ones) == 1 else "persons"
        why = f"score {score:.2f} is real, but {who} {whose} could change the verdict"
        return Verdict(Label.UNDECIDED, score, (why, *left_out), persons)
    return Verdict(Label.REAL, score, left_out, persons)


def _may_be_fake(person: Person, needed: int, thresholds: Thresholds) -> bool:
    """Whether one who was not judged could turn REAL into another verdict: seen in as many frames
    as a verdict needs, and without usable views that all together speak for a real face."""
    if person.score is not None or len(person.observations) < needed:
        return False
    usable = [seen.score for seen in person.observations if seen.weakness is None]
    return len(usable) < needed or float(np.mean(usable)) > thresholds.real_below


def _left_out(persons: Sequence[Person]) -> tuple[str, ...]:
    """A sentence for each reason why somebody was not judged, with the persons whom it names."""
    whom = defaultdict(list)
    for person in persons:
        if person.reason:
            whom[person.reason].append(str(person.id))
    return tuple(
        f"person {ids[0]} was not judged: {reason}"
        if len(ids) == 1
        else f"persons {', '.join(ids)} were not judged: {reason}"
        for reason, ids in whom.items()
    )


def _person(
    number: int, seen: Sequence[Observation], frames: int, thresholds: Thresholds
) -> Person:
    usable = np.array([observation.score for observation in seen if observation.weakness is None])
    needed = min(MIN_FRAMES, frames)
    usual = float(np.median([observation.face.score for observation in seen]))
    certain = float(np.median([observation.certain for observation in seen]))
    reason = None
    if len(usable) < needed:
        reason = f"a usable face in only {len(usable)} of {frames} frames, {needed} are needed"
        if weak := Counter(one.weakness for one in seen if one.weakness):
            reason += f" ({', '.join(f'{kind} in {count}' for kind, count in weak.items())})"
    elif usual < certain:
        reason = (
            f"perhaps no face: the detector's median score is {usual:.2f}, {certain:.2f} is needed"
        )
    if reason:
        return Person(number, tuple(seen), None, None, None, None, reason)
    return Person(
        number,
        tuple(seen),
        score=float(usable.mean()),
        interval=bootstrap_interval(np.mean, usable),
        median=float(np.median(usable)),
        share_above=float((usable >= thresholds.fake_above).mean()),
        reason=None,
        segment=_segment(number, seen, thresholds),
    )


def _segment(number: int, seen: Sequence[Observation], thresholds: Thresholds) -> Segment | None:
    usable = [one for one in seen if one.weakness is None]
    times, scores = [one.time for one in usable], [one.score for one in usable]
    return find_segment(number, times, scores, thresholds.fake_above)


def _why_nobody(
    observations: Sequence[Observation], persons: Sequence[Person], frames: int
) -> tuple[str, ...]:
    if not observations:
        return (f"no face in {frames} of {frames} frames",)
    weaknesses = [observation.weakness for observation in observations]
    if all(weakness == SMALL for weakness in weaknesses):
        largest = max(
            min(o.face.box[2] - o.face.box[0], o.face.box[3] - o.face.box[1]) for o in observations
        )
        return (f"the largest face is {largest:.0f} px wide, {SMALL}",)
    told = [weakness for weakness in weaknesses if weakness]
    if len(told) == len(weaknesses):
        return (f"every face is {' or '.join(dict.fromkeys(told))}",)
    return _left_out(persons)
