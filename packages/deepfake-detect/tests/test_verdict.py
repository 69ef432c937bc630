"""From scores to verdicts: thresholds, several persons, and why nobody was judged."""

from dataclasses import replace

import numpy as np
import pytest

from deepfake_detect.decide.verdict import Label, Observation, Thresholds, judge
from vitrail.faces.face import Face

LIMITS = Thresholds(real_below=0.4, fake_above=0.6)


def seen(
    frame: int, score: float, person: int = 0, width: float = 100, eyes: float = 0.45
) -> Observation:
    box = (10.0, 10.0, 10 + width, 10 + 1.3 * width)
    left, right = 10 + width * (0.5 - eyes / 2), 10 + width * (0.5 + eyes / 2)
    landmarks = np.array([[left, 50], [right, 50], [60, 70], [40, 90], [80, 90]], np.float32)
    return Observation(
        frame,
        frame / 25,
        Face(box, 0.9, landmarks),
        person,
        {"ed": score - 0.05, "vae": score + 0.05},
    )


@pytest.mark.parametrize(
    ("score", "label"),
    [
        (0.1, "REAL"),
        (0.4, "REAL"),
        (0.41, "UNDECIDED"),
        (0.59, "UNDECIDED"),
        (0.6, "FAKE"),
        (0.9, "FAKE"),
    ],
)
def test_the_score_falls_on_one_side_or_between(score, label):
    verdict = judge([seen(i, score) for i in range(5)], 5, LIMITS)
    assert verdict.label == label
    assert verdict.score == pytest.approx(score)
    assert bool(verdict.reasons) == (label == "UNDECIDED")


def test_the_most_suspicious_person_decides():
    """A pooled mean would hide one fake among several real people."""
    crowd = [seen(i, 0.1, person) for i in range(6) for person in range(3)] + [
        seen(i, 0.95, 3) for i in range(6)
    ]
    verdict = judge(crowd, 6, LIMITS)
    assert verdict.label is Label.FAKE and verdict.score == pytest.approx(0.95)
    assert [person.score for person in verdict.persons] == pytest.approx([0.1, 0.1, 0.1, 0.95])


def test_a_passer_by_is_not_judged():
    observations = [seen(i, 0.1) for i in range(15)] + [seen(7, 0.99, person=1)]
    verdict = judge(observations, 15, LIMITS)
    assert verdict.label is Label.REAL
    assert verdict.persons[1].score is None and "only 1 of 15" in verdict.persons[1].reason
    (reason,) = verdict.reasons
    assert reason.startswith("person 1 was not judged: a usable face in only 1 of 15 frames")


@pytest.mark.parametrize(
    ("view", "weakness"),
    [
        ({"width": 40}, "smaller than 60 px in 15"),
        ({"eyes": 0.1}, "in profile in 15"),
    ],
)
def test_whom_nobody_could_judge_keeps_the_verdict_open(view, weakness):
    """A second person whose face cannot be used may be the fake one."""
    observations = [seen(i, 0.1) for i in range(15)]
    observations += [seen(i, 0.1, person=1, **view) for i in range(15)]
    verdict = judge(observations, 15, LIMITS)
    assert verdict.label is Label.UNDECIDED and verdict.score == pytest.approx(0.1)
    assert verdict.reasons[0] == "score 0.10 is real, but person 1 could change the verdict"
    assert "person 1 was not judged" in verdict.reasons[1] and weakness in verdict.reasons[1]
    fake = [replace(one, scores={"ed": 0.9}) if one.person == 0 else one for one in observations]
    verdict = judge(fake, 15, LIMITS)
    assert verdict.label is Label.FAKE and weakness in verdict.reasons[0]


def test_who_is_cut_off_in_one_image_keeps_the_verdict_open():
    half = replace(seen(0, 0.1, person=1), inside=0.5)
    verdict = judge([seen(0, 0.1), half, replace(half, person=2)], 1, LIMITS)
    assert verdict.label is Label.UNDECIDED
    assert "persons 1, 2 could change the verdict" in verdict.reasons[0]
    assert "persons 1, 2 were not judged" in verdict.reasons[1]
    assert "cut off by the image's edge in 1" in verdict.reasons[1]


