"""The subcommands that need a store alone: list, revoke, unlock, delete, audit; and serve."""

import json as json_module
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ppg_auth.commands.options import DecisionOptions, ModelOptions, Name, StoreOptions
from vitrail.errors import UsageError
from vitrail.options import Debug, Json, Quiet, Serving, bundled
from vitrail.say import say, say_rows

BackupFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The copy of the store.", show_default=False)
]


@bundled
def list_people(store: StoreOptions, json: Json = False, debug: Debug = False) -> None:
    """Show who is enrolled."""
    from ppg_auth.decide.roster import Roster, describe

    rows = [describe(person) for person in Roster(store.open()).people()]
    say_rows(rows, ["name", "state", "enrolled", "placements", "failures"], json=json)


@bundled
def revoke(
    name: Name, store: StoreOptions, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Destroy a template and its key.

    As after a theft: the name stays, for 'renew'.
    """
    from ppg_auth.decide.roster import Roster

    Roster(store.open()).revoke(name)
    _say(name, "revoked", f"{name} is revoked", json, quiet)


@bundled
def unlock(
    store: StoreOptions,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Whose failures.", show_default=False),
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Those of all people and of all clients.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forget failed attempts, of a person or of everyone."""
    if (name is None) != everyone:
        raise UsageError("unlock", "needs a name or --everyone", "give one of them")
    from ppg_auth.decide.roster import Roster

    roster = Roster(store.open())
    if name is None:
        roster.unlock_everyone()
        _say(None, "unlocked", "everyone may try again", json, quiet)
        return
    roster.unlock(name)
    _say(name, "unlocked", f"{name} may try again", json, quiet)


@bundled
def delete(
    name: Name, store: StoreOptions, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Erase all of a person."""
    from ppg_auth.decide.roster import Roster

    Roster(store.open()).delete(name)
    _say(name, "deleted", f"{name} is deleted", json, quiet)


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
    from ppg_auth.store.history import require_entry

    with store.open().session() as session:
        number, last = session.audit.verify()
        if head:
            require_entry(session.audit, head)
    sentence = f"{number} entries are as they were written; the last one's hash is {last}"
    say({"status": "done", "entries": number, "head": last}, sentence, json=json, quiet=quiet)


@bundled
def export_log(store: StoreOptions, debug: Debug = False) -> None:
    """Print the log as JSON lines, the oldest first."""
    with store.open().session() as session:
        for entry in session.audit.lines():
            print(json_module.dumps(entry))


@bundled
def backup(
    file: BackupFile,
    store: StoreOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Copy the store, also while it is in use, to FILE and the people's keys to FILE.keys.

    Keep both apart. Who is deleted later is in the copy still: so delete old copies too.
    """
    from ppg_auth.store.backup import back_up

    keys = back_up(store.open(), file)
    sentence = f"the store is copied to {file}, the people's keys to {keys}"
    row = {"status": "done", "store": str(file), "keys": str(keys)}
    say(row, sentence, json=json, quiet=quiet)


@bundled
def restore(
    file: BackupFile,
    store: StoreOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a store of a backup: of FILE and FILE.keys.

    Where no store is yet. Who was revoked or deleted since the backup is enrolled again.
    """
    from ppg_auth.store.backup import restore as restored

    entries = restored(file, store.store, store.keys, store.passphrase())
    sentence = f"the store is as it was after {entries} entries of the log"
    say({"status": "done", "entries": entries}, sentence, json=json, quiet=quiet)


@bundled
def change_passphrase(
    store: StoreOptions,
    new_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Holds the new one, if PPG_AUTH_NEW_PASSPHRASE does not.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Seal the store under another passphrase. Backups keep the one that they were made with."""
    from ppg_auth.decide.roster import Roster
    from ppg_auth.store.passphrase import NEW_VARIABLE, find_passphrase

    opened = store.open()
    new = find_passphrase(
        store.store, key_file=new_key_file, keyring=False, new=True, variable=NEW_VARIABLE
    )
    Roster(opened).change_passphrase(new)
    _say(None, "changed", "the store opens with the new passphrase alone", json, quiet)


def _say(name: str | None, state: str, sentence: str, json: bool, quiet: bool) -> None:
    say({"status": "done", "name": name, "state": state}, sentence, json=json, quiet=quiet)


DECODING = 20.0  # seconds of one upload


@bundled
def serve(
    store: StoreOptions,
    model: ModelOptions,
    decision: DecisionOptions,
    serving: Serving,
    hide_scores: Annotated[
        bool, typer.Option("--hide-scores", help="Answer without scores and thresholds.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Answer over HTTP.

    POST /enroll, /verify, /identify, /challenge, /unlock, /delete; docs/ppg-auth-api.md describes
    them. Callers send as their bearer token what PPG_AUTH_TOKEN holds; nobody is enrolled without
    the token of PPG_AUTH_ENROL_TOKEN, nor unlocked or deleted without that of PPG_AUTH_ADMIN_TOKEN.
    """
    from ppg_auth.service import ROLES, TOKEN_VARIABLE, run

    token = serving.token(TOKEN_VARIABLE)
    roles = {role: os.environ.get(name) for role, name in ROLES.items()}
    check_tokens([token, *roles.values()])
    opened, job = store.open(create=True), model.load(patience=DECODING)
    given = {role: token for role, token in roles.items() if token}
    run(decision.verifier(opened, job), job, serving, token, given, hide_scores=hide_scores)


def check_tokens(tokens: Sequence[str | None]) -> None:
    """UsageError where one token would open two roles."""
    given = [token for token in tokens if token]
    if len(set(given)) < len(given):
        raise UsageError("tokens", "two roles have the same one", "give each its own")
