"""CARLA's semantic ids of 0.9.10 to 0.9.13, which LeTFuser knows, and those since 0.9.14."""

import numpy as np

NAMES = (
    "unlabeled", "building", "fence", "other", "pedestrian", "pole", "road line", "road",
    "sidewalk", "vegetation", "vehicle", "wall", "traffic sign", "sky", "ground", "bridge",
    "rail track", "guard rail", "traffic light", "static", "dynamic", "water", "terrain",
)  # fmt: skip
COLOURS = np.array(
    [
        (0, 0, 0), (70, 70, 70), (100, 40, 40), (55, 90, 80), (220, 20, 60), (153, 153, 153),
        (157, 234, 50), (128, 64, 128), (244, 35, 232), (107, 142, 35), (0, 0, 142),
        (102, 102, 156), (220, 220, 0), (70, 130, 180), (81, 0, 81), (150, 100, 100),
        (230, 150, 140), (180, 165, 180), (250, 170, 30), (110, 190, 160), (170, 120, 50),
        (45, 60, 150), (145, 170, 100),
    ],
    np.uint8,
)  # fmt: skip
CLASSES = len(NAMES)
(
    UNLABELED, BUILDING, FENCE, OTHER, PEDESTRIAN, POLE, ROAD_LINE, ROAD, SIDEWALK, VEGETATION,
    VEHICLE, WALL, SIGN, SKY, GROUND, BRIDGE, RAIL, GUARD_RAIL, LIGHT, STATIC, DYNAMIC, WATER,
    TERRAIN,
) = range(CLASSES)  # fmt: skip

# Ids of servers from 0.9.14 on, in the order of their numbers 0 to 28.
_SINCE_0_9_14 = (
    UNLABELED, ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN, SKY,
    PEDESTRIAN, PEDESTRIAN, VEHICLE, VEHICLE, VEHICLE, VEHICLE, VEHICLE, VEHICLE, STATIC, DYNAMIC,
    OTHER, WATER, ROAD_LINE, GROUND, BRIDGE, RAIL, GUARD_RAIL,
)  # fmt: skip


def from_server(labels: np.ndarray, version: str) -> np.ndarray:
    """Ids as a server of ``version`` gives them, as ours; ids that neither knows become 0."""
    numbers = [int(part) for part in version.split("-")[0].split(".")[:3] if part.isdigit()]
    table = np.zeros(256, np.uint8)
    if numbers < [0, 9, 14]:
        table[:CLASSES] = np.arange(CLASSES)
    else:
        table[: len(_SINCE_0_9_14)] = _SINCE_0_9_14
    return table[labels]
