"""What the store knows of one person, sealed under that person's key."""

import base64
import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ppg_auth.template import BITS


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
