"""Searching all people at once finds whom a comparison one by one would find."""

import numpy as np
import pytest
from made_people import capture, fake_model, units

from ppg_auth.decide.decision import Outcome, placement_mean, threshold
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.gallery import Gallery
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.people import Person
from ppg_auth.store.record import Attempts, Record
from ppg_auth.store.session import open_store
from ppg_auth.store.template import expand_key, protect

MODEL = fake_model()


def person(number: int, placements: int = 3, model: str = MODEL.sha256) -> Person:
    """A person enrolled on captures of the fake of this number, under a key made from it."""
    secret = number.to_bytes(32, "big")
    means = np.array(
        [placement_mean(capture(number, take).embeddings) for take in range(placements)]
    )
    blank = Person(str(number), 1, str(number), secret, None, Attempts())
    bits = protect(means, expand_key(blank.projection_key))
    record = Record(f"p{number}", model, bits, 1, 0.0, 0.0)
    return Person(str(number), 1, str(number), secret, record, Attempts())


@pytest.mark.parametrize("number", [0, 7, 29])
def test_the_right_one_of_many_comes_first(number):
    gallery = Gallery([person(n, placements=1 + n % 3) for n in range(30)], MODEL.sha256)
    found = gallery.search(capture(number, 50).embeddings, MODEL.impostors)
    assert found[0].name == f"p{number}" and found[0].score > threshold(0.05 / 30) > found[1].score


def test_a_stranger_is_near_nobody():
    gallery = Gallery([person(n) for n in range(30)], MODEL.sha256)
    assert gallery.search(units(np.random.default_rng(0), 5, 128), MODEL.impostors)[
        0
    ].score < threshold(0.05 / 30)


def test_the_revoked_and_those_of_other_weights_are_left_out():
    other, revoked = person(1, model="b" * 64), person(2)
    gone = Person(*(vars(revoked) | {"record": revoked.record.without_template()}).values())
    assert (
        Gallery([other, gone], MODEL.sha256).search(capture(1, 50).embeddings, MODEL.impostors)
        == []
    )


def test_people_who_come_and_go_are_noticed(tmp_path):
    store = open_store(str(tmp_path / "s.db"), None, b"long enough", create=True)
    verifier = Verifier(store, MODEL)
    assert verifier.identify(capture(1, 50)).outcome is Outcome.NOT_ENROLLED
    for number in (1, 2):
        Registry(verifier).enroll(f"p{number}", [capture(number, take) for take in range(3)])
    assert verifier.identify(capture(1, 51)).name == "p1"
    assert verifier.identify(capture(3, 51)).outcome is Outcome.REJECTED
    Roster(store).delete("p1")
    assert verifier.identify(capture(1, 52)).outcome is Outcome.REJECTED
    assert verifier.identify(capture(2, 52)).name == "p2"


def test_enrolling_a_second_time_under_another_name_is_noticed(tmp_path):
    verifier = Verifier(
        open_store(str(tmp_path / "s.db"), None, b"long enough", create=True), MODEL
    )
    assert (
        Registry(verifier).enroll("ann", [capture(1, take) for take in range(3)]).lookalikes == ()
    )
    assert Registry(verifier).enroll(
        "eve", [capture(1, take) for take in range(10, 13)]
    ).lookalikes == ("ann",)


def test_the_more_people_the_stricter_a_search(tmp_path):
    verifier = Verifier(
        open_store(str(tmp_path / "s.db"), None, b"long enough", create=True), MODEL, fmr=0.05
    )
    for number in (1, 2, 3, 4):
        Registry(verifier).enroll(f"p{number}", [capture(number, take) for take in range(3)])
    assert verifier.verify("p1", capture(1, 50)).threshold == round(threshold(0.05), 2)
    found = verifier.identify(capture(1, 51))
    assert found.outcome is Outcome.ACCEPTED and found.threshold == round(
        threshold(0.05 / 4), 2
    ) > threshold(0.05)
