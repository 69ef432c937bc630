"""What is remembered of decisions: sketches of captures, so that none can be shown again, and the
log, whose lines are chained by keyed hashes and whose head is sealed."""

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select, update

from ppg_auth.store.database import captures, entries, header
from ppg_auth.store.people import Person
from ppg_auth.store.template import BITS
from ppg_auth.store.vault import derive, seal, unseal
from vitrail.errors import InputError

REMEMBERED = 20  # rejected captures of a person; accepted ones and those of enrolments stay

_FORMAT = b"\x02"  # a count of stretches never begins so


@dataclass(frozen=True)
class Sketch:
    """What tells a capture if it comes again, protected: rows (n, 64) of its stretches, by the
    clock, and (m, 64) of the changes from beat to beat, by the heart's."""

    stretches: NDArray[np.uint8]
    beats: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        return (
            _FORMAT
            + len(self.stretches).to_bytes(4)
            + self.stretches.tobytes()
            + self.beats.tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sketch":
        comparable, data = data.startswith(_FORMAT), data.removeprefix(_FORMAT)
        rows = np.frombuffer(data[4:], np.uint8).reshape(-1, BITS // 8)
        count = int.from_bytes(data[:4])
        # Beats of before there was a format say something else than today's
        return cls(rows[:count], rows[count:] if comparable else rows[:0])


class Captures:
    """The rows of one transaction. Sketches are sealed under the secret of the person whom the
    capture claimed."""

    def __init__(self, connection: Connection, key: bytes):
        self._connection, self._key = connection, key

    def seen(self, samples: NDArray) -> bool:
        """Whether these very samples came before, for whomever."""
        found = select(captures.c.number).where(captures.c.digest == self._digest(samples)).limit(1)
        return self._connection.scalar(found) is not None

    def sketches(self, person: Person) -> list[Sketch]:
        """Those of all the person's remembered captures."""
        rows = self._connection.execute(
            select(captures.c.digest, captures.c.sketch).where(captures.c.person == person.id)
        )
        key = derive(person.secret, "sketch")
        return [
            Sketch.from_bytes(unseal(key, row.sketch, _context(person, row.digest))) for row in rows
        ]

    def remember(
        self, person: Person, samples: NDArray, sketch: Sketch, *, for_good: bool = True
    ) -> None:
        """Keeps a capture: ``for_good``, or until the person has ``REMEMBERED`` later ones."""
        digest = self._digest(samples)
        key, context = derive(person.secret, "sketch"), _context(person, digest)
        row = {"person": person.id, "digest": digest, "for_good": for_good}
        sealed = seal(key, sketch.to_bytes(), context)
        self._connection.execute(insert(captures).values(**row, sketch=sealed))
        numbers = (
            select(captures.c.number)
            .where(captures.c.person == person.id, captures.c.for_good.is_(False))
            .order_by(captures.c.number.desc())
        )
        for number in self._connection.scalars(numbers).all()[REMEMBERED:]:
            self._connection.execute(delete(captures).where(captures.c.number == number))

    def forget(self, person: Person) -> None:
        self._connection.execute(delete(captures).where(captures.c.person == person.id))

    def _digest(self, samples: NDArray) -> str:
        data = np.ascontiguousarray(samples, np.float32).tobytes()
        return hmac.digest(self._key, data, "sha256").hex()


def _context(person: Person, digest: str) -> str:
    """A sketch belongs to its person and its samples, and opens nowhere else."""
    return f"sketch {person.id} {digest}"


HEAD = "head"
_START = "0" * 64


class Audit:
    """The log within one transaction. No entry holds biometric data, a name, or a score finer than
    0.01."""

    def __init__(self, connection: Connection, master: bytes):
        self._connection = connection
        self._chain_key, self._head_key = (
            derive(master, "audit chain"),
            derive(master, "audit head"),
        )

    def begin(self) -> None:
        """Seals the head of an empty log, in a new store."""
        self._connection.execute(insert(header).values(name=HEAD, value=self._sealed(0, _START)))

    def append(self, event: str, person: str | None, clock: float, **facts: object) -> None:
        """Adds a line: what happened, to whom (an id, not a name), when, and JSON values about
        it."""
        number, before = self._head()
        moment = datetime.fromtimestamp(clock, UTC).isoformat(timespec="seconds")
        line = json.dumps(
            {"number": number + 1, "time": moment, "event": event, "person": person, **facts}
        )
        after = self._next(before, line)
        self._connection.execute(insert(entries).values(number=number + 1, line=line, hash=after))
        head = self._sealed(number + 1, after)
        self._connection.execute(update(header).where(header.c.name == HEAD).values(value=head))

    def lines(self) -> Iterator[dict]:
        """Each entry with its hash, the oldest first."""
        for line, hash_ in self._connection.execute(
            select(entries.c.line, entries.c.hash).order_by(entries.c.number)
        ):
            yield {**json.loads(line), "hash": hash_}

    def verify(self) -> tuple[int, str]:
        """The number of entries and the last one's hash; InputError names the first entry that is
        not as written."""
        number, before = 0, _START
        for row in self._connection.execute(select(entries).order_by(entries.c.number)):
            number += 1
            before = self._next(before, row.line)
            if row.number != number or not hmac.compare_digest(row.hash, before):
                raise InputError(
                    "audit log", f"entry {number} was changed or removed", "compare with an export"
                )
        if (number, before) != self._head():
            raise InputError(
                "audit log", f"ends at entry {number}, and {self._head()[0]} were written"
            )
        return number, before

    def _head(self) -> tuple[int, str]:
        sealed = self._connection.scalar(select(header.c.value).where(header.c.name == HEAD))
        number, last = json.loads(unseal(self._head_key, sealed or b"", HEAD))
        return number, last

    def _sealed(self, number: int, last: str) -> bytes:
        return seal(self._head_key, json.dumps([number, last]).encode(), HEAD)

    def _next(self, before: str, line: str) -> str:
        return hmac.digest(self._chain_key, f"{before} {line}".encode(), "sha256").hex()


def require_entry(audit: Audit, hash_: str) -> None:
    """InputError where no entry has this hash: the store was set back to an earlier state, or it is
    another one."""
    if not any(line["hash"] == hash_ for line in audit.lines()):
        raise InputError(
            "audit log",
            "has no entry of this hash",
            "the store may have been set back to an old copy",
        )
