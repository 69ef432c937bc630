"""Who is who over time: the faces of each frame get the number of a person."""

from collections.abc import Iterable, Sequence

import numpy as np

from vitrail.faces.face import Face

MAX_COST = (
    2.2  # a face may move by its own size between two looks, and grow by a fifth at the same time
)
# For each frame without the person: of two people who fit equally well, take the one seen last
COST_OF_A_MISS = 0.1


def link(frames: Iterable[Sequence[Face]]) -> list[list[int]]:
    """A number for each face of each frame: the same one where it is probably the same person,
    counted from 0.

    Faces are linked by overlap, position and size, the likeliest pair first, so frames may be
    seconds apart. Nobody is ever forgotten: a person who is back at the old place after a camera
    cut gets the old number. Two people who take turns at exactly one place cannot be told apart.
    """
    people: list[Face] = []  # as they looked when they were seen last
    last_seen: list[int] = []
    numbers = []
    for time, faces in enumerate(frames):
        given = _pair(people, [time - 1 - seen for seen in last_seen], faces)
        for face, number in enumerate(given):
            if number is None:
                given[face] = len(people)
                people.append(faces[face])
                last_seen.append(time)
            else:
                people[number], last_seen[number] = faces[face], time
        numbers.append(given)
    return numbers


def _pair(people: Sequence[Face], misses: Sequence[int], faces: Sequence[Face]) -> list[int | None]:
    """The person of each face, the cheapest pairs first; None for somebody new."""
    costs = sorted(
        (cost(person, face) + COST_OF_A_MISS * min(missed, 5), number, at)
        for number, (person, missed) in enumerate(zip(people, misses, strict=True))
        for at, face in enumerate(faces)
    )
    given: list[int | None] = [None] * len(faces)
    for price, number, at in costs:
        if price <= MAX_COST and given[at] is None and number not in given:
            given[at] = number
    return given


def cost(before: Face, after: Face) -> float:
    """How unlikely it is that two faces are one person's: 0 for equal boxes, no upper bound.

    The sum of 1 - IoU, the distance of the centres over the mean size, and the logarithm of the
    ratio of the sizes.
    """
    one, other = np.reshape(before.box, (2, 2)), np.reshape(after.box, (2, 2))
    shared = np.clip(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0, None).prod()
    union = before.size**2 + after.size**2 - shared
    distance = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) / max(
        (before.size + after.size) / 2, 1e-6
    )
    growth = abs(np.log(max(after.size, 1e-6) / max(before.size, 1e-6)))
    return float(1 - shared / max(union, 1e-6) + distance + growth)
