"""Verifying and identifying: from a capture to a decision, with everything that a decision leaves
behind."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ppg_auth.decide.decision import FMR, Decision, Impostors, Outcome, threshold
from ppg_auth.decide.gallery import Candidate, Gallery, protected_cosine
from ppg_auth.decide.presentation import attack_signs, is_replay, polarity, sketch
from ppg_auth.store.people import Person
from ppg_auth.store.record import Attempts, Policy
from ppg_auth.store.session import Session, Store
from ppg_auth.store.template import expand_key
from vitrail.errors import InputError

if TYPE_CHECKING:
    from ppg_auth.result import Capture

# Failures of one client and of all together: for whomever they were, and with names that nobody has
CLIENT = Policy(free=20, max_delay=300.0, forgive=60.0)
EVERYONE = Policy(free=50, delay=5.0, max_delay=60.0, forgive=10.0)
LOCAL = "this machine"  # the client of who has the passphrase
REPLAY, TURNED = "replay", "turned"


@dataclass(frozen=True)
class Model:
    """What a weights file says beside the network: its sha256, and how wrong people score."""

    sha256: str
    impostors: Impostors


class Verifier:
    """A store, and the model whose embeddings it compares. ``clock`` gives seconds since 1970.

    The whole of a decision is one transaction: whoever comes second already finds the first one's
    failure, and an answer that was not written down was not given.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        *,
        fmr: float = FMR,
        policy: Policy = Policy(),
        clock: Callable[[], float] = time.time,
    ):
        self.store, self.model, self.policy, self.clock, self.fmr = store, model, policy, clock, fmr
        self.threshold = threshold(fmr)
        self._gallery = Gallery((), model.sha256)

    def verify(self, name: str, capture: "Capture", client: str = LOCAL) -> Decision:
        """Whether the capture, which comes from ``client``, is of the person enrolled under
        ``name``."""
        with self.store.session() as session:
            person = session.people.get(name)
            decision = self.decide(session, person, name, capture, client)
            self.settle(session, "verify", person, capture, decision, client)
        return decision

    def identify(self, capture: "Capture", client: str = LOCAL) -> Decision:
        """Who of all enrolled people the capture is of, or nobody (rejected).

        A stranger may be taken for anybody, so with N enrolled each comparison is as strict as for
        an N-th of the rate.
        """
        with self.store.session() as session:
            decision = self._find(session, capture, client)
            person = session.people.get(decision.name) if decision.name else None
            if person and (signs := self._attack_signs(session, person, capture)):
                decision = Decision(Outcome.REJECTED, None, signs)
            found = (session, "identify", person, capture, decision, client)
            self.settle(*found, counts_for_person=False)
        return decision

    def wait(self, session: Session, client: str) -> float:
        """Seconds until a client may try anything."""
        now, counters = self.clock(), session.counters
        return max(counters.everyone.wait(now, EVERYONE), counters.of(client).wait(now, CLIENT))

    def count(self, session: Session, client: str, decision: Decision) -> None:
        """What a decision leaves in the counters that belong to no person."""
        now, counters = self.clock(), session.counters
        counters.everyone = _after(counters.everyone, decision, now, EVERYONE)
        counters.put(client, _after(counters.of(client), decision, now, CLIENT), now)

    def candidates(self, session: Session, capture: "Capture") -> list[Candidate]:
        """The enrolled people most like the capture, the best first."""
        key_ids = frozenset(session.people.key_ids())
        if key_ids != self._gallery.key_ids:
            self._gallery = Gallery(session.people.all(), self.model.sha256, key_ids)
        return self._gallery.search(capture.embeddings, self.model.impostors)

    def decide(
        self,
        session: Session,
        person: Person | None,
        name: str,
        capture: "Capture",
        client: str = LOCAL,
    ) -> Decision:
        """The decision, before anything of it is written down."""
        wait = self.wait(session, client)
        if person:
            wait = max(wait, person.attempts.wait(self.clock(), self.policy))
        if wait > 0:
            return Decision(Outcome.THROTTLED, name, wait=wait)
        if person is None or person.record.revoked:
            return Decision(Outcome.NOT_ENROLLED, name)
        if person.record.model != self.model.sha256:
            raise InputError(
                name, "was enrolled with other weights", "give those with --weights, or enrol anew"
            )
        if not capture.usable:
            return Decision(Outcome.INCONCLUSIVE, name, capture.reasons)
        if signs := self._attack_signs(session, person, capture):
            return Decision(Outcome.REJECTED, name, signs)
        return self._judge(name, self.score(person, capture), self.threshold)

    def score(self, person: Person, capture: "Capture") -> float:
        """The normalised score of a capture against a person's template."""
        cosine = protected_cosine(
            capture.embeddings, expand_key(person.projection_key), person.record.placements
        )
        return float(self.model.impostors.normalise(cosine))

    def settle(
        self,
        session: Session,
        event: str,
        person: Person | None,
        capture: "Capture",
        decision: Decision,
        client: str = LOCAL,
        *,
        counts_for_person: bool = True,
    ) -> None:
        """Writes down what a decision leaves: failures or their end, the capture, a line in the
        log."""
        now = self.clock()
        self.count(session, client, decision)
        if person and counts_for_person:
            session.people.set_attempts(person, _after(person.attempts, decision, now, self.policy))
        if person and decision.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
            accepted = decision.outcome is Outcome.ACCEPTED
            self.remember(session, person, capture, for_good=accepted)
        facts = {
            "verdict": decision.outcome.value,
            "score": decision.score,
            "reasons": list(decision.reasons),
        }
        session.audit.append(event, person.id if person else None, now, **facts)

    def remember(
        self, session: Session, person: Person, capture: "Capture", *, for_good: bool = True
    ) -> None:
        """Keeps what tells this capture if it comes again."""
        own = sketch(capture, person.sketch_key)
        session.captures.remember(person, capture.raw, own, for_good=for_good)

    def _find(self, session: Session, capture: "Capture", client: str) -> Decision:
        if (wait := self.wait(session, client)) > 0:
            return Decision(Outcome.THROTTLED, None, wait=wait)
        if not capture.usable:
            return Decision(Outcome.INCONCLUSIVE, None, capture.reasons)
        best = next(iter(self.candidates(session, capture)), None)
        if best is None:
            return Decision(Outcome.NOT_ENROLLED, None)
        decision = self._judge(best.name, best.score, threshold(self.fmr / len(self._gallery)))
        return (
            decision if decision.outcome is Outcome.ACCEPTED else Decision(Outcome.REJECTED, None)
        )

    def _judge(self, name: str, score: float, threshold: float) -> Decision:
        outcome = Outcome.ACCEPTED if score >= threshold else Outcome.REJECTED
        return Decision(outcome, name, (), round(score, 2), round(threshold, 2))

    def _attack_signs(
        self, session: Session, person: Person, capture: "Capture"
    ) -> tuple[str, ...]:
        signs = [REPLAY] if self._replayed(session, person, capture) else []
        if polarity(capture) != person.record.polarity:
            signs.append(TURNED)
        return (*signs, *attack_signs(capture))

    def _replayed(self, session: Session, person: Person, capture: "Capture") -> bool:
        if session.captures.seen(capture.raw):
            return True
        return is_replay(sketch(capture, person.sketch_key), session.captures.sketches(person))


def _after(attempts: Attempts, decision: Decision, now: float, policy: Policy) -> Attempts:
    match decision.outcome:
        case Outcome.ACCEPTED:
            return attempts.succeeded(now, policy)
        case Outcome.THROTTLED:
            return attempts.paused(now)
        case Outcome.REJECTED | Outcome.NOT_ENROLLED:
            return attempts.failed(now, policy)
    return attempts
