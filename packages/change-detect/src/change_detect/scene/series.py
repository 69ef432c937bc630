"""Pairs of a series side by side: what several of them ask of a network alike is asked once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from vitrail.job import Ask, Item, Steps, failure
from vitrail.sources import Source

MAX_TOGETHER = 8  # pairs: each holds its files and a strip of its map


@dataclass(frozen=True)
class Series(Source):
    """Pairs of dates, each of which begins with the last one's later date."""

    pairs: tuple[Source, ...] = ()


def chained(sources: Sequence[Source]) -> list[Source]:
    """The same sources in their order, with those that follow each other in one series joined."""
    groups: list[list[Source]] = []
    for source in sources:
        if groups and len(groups[-1]) < MAX_TOGETHER and _follows(groups[-1][-1], source):
            groups[-1].append(source)
        else:
            groups.append([source])
    return [
        group[0] if len(group) == 1 else Series(group[0].name, pairs=tuple(group))
        for group in groups
    ]


def _follows(one: Source, other: Source) -> bool:
    is_pair = all(len(source.paths) == 2 and not source.fault for source in (one, other))
    return is_pair and one.paths[1] == other.paths[0]


def side_by_side(sources: Sequence[Source], steps: Sequence[Steps]) -> Steps:
    """Runs the generators of several sources in step; returns what came of each, a Failure where it
    failed.

    Windows of a date that two pairs share are the same numbers in both, and encoded once. A batch
    that goes wrong is asked again for each source alone.
    """
    outcomes: list[Any] = [None] * len(steps)
    waiting: dict[int, Ask] = {}
    alone: set[int] = set()

    def go(number: int, move: Any) -> None:
        try:
            waiting[number] = move()
        except StopIteration as end:
            outcomes[number] = end.value
        except Exception as error:
            outcomes[number] = failure(sources[number], error)

    try:
        for number, one in enumerate(steps):
            go(number, partial(one.send, None))
        while waiting:
            first = next(iter(waiting))
            network = waiting[first].network
            together = [n for n in waiting if waiting[n].network == network and n not in alone]
            asking = [first] if first in alone else together
            asked = {number: waiting.pop(number) for number in asking}
            keys = {number: [_key(item) for item in ask.items] for number, ask in asked.items()}
            items = {
                key: item
                for number, ask in asked.items()
                for key, item in zip(keys[number], ask.items, strict=True)
            }
            try:
                rows = yield Ask(network, list(items.values()))
            except Exception as error:
                if len(asked) == 1:
                    go(first, partial(steps[first].throw, error))
                else:
                    waiting |= asked
                    alone |= set(asked)
                continue
            known = dict(zip(items, rows, strict=True))
            for number in asked:
                go(number, partial(steps[number].send, [known[key] for key in keys[number]]))
    finally:
        for one in steps:
            one.close()
    return outcomes


def _key(item: Item) -> object:
    """Equal for equal arrays; what has several parts is never shared."""
    if isinstance(item, np.ndarray):
        return item.shape, item.dtype.str, blake2b(np.ascontiguousarray(item).data).digest()
    return object()
