"""Sealing bytes so that they can be neither read nor changed nor moved, and deriving the keys for
it."""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
