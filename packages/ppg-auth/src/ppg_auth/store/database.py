"""The two databases of a store, in SQLite or PostgreSQL alike: what lies in them, and transactions
on them."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import disk_usage

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError

from vitrail.errors import InputError, UsageError
from vitrail.sources import require_file

_SQLITE = b"SQLite format 3\0"
_CREATING = 0x707067  # the number of PostgreSQL's advisory lock: only one process creates a store
_LEAST_ROOM = 1 << 16  # bytes; less than what a transaction takes
_counting = BigInteger().with_variant(
    Integer, "sqlite"
)  # SQLite counts up only a column of type INTEGER

store_tables = MetaData()
header = Table(
    "header",
    store_tables,
    Column("name", String(16), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
people = Table(
    "people",
    store_tables,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("attempts", LargeBinary, nullable=False),
)
captures = Table(
    "captures",
    store_tables,
    Column("number", _counting, primary_key=True, autoincrement=True),
    Column("person", String(64), nullable=False, index=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("for_good", Boolean, nullable=False),
    Column("sketch", LargeBinary, nullable=False),
)
entries = Table(
    "audit",
    store_tables,
    Column("number", _counting, primary_key=True, autoincrement=False),
    Column("line", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

clients = Table(
    "clients",
    store_tables,
    Column("id", String(64), primary_key=True),
    Column("attempts", LargeBinary, nullable=False),
    Column("day", Integer, nullable=False),  # since 1970, of the last failure
)

key_tables = MetaData()
secrets = Table(
    "secrets",
    key_tables,
    Column("id", String(32), primary_key=True),
    Column("store", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made", Float, nullable=False),
)


class Database:
    """One database by its address: a file's path, or ``postgresql://user@host/name``."""

    def __init__(self, address: str):
        url = _parse(address)
        self.file = None
        if url.get_backend_name() == "sqlite" and url.database:
            self.file = Path(url.database)
        self.name = str(self.file or url.render_as_string(hide_password=True))
        self.engine = create_engine(url)
        if self.file:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(
                self.engine,
                "begin",
                lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
            )

    @contextmanager
    def transaction(self, *, may_be_new: bool = False) -> Iterator[Connection]:
        """All of it is written when the block ends well, nothing otherwise; writers wait for each
        other.

        InputError says what the database says: damaged, full, busy, out of reach.
        """
        if self.file:
            _check_file(self.file, may_be_new)
        try:
            with self.engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except UnicodeDecodeError as error:  # the driver's own, over a name that is damaged
            raise InputError(self.name, "is damaged", "restore it from a backup") from error
        except DatabaseError as error:
            if self.file and disk_usage(self.file.absolute().parent).free < _LEAST_ROOM:
                # SQLite cannot even read then, and speaks of an I/O error
                raise InputError(self.name, "its disk is full", "make room, try again") from error
            problem = str(error.orig or error).strip().splitlines()[0]
            raise InputError(
                self.name, f"the database says: {problem}", "mend it or try again"
            ) from error

    @contextmanager
    def creating(self, tables: MetaData) -> Iterator[Connection]:
        """A transaction in which the tables are there; only its owner may read a new file."""
        if self.file and not self.file.exists():
            _make_private(self.file)
        with self.transaction(may_be_new=True) as connection:
            if not self.file:
                connection.execute(select(func.pg_advisory_xact_lock(_CREATING)))
            tables.create_all(connection)
            yield connection

    def scrub(self) -> None:
        """Empties SQLite's write-ahead log, where what was erased would otherwise lie on for a
        while."""
        if self.file:
            with closing(
                self.engine.raw_connection()
            ) as connection:  # within a transaction it may not be emptied
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _parse(address: str) -> URL:
    if "://" not in address:
        return URL.create("sqlite", database=str(Path(address).expanduser()))
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "--store", "is not an address of a database", "give a file or postgresql://…"
        ) from error
    if url.get_backend_name() not in {"postgresql", "sqlite"}:
        raise UsageError(
            "--store", f"{url.get_backend_name()} is not supported", "give a file or postgresql://…"
        )
    return (
        url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url
    )


def _set_up_sqlite(connection, _) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    for setting in (
        "busy_timeout=30000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("PRAGMA trusted_schema=OFF")


def _make_private(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(
            file, f"cannot be written: {str(error.strerror).lower()}", "choose another --store"
        ) from error


def _check_file(file: Path, may_be_new: bool) -> None:
    """InputError where the file is none of SQLite's, or others may read it."""
    if not file.exists():
        raise InputError(file, "does not exist", "'enroll' makes it; or name another with --store")
    if not (may_be_new and file.stat().st_size == 0):
        with require_file(file).open("rb") as opened:
            if opened.read(len(_SQLITE)) != _SQLITE:
                raise InputError(file, "is not a store of ppg-auth", "'enroll' makes one")
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise InputError(file, "can be read by others", f"run: chmod 600 {file.name}")
