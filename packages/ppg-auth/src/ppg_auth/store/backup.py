"""Copies of a store that is in use, and stores made of such copies."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ppg_auth.store.session import Store, is_there, keys_address, open_store
from vitrail.errors import InputError, UsageError
from vitrail.output import atomic_file
from vitrail.sources import require_file


def back_up(store: Store, target: Path) -> Path:
    """Copies the store to ``target`` and the people's keys to the second file, which is returned.

    Nobody writes to the store meanwhile, so that both belong together. UsageError where they lie in
    PostgreSQL, or a file is there already.
    """
    file, keys = store.database.file, store.vault.database.file
    if file is None or keys is None:
        raise UsageError("--store", "lies on a PostgreSQL server", "use pg_dump for both databases")
    keys_target = Path(keys_address(str(target)))
    for path in (target, keys_target):
        _require_new(path)
    with store.session():
        _copy_both((file, target), (keys, keys_target))
    return keys_target


def restore(source: Path, address: str, keys: str | None, passphrase: bytes) -> int:
    """Makes the store at ``address`` of a backup and its keys; the number of entries in its log.

    InputError where the backup is damaged, or parts of it do not belong together; UsageError where
    a store is there already.
    """
    keys = keys or keys_address(address)
    if "://" in address or "://" in keys:
        raise UsageError("--store", "is not a file", "use pg_restore for both databases")
    target, keys_target = Path(address).expanduser(), Path(keys).expanduser()
    if is_there(address):
        raise UsageError(target, "is there already", "move it away, or name another --store")
    _require_new(keys_target)
    keys_source = Path(keys_address(str(source)))
    for path in (source, keys_source):
        require_file(path)
    with tempfile.TemporaryDirectory() as folder:
        tried, tried_keys = Path(folder, "store"), Path(folder, "keys")
        _copy_both((source, tried), (keys_source, tried_keys))
        entries = _tried(tried, tried_keys, keys_source, passphrase)
        _copy_both((tried, target), (tried_keys, keys_target))
    return entries


def _tried(file: Path, keys: Path, named: Path, passphrase: bytes) -> int:
    """The number of entries in the log of a store that is whole; ``named`` is what errors call its
    keys."""
    store = open_store(str(file), str(keys), passphrase)
    with store.session() as session:
        entries, _ = session.audit.verify()
        opened, known = len(list(session.people.all())), len(session.people.key_ids())
    if opened < known:
        problem = f"{known - opened} of {known} people have no key there"
        raise InputError(named, problem, "restore the keys of the same backup")
    return entries


def _copy_both(*pairs: tuple[Path, Path]) -> None:
    """The keys come first into their place: a store without them is of no use."""
    (file, target), (keys, keys_target) = pairs
    with atomic_file(target) as made, atomic_file(keys_target) as made_keys:
        _copy(file, made)
        _copy(keys, made_keys)


def _copy(source: Path, target: Path) -> None:
    """By SQLite's online backup, which copies what was last committed, readable by its owner
    alone."""
    target.chmod(0o600)
    address = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True)) as opened,
            closing(sqlite3.connect(target)) as copy,
        ):
            opened.backup(copy)
    except sqlite3.Error as error:
        raise InputError(source, f"the database says: {error}", "give another backup") from error


def _require_new(path: Path) -> None:
    if path.exists():
        raise UsageError(path, "is there already", "name another file")
