"""The enrolled people: each a sealed record and the sealed state of the attempts to verify as
them."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, insert, select, update

from ppg_auth.store.database import people
from ppg_auth.store.names import name_key
from ppg_auth.store.record import Attempts, NameTakenError, Record
from ppg_auth.store.vault import Vault, derive, seal, unseal


@dataclass(frozen=True)
class Person:
    """One opened row. ``secret`` is the person's own; ``version`` counts the templates that there
    have been."""

    id: str
    version: int
    key_id: str
    secret: bytes
    record: Record
    attempts: Attempts

    @property
    def projection_key(self) -> bytes:
        return derive(self.secret, "projection")

    @property
    def sketch_key(self) -> bytes:
        return derive(self.secret, "sketches")


class People:
    """The rows of one transaction. ``master`` opens nothing without the person's secret, nor the
    reverse."""

    def __init__(self, connection: Connection, vault: Vault, master: bytes):
        self._connection, self._vault, self._master = connection, vault, master

    def id_of(self, name: str) -> str:
        """The keyed hash under which a new name is filed, so that the database tells no names."""
        return self._digest(name_key(name))

    def get(self, name: str) -> Person | None:
        """The person, None where nobody of this name is enrolled (or their secret was erased)."""
        # Earlier versions filed names as they were typed
        for id_ in dict.fromkeys((self._digest(name), self.id_of(name))):
            row = self._connection.execute(select(people).where(people.c.id == id_)).one_or_none()
            secret = None if row is None else self._vault.get(row.key_id)
            if row is not None and secret:
                return self._open(row, secret)
        return None

    def all(self) -> Iterator[Person]:
        """Everyone, in no particular order."""
        known = self._vault.all()
        for row in self._connection.execute(select(people)):
            if row.key_id in known:
                yield self._open(row, known[row.key_id])

    def key_ids(self) -> list[str]:
        return list(self._connection.scalars(select(people.c.key_id)))

    def add(self, record: Record, key_id: str, secret: bytes) -> None:
        """Enrols under a secret of the vault; UsageError where someone of this name is there
        already."""
        key = name_key(record.name)
        if any(name_key(person.record.name) == key for person in self.all()):
            raise NameTakenError(
                record.name, "is enrolled already", "use 'renew', or 'delete' first"
            )
        id_ = self.id_of(record.name)
        self._connection.execute(
            delete(people).where(people.c.id == id_)
        )  # a row whose secret was erased
        self._connection.execute(
            insert(people).values(id=id_, **self._values(id_, 1, record, key_id, secret))
        )

    def replace(self, person: Person, record: Record, key_id: str, secret: bytes) -> None:
        """Puts a new record under a new secret in the place of the old one; the attempts begin
        anew."""
        values = self._values(person.id, person.version + 1, record, key_id, secret)
        self._connection.execute(update(people).where(people.c.id == person.id).values(values))

    def set_attempts(self, person: Person, attempts: Attempts) -> None:
        key = self._record_key(person.secret)
        sealed = seal(key, attempts.to_bytes(), _context("attempts", person.id, person.version))
        self._connection.execute(
            update(people).where(people.c.id == person.id).values(attempts=sealed)
        )

    def remove(self, person: Person) -> None:
        self._connection.execute(delete(people).where(people.c.id == person.id))

    def _values(self, id_: str, version: int, record: Record, key_id: str, secret: bytes) -> dict:
        key = self._record_key(secret)
        return {
            "version": version,
            "key_id": key_id,
            "record": seal(key, record.to_bytes(), _context("record", id_, version)),
            "attempts": seal(key, Attempts().to_bytes(), _context("attempts", id_, version)),
        }

    def _open(self, row: Row, secret: bytes) -> Person:
        key = self._record_key(secret)
        record = unseal(key, row.record, _context("record", row.id, row.version))
        attempts = unseal(key, row.attempts, _context("attempts", row.id, row.version))
        return Person(
            row.id,
            row.version,
            row.key_id,
            secret,
            Record.from_bytes(record),
            Attempts.from_bytes(attempts),
        )

    def _digest(self, name: str) -> str:
        return hmac.digest(derive(self._master, "names"), name.encode(), "sha256").hex()

    def _record_key(self, secret: bytes) -> bytes:
        return derive(self._master + secret, "record")


def _context(kind: str, id_: str, version: int) -> str:
    return f"{kind} {id_} {version}"
