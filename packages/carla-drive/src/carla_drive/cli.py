"""The ``carla-drive`` command: its subcommands."""

import typer

from carla_drive.commands import driving, evaluating, maps, perceiving, recording
from vitrail import command

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="LeTFuser drives a route by camera, in CARLA or in a world that comes along. Scores in "
    "that world are not CARLA scores, and nothing here is for a real car.",
)
app.command("run")(driving.run)
app.command("evaluate")(evaluating.evaluate)
app.command("replay")(driving.replay)
app.command("map")(maps.describe)
app.command("perceive")(perceiving.perceive)
app.command("record")(recording.record)


def main() -> None:
    command.run(app, "carla-drive")


if __name__ == "__main__":
    main()
