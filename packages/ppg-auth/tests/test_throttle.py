"""Failures slow down; neither a new process nor a clock set back helps, and no stranger shuts an
honest person out for longer than minutes."""

import math

import pytest
from made_people import capture, fake_model

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.record import Attempts, Policy, ThrottledError

POLICY = Policy()


def after(failures: int, clock: float = 1000.0, policy: Policy = POLICY) -> Attempts:
    attempts = Attempts()
    for _ in range(failures):
        attempts = attempts.failed(clock, policy)
    return attempts


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (8, 240), (9, 480), (10, 600), (500, 600)],
)
def test_delays_double_up_to_minutes(failures, wait):
    assert after(failures).wait(1000.0, POLICY) == wait


def test_a_lock_that_was_asked_for_holds_for_ever():
    locking = Policy(lock=3)
    assert after(3, policy=locking).wait(1e12, locking) == math.inf
    assert after(2, policy=locking).wait(1e12, locking) == 0


def test_waiting_ends_when_the_time_is_up():
    attempts = after(5)
    assert attempts.wait(1029.0, POLICY) == 1 and attempts.wait(1030.0, POLICY) == 0


def test_a_clock_set_back_shortens_nothing():
    attempts = after(5)
    assert attempts.wait(0.0, POLICY) == 30
    later = attempts.failed(500.0, POLICY)
    assert later.wait(500.0, POLICY) == later.wait(400.0, POLICY) == 60


def test_a_clock_that_was_ahead_locks_nobody_after_it_is_right_again():
    """What is left of the wait is counted from the first attempt by the right clock on."""
    ahead = after(6, clock=1e9)
    assert ahead.wait(1000.0, POLICY) == 60
    right = ahead.paused(1000.0)
    assert right.wait(1000.0, POLICY) == 60 and right.wait(1060.0, POLICY) == 0
    assert right.paused(1030.0).wait(1060.0, POLICY) == 0  # trying again does not begin it anew
    assert Attempts(9, allowed_from=1e9, seen=1000.0).wait(1000.0, POLICY) == POLICY.max_delay


def test_success_begins_anew():
    assert after(7).succeeded(2000.0, POLICY) == Attempts(seen=2000.0)


def test_shared_counters_forgive_by_time_and_not_by_success():
    shared = Policy(free=3, delay=10, max_delay=60, forgive=100)
    counted = after(4, policy=shared)
    assert counted.succeeded(1000.0, shared) == counted
    assert (
        counted.failed(1200.0, shared).failures == 3 and counted.failed(1e6, shared).failures == 1
    )


def test_state_survives_writing():
    assert Attempts.from_bytes(after(9).to_bytes()) == after(9)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def attempt(opened, clock, person: int, take: int) -> Outcome:
    """A verification as alice by a process of its own."""
    return (
        Verifier(opened(), fake_model(), clock=clock).verify("alice", capture(person, take)).outcome
    )


@pytest.fixture
def clock(opened) -> Clock:
    clock = Clock()
    Registry(Verifier(opened(), fake_model(), clock=clock)).enroll(
        "alice", [capture(1, take) for take in range(3)]
    )
    return clock


def test_failures_are_counted_across_processes_and_clocks(opened, clock):
    assert [attempt(opened, clock, 2, take) for take in range(5)] == [Outcome.REJECTED] * 5
    assert attempt(opened, clock, 1, 50) is Outcome.THROTTLED
    clock.now -= 1e5
    assert attempt(opened, clock, 1, 51) is Outcome.THROTTLED
    clock.now += 1e5 + 31
    assert attempt(opened, clock, 1, 52) is Outcome.ACCEPTED
    assert [attempt(opened, clock, 2, take) for take in range(10, 14)] == [Outcome.REJECTED] * 4
    assert attempt(opened, clock, 1, 53) is Outcome.ACCEPTED


