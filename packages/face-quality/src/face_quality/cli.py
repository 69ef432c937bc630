"""The ``face-quality`` command: its subcommands. Each stands in ``commands`` and imports only what
it needs."""

import typer

from face_quality.commands import curves, scoring, video
from vitrail import command

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Will a recognition system know this person again from this picture? Scores faces from 0 "
    "to 100 and says what would have to change.",
)


for subcommand in (
    scoring.score,
    scoring.rank,
    scoring.gate,
    video.best_shot,
    curves.edc,
    curves.calibrate,
):
    app.command()(subcommand)


def main() -> None:
    command.run(app, "face-quality")


if __name__ == "__main__":
    main()
