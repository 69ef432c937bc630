"""The verbs about the audit log."""

import json as json_module
from typing import Annotated

import typer

from ppg_auth.commands.answers import say
from ppg_auth.commands.bundles import StoreOptions, bundled
from vitrail.options import Debug, Json, Quiet


@bundled
def verify_log(
    store: StoreOptions,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Of an entry noted elsewhere: it must still be there.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check that no entry of the log was changed, removed or cut off."""
    from ppg_auth.audit import require_entry

    with store.open().session() as session:
        number, last = session.audit.verify()
        if head:
            require_entry(session.audit, head)
    say(
        {"status": "done", "entries": number, "head": last},
        f"{number} entries are as they were written; the last one's hash is {last}",
        json=json,
        quiet=quiet,
    )


@bundled
def export_log(store: StoreOptions, debug: Debug = False) -> None:
    """Print the log as JSON lines, the oldest first."""
    with store.open().session() as session:
        for entry in session.audit.lines():
            print(json_module.dumps(entry))
