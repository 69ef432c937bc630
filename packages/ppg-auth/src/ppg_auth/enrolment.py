"""The life of a template: enrolled, renewed, revoked, unlocked, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppg_auth.decision import Decision, Outcome
from ppg_auth.people import Person
from ppg_auth.presentation import attack_signs
from ppg_auth.record import Record
from ppg_auth.scoring import Statistics, placement_mean
from ppg_auth.sealing import derive
from ppg_auth.store import Session
from ppg_auth.template import expand_key, protect
from ppg_auth.throttle import Attempts
from ppg_auth.verification import Verifier
from vitrine.errors import InputError, UsageError

if TYPE_CHECKING:
    from ppg_auth.capture import Capture

LEAST_WINDOWS = 7  # of five seconds, half overlapping: 20 s of a usable pulse make a template


@dataclass(frozen=True)
class Enrolment:
    """What came of an enrolment; ``lookalikes`` are people enrolled before who match the new one."""

    name: str
    windows: int
    placements: int
    lookalikes: tuple[str, ...] = ()


class Registry:
    """Changes who is enrolled in the verifier's store."""

    def __init__(self, verifier: Verifier):
        self._verifier, self.store, self._model = verifier, verifier.store, verifier.model

    def enroll(self, name: str, captures: Sequence["Capture"]) -> Enrolment:
        """Makes a template of a person who consented, from one capture a placement of the finger.

        InputError where a capture is not good enough or looks like an attack; UsageError where the name is taken.
        """
        _require_quality(captures)
        key_id, secret = self._new_secret()
        with self.store.session() as session:
            lookalikes = self._lookalikes(session, captures)
            session.people.add(self._record(name, captures, secret), key_id, secret)
            self._remember(session, session.people.get(name), captures)
            self._note(session, "enroll", session.people.id_of(name), placements=len(captures), consent=True)
        return Enrolment(name, sum(len(c.embeddings) for c in captures), len(captures), lookalikes)

    def renew(self, name: str, captures: Sequence["Capture"]) -> Decision:
        """Puts a template under a new key in the old one's place, if every capture passes as a verification.

        A revoked template has nothing to verify against: the captures are taken as at an enrolment.
        """
        _require_quality(captures)
        key_id, secret = self._new_secret()
        with self.store.session() as session:
            person = self._person(session, name)
            decision = self._pass(session, person, captures)
            if decision.outcome is Outcome.ACCEPTED:
                session.people.replace(person, self._record(name, captures, secret), key_id, secret)
                session.captures.forget(person)
                self._remember(session, session.people.get(name), captures)
                self._note(session, "renew", person.id, placements=len(captures))
        self.store.vault.erase(person.key_id if decision.outcome is Outcome.ACCEPTED else key_id)
        return decision

    def revoke(self, name: str) -> None:
        """Destroys the template and its key; the name stays, to be renewed."""
        key_id, secret = self._new_secret()
        with self.store.session() as session:
            person = self._person(session, name)
            session.people.replace(person, person.record.without_template(), key_id, secret)
            session.captures.forget(person)
            self._note(session, "revoke", person.id)
        self.store.vault.erase(person.key_id)

    def delete(self, name: str) -> None:
        """Erases the key first, so that what is left of the person anywhere cannot be read, then the rows."""
        with self.store.session() as session:
            person = self._person(session, name)
            self.store.vault.erase(person.key_id)
            session.people.remove(person)
            session.captures.forget(person)
            self._note(session, "delete", person.id)

    def unlock(self, name: str) -> None:
        """Forgets the failures of a person."""
        with self.store.session() as session:
            person = self._person(session, name)
            session.people.set_attempts(person, Attempts(seen=person.attempts.seen))
            self._note(session, "unlock", person.id)

    def people(self) -> list[Person]:
        """Everyone enrolled, by name."""
        with self.store.session() as session:
            return sorted(session.people.all(), key=lambda person: person.record.name)

    def _record(self, name: str, captures: Sequence["Capture"], secret: bytes) -> Record:
        means = np.array([placement_mean(capture.embeddings) for capture in captures])
        now = self._verifier.clock()
        return Record(
            name=name,
            model=self._model.sha256,
            placements=protect(means, expand_key(derive(secret, "projection"))),
            statistics=Statistics.of_template(means, self._model.cohort),
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

    def _remember(self, session: Session, person: Person, captures: Sequence["Capture"]) -> None:
        for capture in captures:
            self._verifier.remember(session, person, capture)

    def _note(self, session: Session, event: str, id_: str, **facts: object) -> None:
        session.audit.append(event, id_, self._verifier.clock(), **facts)

    def _new_secret(self) -> tuple[str, bytes]:
        """A secret for a template to come; where none comes, a later call sweeps it away.

        It is not erased at once on an error: the template may be written though the database's answer was lost.
        """
        with self.store.session() as session:
            self.store.vault.sweep(session.people.key_ids())
        return self.store.vault.new()

    @staticmethod
    def _person(session: Session, name: str) -> Person:
        if person := session.people.get(name):
            return person
        raise UsageError(name, "is not enrolled", "'list' shows who is")


def _require_quality(captures: Sequence["Capture"]) -> None:
    for capture in captures:
        if not capture.usable:
            problem = f"is not good enough to enrol: {', '.join(capture.reasons)}"
            raise InputError(capture.source, problem, "hold the finger still and record again")
        if signs := attack_signs(capture):
            raise InputError(capture.source, f"does not look like a live pulse: {', '.join(signs)}", "record anew")
    if sum(len(capture.embeddings) for capture in captures) < LEAST_WINDOWS:
        raise InputError(captures[0].source, "20 s of a usable pulse are needed", "record longer, or give more files")
