"""Damaged variants of any file, and what a command makes of them."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vitrail.answers import Answers
from vitrail.job import Job
from vitrail.options import Answering
from vitrail.sources import Source


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


def rows_of_mutants(
    command: str,
    job: Job,
    write: Callable[..., Any],
    mutants: Sequence[bytes],
    folder: Path,
    suffix: str,
    capfd: Any,
) -> list[dict[str, Any]]:
    """The rows of a command for mutants that lie in ``folder``, one each, in their order.

    AssertionError where one is lost, fails for a reason that nobody foresaw or with more than one
    line, where the exit status hides a failure, or where a file is left behind.
    """
    sources = [folder / f"{number}{suffix}" for number in range(len(mutants))]
    for path, data in zip(sources, mutants, strict=True):
        path.write_bytes(data)
    before = set(folder.rglob("*"))
    answers = Answers(command, job, Answering(json=True), write)
    status = answers.run([Source.of(path) for path in sources])
    printed = capfd.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(rows) == len(mutants) and status == (1 if failed else 0)
    assert all(row["reason"] and "unexpected" not in row["reason"] for row in failed), failed
    assert len(printed.err.splitlines()) == len(failed)
    assert set(folder.rglob("*")) == before
    return rows
