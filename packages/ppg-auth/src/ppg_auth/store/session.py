"""The store: everything that one decision reads and writes, in one transaction, unreadable without
the passphrase."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, inspect, select, update

from ppg_auth.store.counters import Counters
from ppg_auth.store.database import Database, header, key_tables, store_tables
from ppg_auth.store.history import HEAD, Audit, Captures
from ppg_auth.store.people import People
from ppg_auth.store.state import State
from ppg_auth.store.vault import Vault, derive, new_key, seal, unseal
from vitrail.errors import InputError, UsageError

FORMAT = 2  # from 2 on the log's head covers what lies in all tables
SCRYPT_COST = 2**16  # with blocks of 8: 64 MiB and about 0.2 s for each guess at the passphrase
_MAX_COST = 2**18


class Session:
    """One transaction: ``people``, ``captures``, ``counters`` of failures, and ``audit``."""

    def __init__(self, connection: Connection, vault: Vault, master: bytes):
        self.people = People(connection, vault, master)
        self.captures = Captures(connection, derive(master, "digests"))
        self.counters = Counters(connection, master)
        self.audit = Audit(connection, master)
        self.state = State(connection, master)

        self._connection = connection

    def begin(self) -> None:
        """Fills a new store's header."""
        self.audit.begin()
        self.counters.begin()
        self.state.begin()

    def replace_header(self, values: dict[str, bytes]) -> None:
        for name, value in values.items():
            row = update(header).where(header.c.name == name).values(value=value)
            self._connection.execute(row)


@dataclass(frozen=True)
class Store:
    """An open store; ``vault`` keeps the people's secrets in a database of their own."""

    database: Database
    vault: Vault
    master: bytes

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that reads and decides before anyone else may: sessions wait for each
        other."""
        with self.database.transaction() as connection:
            connection.execute(select(header.c.name).where(header.c.name == HEAD).with_for_update())
            session = Session(connection, self.vault, self.master)
            session.state.require()
            yield session
            session.state.keep()

    def sealed_anew(self, passphrase: bytes) -> dict[str, bytes]:
        """The header's rows that open with another passphrase, to be put in place in a session."""
        return _sealed_header(self.master, passphrase)


def open_store(address: str, keys: str | None, passphrase: bytes, *, create: bool = False) -> Store:
    """Opens the store at ``address`` whose secrets lie at ``keys`` (None: beside it), made anew if
    ``create`` says so.

    InputError where it is none, is damaged, or the passphrase is another one; UsageError where both
    addresses are one file.
    """
    database, keys_database = Database(address), Database(keys or keys_address(address))
    if (
        database.file
        and keys_database.file
        and database.file.resolve() == keys_database.file.resolve()
    ):
        raise UsageError("--keys", "is the same file as the store", "keep templates and keys apart")
    if create:
        _create(database, keys_database, passphrase)
    with database.transaction() as connection:
        if not inspect(connection).has_table(header.name):
            raise InputError(database.name, "is not a store of ppg-auth", "'enroll' makes one")
        values = {row.name: row.value for row in connection.execute(select(header))}
    master = _open_header(values, passphrase, database.name)
    return Store(database, Vault(keys_database, derive(master, "vault")), master)


def keys_address(address: str) -> str:
    """Where secrets lie unless the user says so: beside a file, or on the same server."""
    return address if "://" in address else f"{address}.keys"


def _create(database: Database, keys_database: Database, passphrase: bytes) -> None:
    with keys_database.creating(key_tables):
        pass
    with database.creating(store_tables) as connection:
        if connection.scalar(select(header.c.name).limit(1)) is None:
            master = new_key()
            values = _sealed_header(master, passphrase)
            connection.execute(
                insert(header), [{"name": name, "value": value} for name, value in values.items()]
            )
            Session(connection, Vault(keys_database, derive(master, "vault")), master).begin()


def _sealed_header(master: bytes, passphrase: bytes) -> dict[str, bytes]:
    parameters = json.dumps({"format": FORMAT, "cost": SCRYPT_COST, "salt": os.urandom(16).hex()})
    sealed = seal(_stretch(passphrase, json.loads(parameters)), master, parameters)
    return {"parameters": parameters.encode(), "master": sealed}


def _open_header(values: dict[str, bytes], passphrase: bytes, name: str) -> bytes:
    if "parameters" not in values or "master" not in values:
        raise InputError(name, "is not a store of ppg-auth", "'enroll' makes one")
    try:
        text = values["parameters"].decode()
        parameters = json.loads(text)
        if parameters["format"] != FORMAT:
            raise InputError(
                name,
                f"has format {parameters['format']}, this version reads {FORMAT}",
                "enrol anew",
            )
        key = _stretch(passphrase, parameters)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(name, "is damaged", "restore it from a backup") from None
    try:
        return unseal(key, values["master"], text)
    except InputError:
        raise InputError(
            name, "the passphrase does not open it", "give the one it was made with"
        ) from None


def _stretch(passphrase: bytes, parameters: dict) -> bytes:
    """The key from a passphrase by scrypt (RFC 7914)."""
    cost, salt = int(parameters["cost"]), bytes.fromhex(parameters["salt"])
    if cost > _MAX_COST:
        raise ValueError(f"a cost of {cost}")
    return hashlib.scrypt(
        passphrase, salt=salt, n=cost, r=8, p=1, maxmem=_MAX_COST * 1100, dklen=32
    )


def is_there(address: str) -> bool:
    """Whether somebody made a store, or anything else, at this address.

    What a process leaves that is killed before it has made one is none: it is made anew.
    """
    database = Database(address)
    if database.file and not (database.file.exists() and database.file.stat().st_size):
        return False
    with database.transaction() as connection:
        tables = set(inspect(connection).get_table_names())
        if header.name not in tables:
            return database.file is not None and bool(tables)
        filled = connection.scalar(select(func.count()).select_from(header))
        return bool(filled) or not tables <= set(store_tables.tables)
