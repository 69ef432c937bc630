"""Keys: how they are derived, how they seal bytes, and the key store with one random secret per
person, kept apart from the templates that it opens.

Templates are sealed under the secret and projected with it, so that erasing it destroys them
wherever copies lie.
"""

import hmac
import os
import time
from collections.abc import Collection
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, insert, select

from ppg_auth.store.database import Database, secrets
from vitrail.errors import InputError

KEY_BYTES = 32
_NONCE_BYTES = 12


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def derive(secret: bytes, purpose: str) -> bytes:
    """A 256-bit key for one purpose from a uniformly random secret: HKDF-Expand with SHA-256 (RFC
    5869)."""
    return hmac.digest(secret, purpose.encode() + b"\x01", "sha256")


def seal(key: bytes, plain: bytes, context: str) -> bytes:
    """AES-256-GCM under a random nonce; ``context`` (what and whose this is) must be the same to
    unseal."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> bytes:
    """What was sealed; InputError where the bytes, the key or the context are others."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise InputError("store", "is damaged or was altered", "restore it from a backup") from None


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
