"""Traffic lights in time: the phases of a group take turns."""

from collections.abc import Mapping

import numpy as np

from carla_drive.roads.rules import Light, Rules

GREEN, YELLOW, ALL_RED = 7.0, 2.5, 1.5  # s


class Lights:
    """The state of every light at a time; ``rng`` says where each group begins."""

    def __init__(self, rules: Rules, rng: np.random.Generator):
        self._lights, self._phases = rules.lights, rules.phases
        self._shift: Mapping[int, float] = {
            group: float(rng.uniform(0, 60)) for group in sorted(rules.phases)
        }

    def state(self, number: int, time: float) -> str:
        light: Light = self._lights[number]
        turn = GREEN + YELLOW + ALL_RED
        phases = max(self._phases[light.group], 2)  # a lone phase rests for as long as it shines
        now = (time + self._shift[light.group]) % (turn * phases)
        if int(now // turn) != light.phase:
            return "red"
        within = now % turn
        return "green" if within < GREEN else "yellow" if within < GREEN + YELLOW else "red"

    def states(self, time: float) -> list[str]:
        return [self.state(number, time) for number in range(len(self._lights))]
