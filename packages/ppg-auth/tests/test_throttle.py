"""Failures slow down, then lock; neither a new process nor a clock set back helps."""

import math

import pytest
from made_people import capture, fake_model

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.record import Attempts, Policy

POLICY = Policy()


def after(failures: int, clock: float = 1000.0, policy: Policy = POLICY) -> Attempts:
    attempts = Attempts()
    for _ in range(failures):
        attempts = attempts.failed(clock, policy)
    return attempts


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (8, 240), (19, 30 * 2**14), (20, math.inf)],
)
def test_delays_double_until_the_lock(failures, wait):
    assert after(failures).wait(1000.0, POLICY) == min(wait, POLICY.max_delay) or wait == math.inf


def test_the_lock_holds_for_ever_and_can_be_moved():
    assert after(20).wait(1e12, POLICY) == math.inf
    assert after(19).wait(1e12, POLICY) == 0
    assert after(3, policy=Policy(lock=3)).wait(1e12, Policy(lock=3)) == math.inf
    assert after(500, policy=Policy(lock=None)).wait(1000.0, Policy(lock=None)) == POLICY.max_delay


def test_waiting_ends_when_the_time_is_up():
    attempts = after(5)
    assert attempts.wait(1029.0, POLICY) == 1 and attempts.wait(1030.0, POLICY) == 0


def test_a_clock_set_back_shortens_nothing():
    attempts = after(5)
    assert attempts.wait(0.0, POLICY) == 30
    later = attempts.failed(500.0, POLICY)
    assert later.seen == 1000.0 and later.wait(999.0, POLICY) == 60


def test_success_begins_anew():
    assert after(7).succeeded(2000.0) == Attempts(seen=2000.0)


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


def test_twenty_failures_lock_until_unlocked(opened, clock):
    for take in range(20):
        assert attempt(opened, clock, 2, take) is Outcome.REJECTED
        clock.now += 1e5
    assert attempt(opened, clock, 1, 50) is Outcome.THROTTLED
    Roster(opened(), clock).unlock("alice")
    assert attempt(opened, clock, 1, 51) is Outcome.ACCEPTED


def test_unusable_captures_do_not_count(opened, clock):
    verifier = Verifier(opened(), fake_model(), clock=clock)
    for take in range(8):
        shaky = capture(2, take, usable=False, reasons=("too_few_windows",))
        assert verifier.verify("alice", shaky).outcome is Outcome.INCONCLUSIVE
    assert attempt(opened, clock, 1, 50) is Outcome.ACCEPTED


def test_failures_with_many_names_slow_everyone_down(opened, clock):
    verifier = Verifier(opened(), fake_model(), clock=clock)
    for number in range(50):
        assert verifier.verify(f"guess{number}", capture(2, number)).outcome is Outcome.NOT_ENROLLED
    assert verifier.verify("alice", capture(1, 50)).outcome is Outcome.THROTTLED
    clock.now += 31
    assert verifier.verify("alice", capture(1, 51)).outcome is Outcome.ACCEPTED
