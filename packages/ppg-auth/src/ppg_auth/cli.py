"""The ``ppg-auth`` command: its subcommands. Each stands in ``commands`` and imports only what it
needs."""

import typer

from ppg_auth.commands import people, recordings, store
from vitrail import command

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Is this the fingertip pulse of the person whom it claims to be? Enrol people, then "
    "verify them. Use it as one factor of several, never alone.",
)
audit = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The log of all decisions.")

for subcommand in (
    people.enroll,
    people.verify,
    people.identify,
    people.renew,
    store.revoke,
    store.unlock,
    store.delete,
    store.backup,
    store.restore,
):
    app.command()(subcommand)
app.command("list")(store.list_people)
for subcommand in (
    recordings.quality,
    recordings.extract,
    recordings.evaluate,
    recordings.pad_eval,
    store.serve,
):
    app.command()(subcommand)
passphrase = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="What the store opens with."
)
app.add_typer(passphrase, name="passphrase")
passphrase.command("change")(store.change_passphrase)
app.add_typer(audit, name="audit")
audit.command("verify")(store.verify_log)
audit.command("export")(store.export_log)


def main() -> None:
    command.run(app, "ppg-auth")


if __name__ == "__main__":
    main()
