"""Where a store's passphrase comes from: a file, the environment, the system's key store, or the
person."""

import os
import secrets
import sys
from getpass import getpass
from pathlib import Path

from vitrail.errors import InputError, MissingError, UsageError
from vitrail.sources import require_file

VARIABLE, NEW_VARIABLE = "PPG_AUTH_PASSPHRASE", "PPG_AUTH_NEW_PASSPHRASE"
MIN_PASSPHRASE = 12
_SERVICE = "ppg-auth"


def find_passphrase(
    store: str, *, key_file: Path | None, keyring: bool, new: bool, variable: str = VARIABLE
) -> bytes:
    """The passphrase of the store at this address; for a ``new`` one it is asked for twice, or made
    in the key store. ``variable`` is that of the environment which may hold it.

    UsageError where none can be had; InputError where that of a new store has under twelve
    characters.
    """
    if key_file:
        found = _read(key_file)
    elif keyring:
        found = _from_keyring(store, new)
    elif variable in os.environ:
        found = os.environ[variable].encode()
    elif sys.stdin.isatty():
        found = _ask(new)
    else:
        raise UsageError(
            "passphrase", "nobody can be asked for it here", f"set {variable} or give a file"
        )
    if new and len(found) < MIN_PASSPHRASE:
        raise UsageError(
            "passphrase",
            f"has under {MIN_PASSPHRASE} characters",
            "several words are easy to remember",
        )
    return found


def _read(file: Path) -> bytes:
    require_file(file)
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise InputError(file, "can be read by others", f"run: chmod 600 {file.name}")
    return file.read_bytes().rstrip(b"\r\n")


def _ask(new: bool) -> bytes:
    found = getpass("Passphrase of the new store: " if new else "Passphrase: ")
    if new and getpass("The same again: ") != found:
        raise UsageError("passphrase", "was not the same twice", "try again")
    return found.encode()


def _from_keyring(store: str, new: bool) -> bytes:
    try:
        import keyring
    except ModuleNotFoundError as error:
        raise MissingError(
            "--keyring", "needs the library keyring", "install vitrail-ppg-auth[keyring]"
        ) from error
    from keyring.errors import KeyringError

    try:
        found = keyring.get_password(_SERVICE, store)
        if found is None and new:
            found = secrets.token_urlsafe(32)
            keyring.set_password(_SERVICE, store, found)
    except KeyringError as error:
        raise MissingError(
            "--keyring", f"this system's key store says: {error}", "give --key-file"
        ) from error
    if found is None:
        raise InputError(
            store, "the system's key store has no passphrase for it", "give --key-file"
        )
    return found.encode()
