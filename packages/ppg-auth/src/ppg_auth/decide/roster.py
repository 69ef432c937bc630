"""Who is enrolled, and what ends or frees a template: revoke, delete, unlock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ppg_auth.store.people import Person
from ppg_auth.store.record import Attempts
from ppg_auth.store.session import Session, Store
from vitrail.errors import UsageError


class Roster:
    """The people of a store. ``clock`` gives seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time):
        self.store, self._clock = store, clock

    def people(self) -> list[Person]:
        """Everyone enrolled, by name."""
        with self.store.session() as session:
            return sorted(session.people.all(), key=lambda person: person.record.name)

    def revoke(self, name: str) -> None:
        """Destroys the template and its key; the name stays, to be renewed."""
        key_id, secret = self.new_secret()
        with self.store.session() as session:
            person = self.person(session, name)
            session.people.replace(person, person.record.without_template(), key_id, secret)
            session.captures.forget(person)
            self.note(session, "revoke", person.id)
        self.store.vault.erase(person.key_id)

    def delete(self, name: str) -> None:
        """Erases the key first, so that what is left of the person anywhere cannot be read, then
        the rows."""
        with self.store.session() as session:
            person = self.person(session, name)
            self.store.vault.erase(person.key_id)
            session.people.remove(person)
            session.captures.forget(person)
            self.note(session, "delete", person.id)

    def unlock(self, name: str) -> None:
        """Forgets the failures of a person."""
        with self.store.session() as session:
            person = self.person(session, name)
            session.people.set_attempts(person, Attempts())
            self.note(session, "unlock", person.id)

    def unlock_everyone(self) -> None:
        """Forgets the failures of all people and clients."""
        with self.store.session() as session:
            for person in session.people.all():
                session.people.set_attempts(person, Attempts())
            session.counters.clear()
            self.note(session, "unlock", None)

    def change_passphrase(self, passphrase: bytes) -> None:
        """Seals the store under another passphrase."""
        values = self.store.sealed_anew(passphrase)
        with self.store.session() as session:
            session.replace_header(values)
            self.note(session, "passphrase", None)

    def person(self, session: Session, name: str) -> Person:
        """The person; UsageError where nobody of this name is enrolled."""
        if person := session.people.get(name):
            return person
        raise UsageError(name, "is not enrolled", "'list' shows who is")

    def note(self, session: Session, event: str, id_: str | None, **facts: object) -> None:
        session.audit.append(event, id_, self._clock(), **facts)

    def new_secret(self) -> tuple[str, bytes]:
        """A secret for a template to come; where none comes, a later call sweeps it away.

        It is not erased at once on an error: the template may be written though the database's
        answer was lost.
        """
        with self.store.session() as session:
            self.store.vault.sweep(session.people.key_ids())
        return self.store.vault.new()


def describe(person: Person) -> dict:
    """A person as a row of JSON values."""
    return {
        "name": person.record.name,
        "id": person.id,
        "state": "revoked" if person.record.revoked else "enrolled",
        "enrolled": _date(person.record.enrolled),
        "consent": _date(person.record.consent),
        "placements": len(person.record.placements),
        "template": person.version,
        "failures": int(person.attempts.failures),
    }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
