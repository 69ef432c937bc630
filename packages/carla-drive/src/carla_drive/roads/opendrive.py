"""OpenDRIVE as data: what is read, and what is written again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from carla_drive.roads.curves import Cubic, Geometry

STOP, YIELD, LIGHT = "206", "205", "1000001"  # CARLA's signal types


@dataclass(frozen=True)
class Mark:
    """A line between two lanes from ``offset`` of its section on."""

    offset: float
    kind: str
    colour: str = "white"
    lane_change: str = "both"


@dataclass(frozen=True)
class Lane:
    """``predecessor`` and ``successor`` are lane ids along the road's s, None where not linked."""

    id: int
    kind: str
    width: Cubic = field(default_factory=Cubic)
    predecessor: int | None = None
    successor: int | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Section:
    s: float
    lanes: Mapping[int, Lane]


@dataclass(frozen=True)
class RoadLink:
    """What lies before or behind a road: another road, or a junction (``contact`` is empty)."""

    kind: str
    id: str
    contact: str = ""


@dataclass(frozen=True)
class Signal:
    """A light or sign at ``s``, ``t`` of its road; where ``reference`` is set it stands elsewhere,
    under the id, and only counts here. ``lanes`` are the ids it holds for, None for all of its
    ``orientation`` (+ along s, - against it), empty for none."""

    id: str
    s: float
    t: float
    orientation: str
    kind: str = ""
    lanes: tuple[int, ...] | None = None
    z: float = 0.0
    heading: float = 0.0
    reference: bool = False


@dataclass(frozen=True)
class Crosswalk:
    """Corners (N, 2) in x, y of the map."""

    corners: np.ndarray


@dataclass(frozen=True)
class Road:
    id: str
    length: float
    junction: str | None
    geometry: Sequence[Geometry]
    sections: Sequence[Section]
    elevation: Cubic = field(default_factory=Cubic)
    offset: Cubic = field(default_factory=Cubic)
    predecessor: RoadLink | None = None
    successor: RoadLink | None = None
    signals: tuple[Signal, ...] = ()
    crosswalks: tuple[Crosswalk, ...] = ()
    speed_limit: float | None = None  # m/s
    left_hand: bool = False


@dataclass(frozen=True)
class Connection:
    """A way into a junction; ``lanes`` are pairs of lane ids, incoming and connecting."""

    incoming: str
    connecting: str
    contact: str
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Junction:
    id: str
    connections: tuple[Connection, ...]
    controllers: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenDrive:
    """A whole file. ``controllers`` maps an id to the signals that change together; ``problems``
    are sentences about what is wrong or was not read."""

    name: str
    roads: Mapping[str, Road]
    junctions: Mapping[str, Junction]
    controllers: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...] = ()
