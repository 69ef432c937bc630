"""What every store promises, in SQLite and in PostgreSQL alike."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from made_people import capture, fake_model
from sqlalchemy import event, select, update

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.database import people
from ppg_auth.store.names import check_name
from ppg_auth.store.session import Store, open_store
from vitrail.errors import InputError, UsageError

FORK = multiprocessing.get_context("fork")


def registry(store: Store) -> Registry:
    return Registry(Verifier(store, fake_model()))


def takes(person: int, first: int = 0, number: int = 3) -> list:
    return [capture(person, first + take) for take in range(number)]


def verify(store: Store, name: str, person: int, take: int = 100) -> Outcome:
    return Verifier(store, fake_model()).verify(name, capture(person, take)).outcome


def names(store: Store) -> list[str]:
    return [person.record.name for person in Roster(store).people()]


def test_the_right_person_is_accepted_and_another_is_not(opened):
    registry(opened()).enroll("alice", takes(1))
    assert verify(opened(), "alice", 1) is Outcome.ACCEPTED
    assert verify(opened(), "alice", 2) is Outcome.REJECTED
    assert verify(opened(), "bob", 1) is Outcome.NOT_ENROLLED


def test_a_name_is_taken_once(store):
    registry(store).enroll("alice", takes(1))
    with pytest.raises(UsageError, match="enrolled already"):
        registry(store).enroll("alice", takes(2))
    assert verify(store, "alice", 1) is Outcome.ACCEPTED


SPELLINGS = ["Jose\u0301 Ruiz", "JOS\u00c9  RUIZ", " jos\u00e9 ruiz ", "\uff2aos\u00e9 Ruiz\ufe0f"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_person_however_the_name_is_written(store, spelling):
    enrolled = "Jos\u00e9 Ruiz"
    registry(store).enroll(enrolled, takes(1))
    with pytest.raises(UsageError, match="enrolled already"):
        registry(store).enroll(spelling, takes(2))
    assert verify(store, spelling, 1) is Outcome.ACCEPTED
    assert registry(store).renew(spelling, takes(1, 20)).outcome is Outcome.ACCEPTED
    assert names(store) == [enrolled]
    assert verify(store, "Jose Ruiz", 1) is Outcome.NOT_ENROLLED, "an accent is not written away"
    Roster(store).delete(spelling)
    assert names(store) == []


def test_a_store_whose_names_are_filed_as_typed_keeps_working(store, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("ppg_auth.store.people.name_key", lambda name: name)
        registry(store).enroll("Ann", takes(1))
    assert verify(store, "Ann", 1) is Outcome.ACCEPTED
    with pytest.raises(UsageError, match="enrolled already"):
        registry(store).enroll("ann", takes(2))
    assert registry(store).renew("Ann", takes(1, 20)).outcome is Outcome.ACCEPTED
    Roster(store).delete("Ann")
    registry(store).enroll("ann", takes(2))
    assert verify(store, "ANN", 2) is Outcome.ACCEPTED


@pytest.mark.parametrize("name", ["\u0430nn", "J\u03bfse", "\ufe0f", "an\u200bn"])
def test_names_that_deceive(name):
    """Cyrillic a, Greek o, a variation selector alone, a blank without width."""
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", ["\u0410\u043d\u043d\u0430", "\u5c71\u7530 Taro", "x" * 200])
def test_names_of_one_script(name):
    check_name(name)


def test_renewing_needs_the_same_person_and_ends_the_old_template(store):
    registry(store).enroll("alice", takes(1))
    with store.session() as session:
        before = session.people.get("alice")
    assert registry(store).renew("alice", takes(2, 10)).outcome is Outcome.REJECTED
    assert registry(store).renew("alice", takes(1, 20)).outcome is Outcome.ACCEPTED
    with store.session() as session:
        after = session.people.get("alice")
    assert after.version == 2 and after.key_id != before.key_id
    assert store.vault.get(before.key_id) is None
    assert verify(store, "alice", 1) is Outcome.ACCEPTED


def test_a_revoked_template_accepts_nobody_until_renewed(store):
    registry(store).enroll("alice", takes(1))
    Roster(store).revoke("alice")
    assert verify(store, "alice", 1) is Outcome.NOT_ENROLLED
    assert registry(store).renew("alice", takes(1, 10)).outcome is Outcome.ACCEPTED
    assert verify(store, "alice", 1) is Outcome.ACCEPTED


def test_deleting_leaves_no_key_and_no_row(store):
    registry(store).enroll("alice", takes(1))
    with store.session() as session:
        key_id = session.people.get("alice").key_id
    Roster(store).delete("alice")
    assert store.vault.get(key_id) is None and names(store) == []
    assert verify(store, "alice", 1) is Outcome.NOT_ENROLLED
    registry(store).enroll("alice", takes(1))  # nothing of the earlier captures is remembered


@pytest.mark.parametrize("act", ["revoke", "delete", "unlock"])
def test_changing_nobody(store, act):
    with pytest.raises(UsageError, match="is not enrolled"):
        getattr(Roster(store), act)("nobody")
    with pytest.raises(UsageError, match="is not enrolled"):
        registry(store).renew("nobody", takes(1))


def test_another_passphrase_opens_nothing(opened, address):
    registry(opened()).enroll("alice", takes(1))
    with pytest.raises(InputError, match="passphrase does not open it"):
        open_store(address, None, b"wrong")


def test_a_person_enrolled_with_other_weights_is_not_compared(store):
    registry(store).enroll("alice", takes(1))
    with pytest.raises(InputError, match="other weights"):
        Verifier(store, replace(fake_model(), sha256="b" * 64)).verify("alice", capture(1, 100))


@pytest.mark.parametrize("column", ["record", "attempts", "key_id"])
def test_rows_cannot_be_swapped(store, column):
    registry(store).enroll("alice", takes(1))
    registry(store).enroll("mallory", takes(2))
    with store.session() as session:
        alice, mallory = (session.people.id_of(name) for name in ("alice", "mallory"))
    with store.database.transaction() as connection:
        other = connection.scalar(select(people.c[column]).where(people.c.id == mallory))
        connection.execute(update(people).where(people.c.id == alice).values({column: other}))
    with pytest.raises(InputError, match="was removed, put back or altered"):
        verify(store, "alice", 2)


def test_two_enrolments_of_one_name_at_once(opened):
    opened()

    def enroll(person: int) -> bool:
        try:
            registry(opened()).enroll("alice", takes(person))
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(enroll, range(8)))
    assert won.count(True) == 1
    assert verify(opened(), "alice", won.index(True)) is Outcome.ACCEPTED


def test_fifty_verifications_at_once_answer_as_one_after_the_other(opened):
    registry(opened()).enroll("alice", takes(1))
    attempts = [(1, 100 + number) for number in range(48)] + [(2, 1), (2, 2)]
    shared = opened()
    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(lambda attempt: verify(shared, "alice", *attempt), attempts))
    assert outcomes == [Outcome.ACCEPTED] * 48 + [Outcome.REJECTED] * 2
    with shared.session() as session:
        assert session.audit.verify()[0] == 51


def test_guessers_at_once_get_no_more_attempts_than_one(opened):
    registry(opened()).enroll("alice", takes(1))
    # A clock that stands still: on a busy machine the delay would be over before the last came
    verifier = Verifier(opened(), fake_model(), clock=lambda: 1000.0)

    def guess(person: int) -> Outcome:
        return verifier.verify("alice", capture(person, 100)).outcome

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(guess, range(2, 22)))
    assert outcomes.count(Outcome.REJECTED) == 5 and outcomes.count(Outcome.THROTTLED) == 15


def test_two_processes_make_one_store(opened):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: opened(), range(4)))
    assert len({store.master for store in stores}) == 1


def killed_at(step: int, opened, act) -> bool:
    """Runs ``act`` in a process that is killed before its write or commit number ``step``; whether
    it came so far. Killed before a read it would leave what it leaves before the write after it.
    """

    def work() -> None:
        store, left = opened(), iter(range(step))

        def die_when_due(*_) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        def before(connection, cursor, statement: str, *_) -> None:
            if not statement.lstrip().upper().startswith("SELECT"):
                die_when_due()

        for database in (store.database, store.vault.database):
            event.listen(database.engine, "before_cursor_execute", before)
            event.listen(database.engine, "commit", die_when_due)
        act(store)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def kill_everywhere(opened, act, check) -> int:
    """Kills ``act`` at every step in turn until it comes through, checking the store each time; the
    number of kills."""
    step = 0
    while killed_at(step, opened, act):
        check(opened())
        step += 1
    return step


def test_an_enrolment_killed_anywhere_is_there_or_not(opened):
    opened()

    def check(store):
        with store.session() as session:
            entries = session.audit.verify()[0]
        assert len(names(store)) == entries == 0  # each is killed before its commit

    assert (
        kill_everywhere(opened, lambda store: registry(store).enroll("alice", takes(1)), check) > 10
    )
    assert verify(opened(), "alice", 1) is Outcome.ACCEPTED


def test_a_renewal_killed_anywhere_leaves_a_template_that_works(opened):
    registry(opened()).enroll("alice", takes(1))
    turn = iter(range(1000))

    def renew(store):
        registry(store).renew("alice", takes(1, 10_000))

    def check(store):
        assert verify(store, "alice", 1, take=200 + next(turn)) is Outcome.ACCEPTED
        assert verify(store, "alice", 2, take=200 + next(turn)) is Outcome.REJECTED
        Roster(store).unlock_everyone()  # the failures that these leave are not the point

    assert kill_everywhere(opened, renew, check) > 10


def test_a_deletion_killed_anywhere_leaves_the_person_or_nothing(opened):
    registry(opened()).enroll("bob", takes(2))

    def delete(store):
        if "alice" not in names(store):
            registry(store).enroll("alice", takes(1))
        Roster(store).delete("alice")

    def check(store):
        assert verify(store, "alice", 3) in {
            Outcome.REJECTED,
            Outcome.NOT_ENROLLED,
            Outcome.THROTTLED,
        }
        assert "bob" in names(store)
        Roster(store).unlock_everyone()

    assert kill_everywhere(opened, delete, check) > 15
    assert names(opened()) == ["bob"]


def test_a_verification_killed_anywhere_answers_nothing_and_changes_nothing(opened):
    registry(opened()).enroll("alice", takes(1))

    def check(store):
        with store.session() as session:
            assert session.people.get("alice").attempts.failures == 0
            assert session.audit.verify()[0] == 1

    def attempt(store):
        verify(store, "alice", 2)

    assert kill_everywhere(opened, attempt, check) > 5
    with opened().session() as session:
        assert session.people.get("alice").attempts.failures == 1


def test_a_process_that_died_leaves_no_key_for_long(opened, monkeypatch):
    store = opened()
    orphan, _ = store.vault.new()
    registry(store).enroll("alice", takes(1))
    assert store.vault.get(orphan) is not None  # it may belong to an enrolment that is under way
    monkeypatch.setattr("ppg_auth.store.vault.UNCLAIMED", -1.0)
    registry(store).enroll("bob", takes(2))
    assert store.vault.get(orphan) is None
    assert verify(store, "alice", 1) is Outcome.ACCEPTED
