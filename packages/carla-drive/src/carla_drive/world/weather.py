"""Weather and light by CARLA's names."""

import math
from dataclasses import dataclass, replace

import numpy as np

from vitrail.errors import UsageError


@dataclass(frozen=True)
class Weather:
    """``sun`` is elevation and azimuth in degrees (below 0 is night), ``cloud``, ``rain`` and
    ``wet`` are 0..1, ``visibility`` the metres at which fog hides half."""

    name: str
    sun: tuple[float, float] = (55.0, 40.0)
    cloud: float = 0.1
    rain: float = 0.0
    wet: float = 0.0
    visibility: float = 900.0

    @property
    def night(self) -> bool:
        return self.sun[0] < 0

    @property
    def sun_direction(self) -> np.ndarray:
        """(3,) from the ground to the sun, or to the moon by night."""
        up, round = math.radians(abs(self.sun[0])), math.radians(self.sun[1])
        return np.array(
            [math.cos(up) * math.cos(round), math.cos(up) * math.sin(round), math.sin(up)]
        )

    @property
    def sunlight(self) -> np.ndarray:
        """(3,) colour of direct light."""
        if self.night:
            return np.array([0.03, 0.035, 0.05]) * (1 - 0.5 * self.cloud)
        low = max(0.0, 1 - self.sun[0] / 25)
        tone = np.array([1.0, 0.96 - 0.25 * low, 0.9 - 0.5 * low])
        return 0.85 * tone * (1 - 0.85 * self.cloud)

    @property
    def ambient(self) -> np.ndarray:
        """(3,) colour of light from everywhere."""
        if self.night:
            return np.array([0.07, 0.08, 0.12])
        low = max(0.0, 1 - self.sun[0] / 25)
        clear = np.array([0.42, 0.46, 0.54]) * (1 - 0.3 * low)
        return clear * (1 - self.cloud) + np.array([0.62, 0.63, 0.66]) * self.cloud

    @property
    def sky(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,) colours at the horizon and overhead."""
        if self.night:
            return np.array([0.05, 0.055, 0.09]), np.array([0.012, 0.015, 0.04])
        low = max(0.0, 1 - self.sun[0] / 25)
        horizon = np.array([0.72, 0.80, 0.90]) * (1 - low) + np.array([0.95, 0.68, 0.45]) * low
        above = np.array([0.25, 0.45, 0.80]) * (1 - low) + np.array([0.30, 0.40, 0.65]) * low
        grey = np.array([0.66, 0.68, 0.71])
        return (
            horizon * (1 - self.cloud) + grey * self.cloud,
            above * (1 - self.cloud) + 0.85 * grey * self.cloud,
        )


_PRESETS = (
    Weather("ClearNoon"),
    Weather("CloudyNoon", cloud=0.8),
    Weather("WetNoon", wet=0.8, cloud=0.3),
    Weather("WetCloudyNoon", wet=0.8, cloud=0.85),
    Weather("SoftRainNoon", wet=0.8, cloud=0.85, rain=0.35, visibility=350),
    Weather("MidRainyNoon", wet=0.9, cloud=0.9, rain=0.6, visibility=250),
    Weather("HardRainNoon", wet=1.0, cloud=1.0, rain=1.0, visibility=140),
    Weather("ClearSunset", sun=(12.0, 10.0)),
    Weather("CloudySunset", sun=(12.0, 10.0), cloud=0.6),
    Weather("WetSunset", sun=(10.0, -60.0), wet=0.8, cloud=0.3),
    Weather("HardRainSunset", sun=(10.0, 80.0), wet=1.0, cloud=0.9, rain=0.9, visibility=140),
    Weather("ClearNight", sun=(-30.0, 70.0)),
    Weather("CloudyNight", sun=(-30.0, 70.0), cloud=0.8),
    Weather("HardRainNight", sun=(-30.0, 70.0), cloud=1.0, rain=0.9, wet=1.0, visibility=120),
    Weather("FogNoon", cloud=0.7, visibility=45),
    Weather("LowSun", sun=(5.0, 0.0)),
)
WEATHERS = {weather.name: weather for weather in _PRESETS}
ALIASES = {"day": "ClearNoon", "night": "ClearNight", "rain": "HardRainNoon", "fog": "FogNoon"}


def weather(name: str) -> Weather:
    """By name; UsageError where there is none."""
    found = WEATHERS.get(ALIASES.get(name, name))
    if found is None:
        raise UsageError(
            f"weather {name}", "is not known", f"choose {', '.join(ALIASES)}, or CARLA's names"
        )
    return found


def varied(base: Weather, rng: np.random.Generator) -> Weather:
    """The same weather on another day: other sun, clouds and haze."""
    up, _ = base.sun
    return replace(
        base,
        sun=(up * rng.uniform(0.8, 1.2), rng.uniform(-180, 180)),
        cloud=min(1.0, max(0.0, base.cloud + rng.uniform(-0.15, 0.15))),
        visibility=base.visibility * rng.uniform(0.8, 1.25),
    )
