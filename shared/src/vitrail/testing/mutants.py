"""Damaged variants of any file."""

import random
from collections.abc import Iterator


def mutate_bytes(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """``count`` damaged variants of ``data``, the same ones for the same seed.

    In turn: up to 16 bytes overwritten, the end cut off, a run set to zero, garbage put in.
    """
    for variant in range(count):
        rng = random.Random(f"{seed}/{variant}")
        place = rng.randrange(len(data))
        match variant % 4:
            case 0:
                damaged = bytearray(data)
                for _ in range(rng.randint(1, 16)):
                    damaged[rng.randrange(len(data))] = rng.randrange(256)
                yield bytes(damaged)
            case 1:
                yield data[:place]
            case 2:
                length = min(rng.randint(1, 256), len(data) - place)
                yield data[:place] + bytes(length) + data[place + length :]
            case 3:
                yield data[:place] + rng.randbytes(rng.randint(1, 256)) + data[place:]
