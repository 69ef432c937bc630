"""What lies in all tables, bound to the head of the log: a part that is set back to an earlier copy
no longer fits the rest."""

import hashlib
import hmac
import json

from sqlalchemy import Connection, insert, select, update

from ppg_auth.store.database import captures, clients, entries, header, people
from ppg_auth.store.vault import derive, seal, unseal
from vitrail.errors import InputError

STATE = "state"
MENDING = "restore it from a backup"


class State:
    """The seal over the rows of one transaction: a keyed hash over people, captures and counters,
    with the log's head and last entry.

    Whoever can write the file can put a whole older store in its place, which only a hash of an
    entry that was noted elsewhere shows; no part of one fits another.
    """

    def __init__(self, connection: Connection, master: bytes):
        self._connection = connection
        self._key, self._rows_key = derive(master, "state"), derive(master, "state of rows")

    def begin(self) -> None:
        """Seals the state of a new store."""
        self._connection.execute(insert(header).values(name=STATE, value=self._sealed()))

    def keep(self) -> None:
        """Seals what the transaction leaves."""
        row = update(header).where(header.c.name == STATE).values(value=self._sealed())
        self._connection.execute(row)

    def require(self) -> None:
        """InputError where rows were removed, put back or altered since the last transaction."""
        sealed = self._connection.scalar(select(header.c.value).where(header.c.name == STATE))
        found = unseal(self._key, sealed or b"", STATE)
        if not hmac.compare_digest(found, self._digest()):
            problem = "a part of it was removed, put back or altered"
            raise InputError("store", problem, MENDING)

    def _sealed(self) -> bytes:
        return seal(self._key, self._digest(), STATE)

    def _digest(self) -> bytes:
        """Of every cell, in the order of its table's key, each with its length before it; of
        sketches, which are many and long, the samples' digest, without which they do not open."""
        whole = hashlib.sha256()
        told = [column for column in captures.c if column.name != "sketch"]
        for table, columns, order in (
            (people, people.c, "id"),
            (captures, told, "number"),
            (clients, clients.c, "id"),
        ):
            for row in self._connection.execute(select(*columns).order_by(table.c[order])):
                cells = [bytes(c) if isinstance(c, bytes) else str(c).encode() for c in row]
                whole.update(json.dumps([table.name, *map(len, cells)]).encode())
                for cell in cells:
                    whole.update(cell)
        kept = select(header.c.name, header.c.value).where(header.c.name != STATE)
        for name, value in self._connection.execute(kept.order_by(header.c.name)):
            if name not in ("parameters", "master"):  # which a new passphrase changes
                whole.update(json.dumps([name, len(value)]).encode() + bytes(value))
        last = select(entries.c.number, entries.c.hash).order_by(entries.c.number.desc()).limit(1)
        whole.update(json.dumps([*(self._connection.execute(last).one_or_none() or ())]).encode())
        return hmac.digest(self._rows_key, whole.digest(), "sha256")
