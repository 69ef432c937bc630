"""Frames that were not computed: where tracked objects are between two frames that were."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from video_detect.result import FrameRow, Object


def filled(rows: Sequence[FrameRow], clock: Callable[[int], float] | None) -> list[FrameRow]:
    """A row for every frame from the first to the last of ``rows``, which were computed (in order);
    ``clock`` says when a frame is shown, None where frames have no time."""
    if not rows:
        return []
    complete: list[FrameRow] = []
    for before, after in pairwise(rows):
        complete.append(before)
        span = after.index - before.index
        for index in range(before.index + 1, after.index):
            share = (index - before.index) / span
            objects = tuple(_between(before, after, share))
            complete.append(FrameRow(index, clock and clock(index), objects, computed=False))
    return [*complete, rows[-1]]


def _between(before: FrameRow, after: FrameRow, share: float) -> Iterator[Object]:
    """Objects that both have, on the straight way; who is in one alone stays where it is in the
    half of the time nearer to it."""
    later = {one.track: one for one in after.objects if one.track is not None}
    for one in before.objects:
        other = later.pop(one.track, None) if one.track is not None else None
        if other is not None:
            box = tuple(a + share * (b - a) for a, b in zip(one.box, other.box, strict=True))
            score = one.score + share * (other.score - one.score)
            yield replace(one, box=box, score=score)
        elif share <= 0.5:
            yield one
    if share > 0.5:
        yield from later.values()
