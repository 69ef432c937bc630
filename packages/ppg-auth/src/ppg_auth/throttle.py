"""How failures slow down and finally lock further attempts (NIST SP 800-63B, 5.2.3)."""

import json
import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Policy:
    """From ``free`` failures in a row on, each doubles the ``delay`` in seconds; ``lock`` ends all
    (None: never)."""

    free: int = 5
    delay: float = 30.0
    lock: int | None = 20
    longest: float = 86_400.0


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
        return Attempts(failures, now + min(policy.delay * 2.0**doublings, policy.longest), now)

    def succeeded(self, clock: float) -> "Attempts":
        return Attempts(seen=max(clock, self.seen))

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attempts":
        return cls(**json.loads(data))
