"""New templates: enrolled, or renewed under another key."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppg_auth.decide.decision import Decision, Outcome, placement_mean
from ppg_auth.decide.presentation import attack_signs, polarity
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import LOCAL, Verifier
from ppg_auth.store.people import Person
from ppg_auth.store.record import Record, ThrottledError
from ppg_auth.store.session import Session
from ppg_auth.store.template import expand_key, protect
from ppg_auth.store.vault import derive
from vitrail.errors import InputError

if TYPE_CHECKING:
    from ppg_auth.result import Capture

MIN_WINDOWS = 7  # of five seconds, half overlapping: 20 s of a usable pulse make a template


@dataclass(frozen=True)
class Enrolment:
    """What came of an enrolment; ``lookalikes`` are people enrolled before who match the new
    one."""

    name: str
    windows: int
    placements: int
    lookalikes: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self)


class Registry:
    """Enrols people in the verifier's store."""

    def __init__(self, verifier: Verifier):
        self._verifier, self._roster = verifier, Roster(verifier.store, verifier.clock)

    def enroll(self, name: str, captures: Sequence["Capture"], client: str = LOCAL) -> Enrolment:
        """Makes a template of a person who consented, from one capture per placement of the finger.

        One who looks like somebody counts as a failure of the ``client``, since that tells who is
        enrolled. InputError where a capture is not good enough or looks like an attack; UsageError
        where the name is taken; ThrottledError after too many failures.
        """
        require_quality(captures)
        key_id, secret = self._roster.new_secret()
        with self._verifier.store.session() as session:
            if (wait := self._verifier.wait(session, client)) > 0:
                raise ThrottledError(wait)
            lookalikes = self._lookalikes(session, captures)
            if lookalikes:
                self._verifier.count(session, client, Decision(Outcome.REJECTED, None))
            session.people.add(self._record(name, captures, secret), key_id, secret)
            self._remember(session, name, captures)
            id_ = session.people.id_of(name)
            alike = [session.people.id_of(alike) for alike in lookalikes]
            facts = {"placements": len(captures), "consent": True, "lookalikes": alike}
            self._roster.note(session, "enroll", id_, **facts)
        return Enrolment(name, sum(len(c.embeddings) for c in captures), len(captures), lookalikes)

    def renew(self, name: str, captures: Sequence["Capture"]) -> Decision:
        """Puts a template under a new key in the old one's place, if every capture passes as a
        verification.

        A revoked template has nothing to verify against: the captures are taken as at an enrolment.
        """
        require_quality(captures)
        key_id, secret = self._roster.new_secret()
        with self._verifier.store.session() as session:
            person = self._roster.person(session, name)
            decision = self._pass(session, person, captures)
            if decision.outcome is Outcome.ACCEPTED:
                record = self._record(person.record.name, captures, secret)
                session.people.replace(person, record, key_id, secret)
                session.captures.forget(person)
                self._remember(session, name, captures)
                self._roster.note(session, "renew", person.id, placements=len(captures))
        self._verifier.store.vault.erase(
            person.key_id if decision.outcome is Outcome.ACCEPTED else key_id
        )
        return decision

    def _record(self, name: str, captures: Sequence["Capture"], secret: bytes) -> Record:
        means = np.array([placement_mean(capture.embeddings) for capture in captures])
        now = self._verifier.clock()
        return Record(
            name=name,
            model=self._verifier.model.sha256,
            placements=protect(means, expand_key(derive(secret, "projection"))),
            polarity=polarity(captures[0]),
            consent=now,
            enrolled=now,
        )

    def _pass(self, session: Session, person: Person, captures: Sequence["Capture"]) -> Decision:
        """The first decision that is not an acceptance, or the last acceptance."""
        if person.record.revoked:
            return Decision(Outcome.ACCEPTED, person.record.name)
        for capture in captures:
            decision = self._verifier.decide(session, person, person.record.name, capture)
            if decision.outcome is not Outcome.ACCEPTED:
                break
        self._verifier.settle(session, "verify", person, capture, decision)
        return decision

    def _lookalikes(self, session: Session, captures: Sequence["Capture"]) -> tuple[str, ...]:
        best = [self._verifier.candidates(session, capture)[:1] for capture in captures]
        names = {c.name for found in best for c in found if c.score >= self._verifier.threshold}
        return tuple(sorted(names))

    def _remember(self, session: Session, name: str, captures: Sequence["Capture"]) -> None:
        person = session.people.get(name)
        assert person is not None  # enrolled in this very session
        for capture in captures:
            self._verifier.remember(session, person, capture)


def require_quality(captures: Sequence["Capture"]) -> None:
    """InputError unless the captures are good enough, from one kind of sensor, and of live fingers
    as far as seen."""
    if len({polarity(capture) for capture in captures}) > 1:
        raise InputError(
            captures[0].source,
            "the captures come from different kinds of sensors",
            "use one device",
        )
    for capture in captures:
        if not capture.usable:
            problem = f"is not good enough to enrol: {', '.join(capture.reasons)}"
            raise InputError(capture.source, problem, "hold the finger still and record again")
        if signs := attack_signs(capture):
            raise InputError(
                capture.source,
                f"does not look like a live pulse: {', '.join(signs)}",
                "record anew",
            )
    if sum(len(capture.embeddings) for capture in captures) < MIN_WINDOWS:
        raise InputError(
            captures[0].source,
            "20 s of a usable pulse are needed",
            "record longer, or give more files",
        )
