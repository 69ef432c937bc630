"""How fast objects move, as FGFA (Zhu et al. 2017) groups them."""

from collections.abc import Mapping, Sequence

import numpy as np

from video_detect.measure.precision import ious

REACH = 10  # frames to each side
GROUPS = ("slow", "medium", "fast")


def motion_ious(boxes: Sequence[Mapping[int, np.ndarray]]) -> list[dict[int, float]]:
    """For each frame's objects {id: box (4,) as corners} the mean IoU of each with itself within
    ten frames; 1 where it is alone."""
    found = []
    for number, frame in enumerate(boxes):
        values = {}
        for key, box in frame.items():
            near = [
                other[key]
                for place, other in enumerate(boxes[max(0, number - REACH) : number + REACH + 1],
                                              max(0, number - REACH))
                if place != number and key in other
            ]  # fmt: skip
            values[key] = float(ious(box[None], np.stack(near)).mean()) if near else 1.0
        found.append(values)
    return found


def group_of(value: float) -> str:
    """slow above 0.9, medium from 0.7, fast below."""
    return "slow" if value > 0.9 else "medium" if value >= 0.7 else "fast"
