"""The ``ppg-auth`` command: which verbs there are. Each stands in ``commands`` and imports only
what it needs."""

import typer

from ppg_auth.commands import measure, people, roster, serve, signals
from vitrail import command

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Is this the fingertip pulse of the person whom it claims to be? Enrol people, then verify them. "
    "Use it as one factor of several, never alone.",
)
audit = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The log of all decisions.")

for verb in (
    people.enroll,
    people.verify,
    people.identify,
    people.renew,
    roster.revoke,
    roster.unlock,
    roster.delete,
):
    app.command()(verb)
app.command("list")(roster.list_people)
for verb in (signals.quality, signals.extract, measure.evaluate, measure.pad_eval, serve.serve):
    app.command()(verb)
app.add_typer(audit, name="audit")
audit.command("verify")(roster.verify_log)
audit.command("export")(roster.export_log)


def main() -> None:
    command.run(app, "ppg-auth")


if __name__ == "__main__":
    main()
