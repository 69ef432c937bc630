"""Challenges: who asks for one can tell that an answer was made for this very request, by this
store, and not before."""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ppg_auth.store.vault import derive
from vitrail.errors import InputError

LIFETIME = 120.0  # seconds: a capture of 20 s, a second try, and the way there and back
MAX_OPEN = 1000  # the oldest goes first


class Challenges:
    """Numbers that are given out once and taken back once; answers to them are signed with the
    store's key (Ed25519). ``clock`` gives seconds."""

    def __init__(self, master: bytes, clock: Callable[[], float]):
        self._key = Ed25519PrivateKey.from_private_bytes(derive(master, "signed answers"))
        self._clock, self._lock = clock, threading.Lock()
        self._open: OrderedDict[str, float] = OrderedDict()

    @property
    def public_key(self) -> str:
        """The raw 32 bytes in hex, with which anybody can check an answer."""
        return self._key.public_key().public_bytes_raw().hex()

    def new(self) -> str:
        challenge = os.urandom(16).hex()
        with self._lock:
            self._open[challenge] = self._clock() + LIFETIME
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return challenge

    def take(self, challenge: str) -> None:
        """InputError where it was not given out, was used, or its time is up."""
        with self._lock:
            until = self._open.pop(challenge, None)
        if until is None or self._clock() > until:
            raise InputError("challenge", "is unknown, used or too old", "ask for a new one")

    def sign(self, answer: Mapping[str, Any]) -> str:
        """The signature in hex over ``signed_text`` of the answer."""
        return self._key.sign(signed_text(answer)).hex()


def signed_text(answer: Mapping[str, Any]) -> bytes:
    """What is signed: the answer without its signature, as JSON with sorted keys and no blanks."""
    kept = {name: value for name, value in answer.items() if name != "signature"}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
