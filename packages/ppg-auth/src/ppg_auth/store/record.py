"""What the store knows of one person: the sealed record, the name, the failures that slow down
and finally lock further attempts (NIST SP 800-63B, 5.2.3)."""

import base64
import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ppg_auth.store.template import BITS
from vitrail.errors import UsageError, VitrailError


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


class ThrottledError(VitrailError):
    """Too many failures before: nothing was looked at. ``wait`` in seconds."""

    def __init__(self, wait: float):
        self.wait = wait
        super().__init__("attempts", "too many failures", f"try again in {wait:.0f} s")

    def __reduce__(self) -> tuple:
        return type(self), (self.wait,)


@dataclass(frozen=True)
class Policy:
    """From ``free`` failures in a row on, each doubles the ``delay`` in seconds.

    No more than ``max_delay``, so that no stranger shuts an honest person out for longer than
    minutes; ``lock`` ends all nevertheless (None: never). ``forgive``: counters that many share
    forget a failure in so many seconds, and nobody's success forgives the failures of others;
    None: success begins anew.
    """

    free: int = 5
    delay: float = 30.0
    lock: int | None = None
    max_delay: float = 600.0
    forgive: float | None = None


@dataclass(frozen=True)
class Attempts:
    """Failures in a row, when the next attempt is allowed, and the time of the last one (seconds
    since 1970)."""

    failures: float = 0
    allowed_from: float = 0.0
    seen: float = 0.0

    def wait(self, clock: float, policy: Policy) -> float:
        """Seconds until an attempt is allowed: 0 now, infinite when locked.

        A clock that is behind the last attempt counts as standing still there, so that setting it
        back shortens nothing.
        """
        if policy.lock is not None and self.failures >= policy.lock:
            return math.inf
        left = self.allowed_from - max(clock, self.seen)
        return min(max(0.0, left), policy.max_delay)

    def paused(self, clock: float) -> "Attempts":
        """As after an attempt that had to wait: what is left of the wait is counted from now on
        where the clock is behind, as it is when it once was ahead and is right again."""
        if clock >= self.seen:
            return self
        return replace(
            self, allowed_from=clock + max(0.0, self.allowed_from - self.seen), seen=clock
        )

    def failed(self, clock: float, policy: Policy) -> "Attempts":
        failures = self.failures
        if policy.forgive:
            failures = max(0.0, failures - max(0.0, clock - self.seen) / policy.forgive)
        failures += 1
        if failures < policy.free:
            return Attempts(failures, 0.0, clock)
        doublings = min(failures - policy.free, 64)
        delay = min(policy.delay * 2.0**doublings, policy.max_delay)
        return Attempts(failures, clock + delay, clock)

    def succeeded(self, clock: float, policy: Policy) -> "Attempts":
        return self if policy.forgive else Attempts(seen=clock)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attempts":
        return cls(**json.loads(data))
