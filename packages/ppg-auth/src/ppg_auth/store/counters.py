"""Failures that belong to no person: of each client, and of all together."""

import hmac

from sqlalchemy import Connection, delete, insert, select, update

from ppg_auth.store.database import clients, header
from ppg_auth.store.record import Attempts
from ppg_auth.store.vault import derive, seal, unseal

EVERYONE = "attempts"  # the header's row
DAY = 86_400.0
KEPT = 2  # days after which a client's failures are long forgiven


class Counters:
    """The counters of one transaction. A client is where attempts come from: this machine's
    account, or an address; only a keyed hash of it is kept."""

    def __init__(self, connection: Connection, master: bytes):
        self._connection = connection
        self._key = derive(master, "attempts of everyone")
        self._names = derive(master, "names of clients")

    def begin(self) -> None:
        """Fills a new store's header."""
        sealed = seal(self._key, Attempts().to_bytes(), EVERYONE)
        self._connection.execute(insert(header).values(name=EVERYONE, value=sealed))

    @property
    def everyone(self) -> Attempts:
        sealed = self._connection.scalar(select(header.c.value).where(header.c.name == EVERYONE))
        return Attempts.from_bytes(unseal(self._key, sealed or b"", EVERYONE))

    @everyone.setter
    def everyone(self, attempts: Attempts) -> None:
        sealed = seal(self._key, attempts.to_bytes(), EVERYONE)
        row = update(header).where(header.c.name == EVERYONE).values(value=sealed)
        self._connection.execute(row)

    def of(self, client: str) -> Attempts:
        id_ = self._id(client)
        found = select(clients.c.attempts).where(clients.c.id == id_)
        sealed = self._connection.scalar(found)
        if sealed is None:
            return Attempts()
        return Attempts.from_bytes(unseal(self._key, sealed, f"client {id_}"))

    def put(self, client: str, attempts: Attempts, clock: float) -> None:
        """Keeps a client's failures, and forgets clients of earlier days."""
        id_, day = self._id(client), int(clock // DAY)
        self._connection.execute(
            delete(clients).where((clients.c.id == id_) | (clients.c.day < day - KEPT))
        )
        if attempts != Attempts():
            sealed = seal(self._key, attempts.to_bytes(), f"client {id_}")
            self._connection.execute(insert(clients).values(id=id_, attempts=sealed, day=day))

    def clear(self) -> None:
        """Forgets all failures."""
        self.everyone = Attempts()
        self._connection.execute(delete(clients))

    def _id(self, client: str) -> str:
        return hmac.digest(self._names, client.encode(), "sha256").hex()
