"""Options that ``run``, ``evaluate`` and ``record`` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from carla_drive.driving.policies import DrivingOptions


@dataclass(frozen=True)
class Setting:
    """Where is driven, and among whom."""

    map: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An OpenDRIVE map (default: a town of ours)."),
    ] = None
    world: Annotated[str, typer.Option(help="embedded, or carla://HOST:PORT.")] = "embedded"
    weather: Annotated[
        str, typer.Option(metavar="NAME", help="day, night, rain, fog, or CARLA's names.")
    ] = "day"
    traffic: Annotated[int, typer.Option(metavar="N", help="Cars near the ego car, 0 to 500.")] = 20
    walkers: Annotated[
        int | None, typer.Option(metavar="N", help="People nearby (default: as many as cars).")
    ] = None

    @property
    def people(self) -> int:
        return self.traffic if self.walkers is None else self.walkers


@dataclass(frozen=True)
class Driving:
    """How the network drives."""

    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Bundled, your own, or an official file."),
    ] = None
    mode: Annotated[
        str, typer.Option(help="path, or the release's one_of, both_must, pid_only, mlp_only.")
    ] = "path"
    every: Annotated[
        int, typer.Option(metavar="STEPS", min=1, max=20, help="Steps of 0.05 s between two looks.")
    ] = 2
    target_points: Annotated[bool, typer.Option(help="Tell the network its next target point.")] = (
        True
    )
    brake_for_lights: Annotated[bool, typer.Option(help="Safety: stop at red lights.")] = True
    brake_for_signs: Annotated[bool, typer.Option(help="Safety: stop at stop signs.")] = True
    brake_for_speed: Annotated[bool, typer.Option(help="Safety: brake when too fast.")] = True
    brake_for_obstacles: Annotated[
        bool, typer.Option(help="Safety: brake for what depth shows in the way.")
    ] = True
    creep: Annotated[bool, typer.Option(help="Safety: roll after standing without reason.")] = True

    def to_options(self) -> "DrivingOptions":
        from carla_drive.driving.policies import DrivingOptions
        from carla_drive.driving.safety import Safety

        safety = Safety(
            self.brake_for_lights,
            self.brake_for_signs,
            self.brake_for_speed,
            self.brake_for_obstacles,
            self.creep,
        )
        return DrivingOptions(self.mode, self.every, self.target_points, safety)
