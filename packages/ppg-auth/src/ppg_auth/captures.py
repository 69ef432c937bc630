"""What is remembered of the last captures, so that none of them can be shown again: digests and
keyed sketches."""

import hmac

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select

from ppg_auth.database import captures
from ppg_auth.people import Person
from ppg_auth.sealing import derive, seal, unseal
from ppg_auth.template import BITS

REMEMBERED = 20


class Captures:
    """The rows of one transaction. Sketches are sealed under the secret of the person whom the
    capture claimed."""

    def __init__(self, connection: Connection, key: bytes):
        self._connection, self._key = connection, key

    def seen(self, samples: NDArray) -> bool:
        """Whether these very samples came before, for whomever."""
        found = select(captures.c.number).where(captures.c.digest == self._digest(samples)).limit(1)
        return self._connection.scalar(found) is not None

    def sketches(self, person: Person) -> NDArray[np.uint8]:
        """All sketches (n, 64) of the person's remembered captures."""
        sealed = self._connection.scalars(
            select(captures.c.sketch).where(captures.c.person == person.id)
        )
        key = derive(person.secret, "sketch")
        opened = [
            np.frombuffer(unseal(key, row, f"sketch {person.id}"), np.uint8) for row in sealed
        ]
        return np.concatenate([np.empty(0, np.uint8), *opened]).reshape(-1, BITS // 8)

    def remember(self, person: Person, samples: NDArray, sketches: NDArray[np.uint8]) -> None:
        """Keeps a capture and forgets the person's oldest."""
        sealed = seal(derive(person.secret, "sketch"), sketches.tobytes(), f"sketch {person.id}")
        row = {"person": person.id, "digest": self._digest(samples), "sketch": sealed}
        self._connection.execute(insert(captures).values(row))
        numbers = (
            select(captures.c.number)
            .where(captures.c.person == person.id)
            .order_by(captures.c.number.desc())
        )
        for number in self._connection.scalars(numbers).all()[REMEMBERED:]:
            self._connection.execute(delete(captures).where(captures.c.number == number))

    def forget(self, person: Person) -> None:
        self._connection.execute(delete(captures).where(captures.c.person == person.id))

    def _digest(self, samples: NDArray) -> str:
        data = np.ascontiguousarray(samples, np.float32).tobytes()
        return hmac.digest(self._key, data, "sha256").hex()
