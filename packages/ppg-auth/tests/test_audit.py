"""The log shows what was decided, and every way of tampering with it."""

import json

import pytest
from made_people import capture, fake_model
from sqlalchemy import delete, update

from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.database import entries, header
from ppg_auth.store.history import require_entry
from vitrail.errors import InputError


@pytest.fixture
def logged(store):
    """A store with eight entries."""
    verifier = Verifier(store, fake_model())
    Registry(verifier).enroll("alice", [capture(1, take) for take in range(3)])
    for take in range(3):
        verifier.verify("alice", capture(1, 10 + take))
        verifier.verify("alice", capture(2, 10 + take))
    Roster(store).revoke("alice")
    return store


def verify_log(store) -> tuple[int, str]:
    with store.session() as session:
        return session.audit.verify()


def lines(store) -> list[dict]:
    with store.session() as session:
        return list(session.audit.lines())


def test_an_untouched_log(logged):
    number, last = verify_log(logged)
    assert number == 8 and last == lines(logged)[-1]["hash"]


def test_entries_say_what_happened_and_no_more(logged):
    events = [entry["event"] for entry in lines(logged)]
    assert events == ["enroll", *["verify"] * 6, "revoke"]
    assert [entry["verdict"] for entry in lines(logged)[1:3]] == ["accepted", "rejected"]
    text = json.dumps(lines(logged))
    assert "alice" not in text
    scores = [entry["score"] for entry in lines(logged)[1:7]]
    assert all(round(score, 2) == score for score in scores)
    known = {
        "number",
        "time",
        "event",
        "person",
        "verdict",
        "score",
        "reasons",
        "placements",
        "consent",
        "lookalikes",
        "hash",
    }
    assert set().union(*lines(logged)) <= known


TAMPERING = {
    "a changed verdict": update(entries)
    .where(entries.c.number == 3)
    .values(line='{"number": 3, "event": "verify", "verdict": "accepted"}'),
    "a removed entry": delete(entries).where(entries.c.number == 4),
    "the first removed": delete(entries).where(entries.c.number == 1),
    "the end cut off": delete(entries).where(entries.c.number > 5),
    "all removed": delete(entries),
    "a number changed": update(entries).where(entries.c.number == 8).values(number=9),
    "a hash changed": update(entries).where(entries.c.number == 2).values(hash="0" * 64),
    "no head": delete(header).where(header.c.name == "head"),
    "another head": update(header).where(header.c.name == "head").values(value=b"\0" * 60),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found(logged, how):
    with logged.database.transaction() as connection:
        connection.execute(TAMPERING[how])
    with pytest.raises(
        InputError, match=r"changed or removed|put back or altered|damaged or was altered"
    ):
        verify_log(logged)


def test_a_noted_hash_shows_a_store_that_was_set_back(logged):
    _, last = verify_log(logged)
    with logged.session() as session:
        require_entry(session.audit, last)
        with pytest.raises(InputError, match="no entry of this hash"):
            require_entry(session.audit, "0" * 64)
