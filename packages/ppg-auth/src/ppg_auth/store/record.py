"""What the store knows of one person: the sealed record, the name, the failures that slow down
and finally lock further attempts (NIST SP 800-63B, 5.2.3)."""

import base64
import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ppg_auth.store.template import BITS
from vitrail.errors import UsageError


@dataclass(frozen=True)
class Record:
    """``placements`` are protected templates (p, 64), none where revoked; times are seconds since
    1970.

    ``model`` is the sha256 of the weights: embeddings of other weights cannot be compared.
    ``polarity`` is that of the sensor.
    """

    name: str
    model: str
    placements: NDArray[np.uint8]
    polarity: int
    consent: float
    enrolled: float

    @property
    def revoked(self) -> bool:
        return len(self.placements) == 0

    def without_template(self) -> "Record":
        return replace(self, placements=self.placements[:0])

    def to_bytes(self) -> bytes:
        values = {
            "name": self.name,
            "model": self.model,
            "placements": base64.b64encode(self.placements.tobytes()).decode(),
            "polarity": self.polarity,
            "consent": self.consent,
            "enrolled": self.enrolled,
        }
        return json.dumps(values).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Record":
        values = json.loads(data)
        placements = np.frombuffer(base64.b64decode(values["placements"]), np.uint8).reshape(
            -1, BITS // 8
        )
        return cls(**values | {"placements": placements})


class NameTakenError(UsageError):
    """Someone is enrolled under this name already."""


@dataclass(frozen=True)
class Policy:
    """From ``free`` failures in a row on, each doubles the ``delay`` in seconds; ``lock`` ends all
    (None: never)."""

    free: int = 5
    delay: float = 30.0
    lock: int | None = 20
    max_delay: float = 86_400.0


@dataclass(frozen=True)
class Attempts:
    """Failures in a row, when the next attempt is allowed, and the latest time ever seen (seconds
    since 1970)."""

    failures: int = 0
    allowed_from: float = 0.0
    seen: float = 0.0

    def wait(self, clock: float, policy: Policy) -> float:
        """Seconds until an attempt is allowed: 0 now, infinite when locked.

        A clock that was set back counts as standing still at the latest time seen, so that it
        shortens nothing.
        """
        if policy.lock is not None and self.failures >= policy.lock:
            return math.inf
        return max(0.0, self.allowed_from - max(clock, self.seen))

    def failed(self, clock: float, policy: Policy) -> "Attempts":
        now, failures = max(clock, self.seen), self.failures + 1
        if failures < policy.free:
            return Attempts(failures, 0.0, now)
        doublings = min(failures - policy.free, 64)
        return Attempts(failures, now + min(policy.delay * 2.0**doublings, policy.max_delay), now)

    def succeeded(self, clock: float) -> "Attempts":
        return Attempts(seen=max(clock, self.seen))

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attempts":
        return cls(**json.loads(data))