@pytest.mark.parametrize(
    ("observations", "reason"),
    [
        ([], "no face in 5 of 5 frames"),
        (
            [seen(i, 0.9, width=40) for i in range(5)],
            "the largest face is 40 px wide, smaller than 60 px",
        ),
        ([seen(i, 0.9, eyes=0.1) for i in range(5)], "every face is in profile"),
        (
            [replace(seen(i, 0.9), inside=0.7) for i in range(5)],
            "every face is cut off by the image's edge",
        ),
        (
            [seen(0, 0.9, width=40), *(seen(i, 0.9, eyes=0.1) for i in range(1, 5))],
            "every face is smaller than 60 px or in profile",
        ),
        ([seen(0, 0.9)], "a usable face in only 1 of 5 frames"),
    ],
)
def test_what_cannot_be_judged_is_undecided(observations, reason):
    verdict = judge(observations, 5, LIMITS)
    assert verdict.label is Label.UNDECIDED and verdict.score is None
    assert reason in verdict.reasons[0]


def test_what_may_be_no_face_is_not_judged():
    """A book's cover that is taken for a face in every frame must not make a video FAKE; but while
    it may be a face that is, the video is not REAL either."""
    book = [
        replace(seen(i, 0.95, person=1), face=replace(seen(i, 0).face, score=0.78), certain=0.8)
        for i in range(6)
    ]
    verdict = judge([seen(i, 0.1) for i in range(6)] + book, 6, LIMITS)
    assert verdict.label is Label.UNDECIDED and "person 1 could change" in verdict.reasons[0]
    assert "perhaps no face: the detector's median score is 0.78" in verdict.persons[1].reason
    assert verdict.persons[1].reason in verdict.reasons[1]
    real = [replace(one, scores={"ed": 0.1}) for one in book]  # a face or none: not a fake one
    verdict = judge([seen(i, 0.1) for i in range(6)] + real, 6, LIMITS)
    assert verdict.label is Label.REAL and "perhaps no face" in verdict.reasons[0]
    book[0] = replace(book[0], face=replace(book[0].face, score=0.9))  # one lucky frame
    assert judge(book, 6, LIMITS).label is Label.UNDECIDED
    sure = [replace(one, certain=0.78) for one in book]
    assert judge(sure, 6, LIMITS).label is Label.FAKE


def test_one_picture_is_enough_where_there_is_only_one():
    assert judge([seen(0, 0.9)], 1, LIMITS).label is Label.FAKE


def test_weak_views_do_not_count():
    """Small faces are left out of a person's score, though they are shown."""
    verdict = judge([seen(i, 0.2) for i in range(4)] + [seen(4, 1.0, width=30)], 5, LIMITS)
    assert verdict.score == pytest.approx(0.2)
    assert len(verdict.persons[0].observations) == 5


def test_a_missing_score_of_the_cascade_is_no_number():
    observation = seen(0, 0.3)
    assert Observation(0, 0.0, observation.face, 0, {"ed": 0.05}).score == pytest.approx(0.05)


def scored(scores, person=0):
    return [seen(number * 50, score, person) for number, score in enumerate(scores)]


def test_a_fake_part_of_a_real_film_is_found():
    """6 s of 30 s, of which 15 looks are taken."""
    verdict = judge(scored([0.2] * 6 + [0.95] * 3 + [0.2] * 6), 15, LIMITS)
    assert verdict.label is Label.FAKE and verdict.score == pytest.approx(0.95)
    (part,) = verdict.segments
    assert (part.person, part.start, part.end) == (0, 12.0, 16.0)
    assert part.elsewhere == pytest.approx(0.2)
    assert verdict.reasons[0] == (
        "person 0 looks fake from second 12 to 16: score 0.95 there, 0.20 elsewhere"
    )
    assert verdict.persons[0].score == pytest.approx(0.35)


@pytest.mark.parametrize(
    "scores",
    [
        [0.2] * 13 + [0.95] * 2,  # too short
        [0.45] * 6 + [0.8] * 3 + [0.45] * 6,  # not other enough
        [0.05] * 6 + [0.55] * 3 + [0.05] * 6,  # other, and no fake
        [0.9, 0.2, 0.2] * 5,  # no run
        [0.2] * 60 + [0.95] * 8 + [0.2] * 60,  # of so many looks a few in a row are chance
    ],
)
def test_what_is_no_fake_part(scores):
    verdict = judge(scored(scores), len(scores), LIMITS)
    assert verdict.label is not Label.FAKE and verdict.segments == []


def test_who_is_fake_throughout_has_no_part():
    verdict = judge(scored([0.5] * 5 + [1.0] * 10), 15, LIMITS)
    assert verdict.label is Label.FAKE and verdict.segments == []


def test_the_interval_holds_the_score():
    rng = np.random.default_rng(0)
    person = judge(
        [seen(i, s) for i, s in enumerate(rng.uniform(0.3, 0.7, 30))], 30, LIMITS
    ).persons[0]
    low, high = person.interval
    assert 0.3 < low < person.score < high < 0.7
