"""What is known of a scene's pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Labels:
    """``ids`` (rows, columns) int32, 0 where nothing is known; ids need not be contiguous.
    ``names`` and ``colours`` by id, where they are known; ``notes`` say what was guessed."""

    ids: np.ndarray
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, Colour] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> list[int]:
        return [int(value) for value in np.unique(self.ids) if value != 0]

    @property
    def counts(self) -> dict[int, int]:
        return {value: int((self.ids == value).sum()) for value in self.classes}

    def name(self, value: int) -> str:
        return self.names.get(value) or f"class {value}"