def test_a_lock_ends_by_unlocking(opened, clock):
    policy = Policy(lock=20)

    def attempt(person: int, take: int) -> Outcome:
        verifier = Verifier(opened(), fake_model(), clock=clock, policy=policy)
        return verifier.verify("alice", capture(person, take)).outcome

    for take in range(20):
        assert attempt(2, take) is Outcome.REJECTED
        clock.now += 1e5
    assert attempt(1, 50) is Outcome.THROTTLED
    Roster(opened(), clock).unlock("alice")
    assert attempt(1, 51) is Outcome.ACCEPTED


def test_unusable_captures_do_not_count(opened, clock):
    verifier = Verifier(opened(), fake_model(), clock=clock)
    for take in range(8):
        shaky = capture(2, take, usable=False, reasons=("too_few_windows",))
        assert verifier.verify("alice", shaky).outcome is Outcome.INCONCLUSIVE
    assert attempt(opened, clock, 1, 50) is Outcome.ACCEPTED


HONEST, STRANGER = "10.0.0.1", "10.0.0.2"


def test_names_that_nobody_has_lock_nobody_out(opened, clock):
    """Fifty of them used to lock everyone out, for longer and longer, and nothing ended it."""
    verifier = Verifier(opened(), fake_model(), clock=clock)
    outcomes = []
    for number in range(400):
        found = verifier.verify(f"guess{number}", capture(2, number % 50), STRANGER)
        outcomes.append(found.outcome)
        clock.now += 1
    assert {Outcome.NOT_ENROLLED, Outcome.THROTTLED} == set(outcomes)
    assert outcomes.count(Outcome.NOT_ENROLLED) < 40
    found = verifier.verify("alice", capture(1, 50), HONEST)
    assert found.outcome is Outcome.ACCEPTED, found


def test_strangers_at_many_addresses_hold_nobody_up_for_longer_than_minutes(opened, clock):
    verifier = Verifier(opened(), fake_model(), clock=clock)
    for number in range(120):
        verifier.verify(f"guess{number}", capture(2, number % 50), f"10.1.0.{number}")
    found = verifier.verify("alice", capture(1, 50), HONEST)
    assert found.outcome is Outcome.THROTTLED and found.wait <= 60
    for take in range(12):
        verifier.verify("alice", capture(2, take), f"10.2.0.{take}")
        clock.now += 61
    found = verifier.verify("alice", capture(1, 51), HONEST)
    assert found.wait <= 600
    clock.now += 600
    assert verifier.verify("alice", capture(1, 52), HONEST).outcome is Outcome.ACCEPTED


def test_an_own_account_wins_no_guesses_back(opened, clock):
    """One success between guesses used to begin the count of all anew."""
    verifier = Verifier(opened(), fake_model(), clock=clock)
    Registry(verifier).enroll("mallory", [capture(9, take) for take in range(3)])
    guesses = 0
    for number in range(60):
        if verifier.identify(capture(20 + number, 1), STRANGER).outcome is Outcome.REJECTED:
            guesses += 1
        verifier.identify(capture(9, 100 + number), STRANGER)
    assert guesses == 20
    assert verifier.identify(capture(9, 500), STRANGER).outcome is Outcome.THROTTLED
    assert verifier.identify(capture(1, 50), HONEST).name == "alice"


def test_enrolling_is_counted_where_it_tells_who_is_there(opened, clock):
    registry = Registry(Verifier(opened(), fake_model(), clock=clock))
    for number in range(20):
        takes = [capture(1, 100 + 3 * number + take) for take in range(3)]
        assert registry.enroll(f"probe {number}", takes, STRANGER).lookalikes
    with pytest.raises(ThrottledError, match="too many failures; try again in 30 s"):
        registry.enroll("one more", [capture(1, 900 + take) for take in range(3)], STRANGER)
    registry.enroll("bob", [capture(5, take) for take in range(3)], HONEST)


def test_everyone_is_unlocked_at_once(opened, clock):
    verifier = Verifier(opened(), fake_model(), clock=clock)
    for number in range(70):
        verifier.verify("alice" if number < 6 else f"guess{number}", capture(2, number), HONEST)
    assert verifier.verify("alice", capture(1, 50), HONEST).outcome is Outcome.THROTTLED
    Roster(opened(), clock).unlock_everyone()
    assert verifier.verify("alice", capture(1, 51), HONEST).outcome is Outcome.ACCEPTED
