"""The key store: one random secret a person, kept apart from the templates that it opens.

Templates are sealed under the secret and projected with it, so that erasing it destroys them
wherever copies lie.
"""

import time
from collections.abc import Collection
from uuid import uuid4

from sqlalchemy import delete, insert, select

from ppg_auth.database import Database, secrets
from ppg_auth.sealing import derive, new_key, seal, unseal

UNCLAIMED = (
    3600.0  # seconds after which a secret that no template names was left by a process that died
)


class Vault:
    """The secrets of one store, sealed under ``key``; each change is a transaction of its own."""

    def __init__(self, database: Database, key: bytes):
        self.database, self._key = database, key
        self._ours = secrets.c.store == self._store

    @property
    def _store(self) -> str:
        return derive(self._key, "store").hex()[:32]

    def new(self) -> tuple[str, bytes]:
        """Makes and keeps a secret: its id, and itself."""
        key_id, secret = uuid4().hex, new_key()
        with self.database.transaction() as connection:
            sealed = seal(self._key, secret, f"secret {key_id}")
            connection.execute(
                insert(secrets).values(
                    id=key_id, store=self._store, sealed=sealed, made=time.time()
                )
            )
        return key_id, secret

    def get(self, key_id: str) -> bytes | None:
        """The secret, None where it was erased."""
        with self.database.transaction() as connection:
            sealed = connection.scalar(select(secrets.c.sealed).where(secrets.c.id == key_id))
        return None if sealed is None else unseal(self._key, sealed, f"secret {key_id}")

    def all(self) -> dict[str, bytes]:
        with self.database.transaction() as connection:
            rows = connection.execute(
                select(secrets.c.id, secrets.c.sealed).where(self._ours)
            ).all()
        return {key_id: unseal(self._key, sealed, f"secret {key_id}") for key_id, sealed in rows}

    def erase(self, key_id: str) -> None:
        with self.database.transaction() as connection:
            connection.execute(delete(secrets).where(secrets.c.id == key_id))
        self.database.scrub()

    def sweep(self, claimed: Collection[str]) -> None:
        """Erases what a process left that died between making a secret and using it, or between two
        secrets."""
        with self.database.transaction() as connection:
            left = self._ours & (secrets.c.made < time.time() - UNCLAIMED)
            old = connection.scalars(select(secrets.c.id).where(left)).all()
            for key_id in set(old) - set(claimed):
                connection.execute(delete(secrets).where(secrets.c.id == key_id))
