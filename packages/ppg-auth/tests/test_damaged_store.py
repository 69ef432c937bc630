"""A store that was damaged, altered or cannot be written: one sentence, never an acceptance."""

import os
import sqlite3
import stat
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from made_people import capture, fake_model
from sqlalchemy import create_engine

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.database import store_tables
from ppg_auth.store.passphrase import find_passphrase
from ppg_auth.store.session import is_there, open_store
from vitrail.errors import MAX_LINE, InputError, UsageError, VitrailError

PASSPHRASE = b"a long enough passphrase"
VARIANTS = 200


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    """The two files of a store in which alice is enrolled."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ppg_auth.store.session.SCRYPT_COST", 2**8)
        store = open_store(str(folder / "people.db"), None, PASSPHRASE, create=True)
    Registry(Verifier(store, fake_model())).enroll("alice", [capture(1, take) for take in range(3)])
    for database in (store.database, store.vault.database):
        database.scrub()
        database.engine.dispose()
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".db", ".keys"}
    }


@pytest.fixture
def address(good, tmp_path) -> str:
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    return str(tmp_path / "people.db")


@pytest.fixture(scope="module")
def impostor():
    return capture(2, 100)


def attempt(address: str, taken) -> Outcome | VitrailError:
    try:
        return (
            Verifier(open_store(address, None, PASSPHRASE), fake_model())
            .verify("alice", taken)
            .outcome
        )
    except VitrailError as error:
        assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
        return error


@pytest.mark.parametrize("which", ["people.db", "people.db.keys"])
def test_damaged_variants_accept_nobody(good, address, impostor, which):
    """Bytes changed anywhere: the impostor is never let in, and nothing but a sentence comes of
    it."""
    rng, path = np.random.default_rng(5), Path(address).parent / which
    outcomes = []
    for number in range(VARIANTS):
        data = bytearray(good[which])
        if number % 4 == 0:
            data = data[: int(rng.integers(len(data)))]
        else:
            for place in rng.integers(len(data), size=int(rng.integers(1, 200))):
                data[place] = rng.integers(256)
        for left in path.parent.glob("*-wal"):
            left.unlink()
        path.write_bytes(data)
        outcomes.append(attempt(address, impostor))
    assert Outcome.ACCEPTED not in outcomes
    assert sum(isinstance(outcome, InputError) for outcome in outcomes) > VARIANTS / 2


def test_the_undamaged_one_works(address, impostor):
    assert attempt(address, capture(1, 100)) is Outcome.ACCEPTED
    assert attempt(address, impostor) is Outcome.REJECTED


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"<!DOCTYPE html>", b"SQLite format 3\0" + bytes(84), bytes(4096)]
)
def test_a_file_that_is_no_store(tmp_path, content, impostor):
    path = tmp_path / "people.db"
    path.write_bytes(content)
    path.chmod(0o600)
    assert isinstance(attempt(str(path), impostor), InputError)
    assert path.read_bytes() == content


def test_a_database_of_something_else(tmp_path, impostor):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE header (name TEXT, value BLOB)")
    path.chmod(0o600)
    assert "is not a store" in str(attempt(str(path), impostor))


def change_header(address: str, name: str, value: bytes) -> None:
    with sqlite3.connect(address) as database:
        database.execute("UPDATE header SET value = ? WHERE name = ?", (value, name))


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [(b'{"format": 0, "cost": 256, "salt": "00"}', "format 0"),
     (b'{"format": 1, "cost": 256, "salt": "00"}', "format 1, this version reads 2"),
     (b'{"format": 2, "cost": 1e12, "salt": "00"}', "damaged"),
     (b"[" * 100_000, "damaged"), (b"\xff", "damaged"),
      (b'{"format": 2, "cost": 256, "salt": "00"}', "passphrase")],
)  # fmt: skip
def test_a_header_of_another_version_or_none(address, impostor, parameters, problem):
    change_header(address, "parameters", parameters)
    assert problem in str(attempt(address, impostor))


def rows_of(address: str, table: str) -> list[tuple]:
    with sqlite3.connect(address) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def put_back(address: str, table: str, rows: list[tuple]) -> None:
    with sqlite3.connect(address) as database:
        database.execute(f"DELETE FROM {table}")
        for row in rows:
            marks = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO {table} VALUES ({marks})", row)


@pytest.mark.parametrize("table", ["people", "captures", "clients", "header", "audit"])
def test_a_part_that_is_set_back_is_found(address, table):
    """Old cells are whole and sealed; only together with the others are they a state there was."""
    verifier = Verifier(open_store(address, None, PASSPHRASE), fake_model())
    verifier.verify("alice", capture(2, 100))
    before = rows_of(address, table)
    Registry(verifier).enroll("bob", [capture(3, take) for take in range(3)])
    verifier.verify("alice", capture(2, 101))
    for act in (lambda: put_back(address, table, before), lambda: put_back(address, table, [])):
        whole = rows_of(address, table)
        assert whole != before
        act()
        assert isinstance(attempt(address, capture(1, 100)), InputError)
        store = open_store(address, None, PASSPHRASE) if table != "header" else None
        if store:
            with pytest.raises(InputError), store.session() as session:
                session.audit.verify()
        put_back(address, table, whole)
    assert attempt(address, capture(1, 200)) is Outcome.ACCEPTED


def test_a_person_who_was_deleted_by_others_is_missed(address):
    with sqlite3.connect(address) as database:
        database.execute("DELETE FROM people")
    error = attempt(address, capture(1, 100))
    assert "was removed, put back or altered; restore it from a backup" in str(error)


def test_a_store_whose_making_was_killed_is_made_anew(tmp_path, monkeypatch):
    """At any moment before its first commit, which left a file that every command refused."""
    path = tmp_path / "people.db"
    for left in (b"", None, "tables"):
        if left == b"":
            path.touch(0o600)
        else:
            path.unlink(missing_ok=True)
            with sqlite3.connect(path) as database:  # what journal_mode=WAL alone leaves
                database.execute("PRAGMA journal_mode=WAL")
                if left:
                    store_tables.create_all(create_engine(f"sqlite:///{path}"))
            path.chmod(0o600)
        assert not is_there(str(path))
        with pytest.raises(InputError, match=r"is not a store|is empty"):
            open_store(str(path), None, PASSPHRASE)
        store = open_store(str(path), None, PASSPHRASE, create=True)
        assert is_there(str(path))
        with store.session() as session:
            assert session.audit.verify()[0] == 0
        store.database.engine.dispose()
        for file in tmp_path.iterdir():
            file.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE somebody (name TEXT)")
    path.chmod(0o600)
    assert is_there(str(path))


def test_a_missing_store_is_not_made_by_a_verification(tmp_path, impostor):
    assert "does not exist" in str(attempt(str(tmp_path / "people.db"), impostor))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("which", ["people.db", "people.db.keys"])
def test_a_store_that_others_can_read(address, impostor, which):
    (Path(address).parent / which).chmod(0o644)
    assert "chmod 600" in str(attempt(address, impostor))


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_new_store_is_its_owners_alone(tmp_path):
    open_store(str(tmp_path / "deep" / "people.db"), None, PASSPHRASE, create=True)
    files = list((tmp_path / "deep").iterdir())
    assert len(files) >= 2 and all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        open_store(str(tmp_path / "file" / "people.db"), None, PASSPHRASE, create=True)


def test_a_full_disk_changes_nothing(address, impostor):
    store = open_store(address, None, PASSPHRASE)
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite's own full disk
    full = Verifier(store, fake_model())
    with pytest.raises(InputError, match="full"):
        for take in range(200, 300):
            full.verify("alice", capture(2, take))
    assert attempt(address, capture(1, 100)) in {Outcome.ACCEPTED, Outcome.THROTTLED}


def test_a_full_disk_is_said_whatever_the_database_says(address, impostor, monkeypatch):
    """SQLite cannot make its index of the log then, and says "disk I/O error"."""
    store = open_store(address, None, PASSPHRASE)
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr("ppg_auth.store.database.disk_usage", lambda _: usage(9, 9, 0))
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(InputError, match="its disk is full; make room"):
        Verifier(store, fake_model()).verify("alice", impostor)


@pytest.mark.parametrize(
    "address", ["mysql://x@y/z", "postgresql://", "://", "postgresql://nobody@127.0.0.1:1/none"]
)
def test_addresses_that_lead_nowhere(address):
    with pytest.raises(VitrailError):
        open_store(address, None, PASSPHRASE)


def test_templates_and_keys_in_one_file(tmp_path):
    with pytest.raises(UsageError, match="apart"):
        open_store(str(tmp_path / "a.db"), str(tmp_path / "a.db"), PASSPHRASE, create=True)


def test_keys_of_another_store(address, tmp_path, impostor):
    other = open_store(str(tmp_path / "other.db"), None, b"another passphrase", create=True)
    Registry(Verifier(other, fake_model())).enroll("alice", [capture(2, take) for take in range(3)])
    store = open_store(address, str(tmp_path / "other.db.keys"), PASSPHRASE)
    assert Verifier(store, fake_model()).verify("alice", impostor).outcome is Outcome.NOT_ENROLLED


def test_where_the_passphrase_comes_from(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("from a file\n")
    file.chmod(0o600)
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "from the environment")
    assert find_passphrase("s", key_file=file, keyring=False, new=False) == b"from a file"
    assert find_passphrase("s", key_file=None, keyring=False, new=True) == b"from the environment"
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "short")
    with pytest.raises(UsageError, match="under 12 characters"):
        find_passphrase("s", key_file=None, keyring=False, new=True)
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        find_passphrase("s", key_file=file, keyring=False, new=False)
    monkeypatch.delenv("PPG_AUTH_PASSPHRASE")
    with pytest.raises(UsageError, match="nobody can be asked"):
        find_passphrase("s", key_file=None, keyring=False, new=False)
