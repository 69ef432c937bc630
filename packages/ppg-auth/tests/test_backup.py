"""Copies of a store in use, stores made of them, and another passphrase."""

import sqlite3
import threading
from pathlib import Path

import pytest
from made_people import capture, fake_model

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.backup import back_up, restore
from ppg_auth.store.session import Store, open_store
from vitrail.errors import InputError, UsageError
from vitrail.testing.commands import call

PASSPHRASE = b"a long enough passphrase"


@pytest.fixture
def store(tmp_path) -> Store:
    """Alice is enrolled in it."""
    store = open_store(str(tmp_path / "people.db"), None, PASSPHRASE, create=True)
    Registry(Verifier(store, fake_model())).enroll("alice", [capture(1, take) for take in range(3)])
    return store


def outcome(store: Store, person: int, take: int) -> Outcome:
    return Verifier(store, fake_model()).verify("alice", capture(person, take)).outcome


def restored(backup: Path, place: Path) -> Store:
    restore(backup, str(place), None, PASSPHRASE)
    return open_store(str(place), None, PASSPHRASE)


def test_a_backup_is_the_store_as_it_was(store, tmp_path):
    backup = tmp_path / "copies" / "monday.db"
    keys = back_up(store, backup)
    assert {path.name for path in backup.parent.iterdir()} == {"monday.db", "monday.db.keys"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (backup, keys))
    Roster(store).delete("alice")
    again = restored(backup, tmp_path / "again" / "people.db")
    assert outcome(again, 1, 100) is Outcome.ACCEPTED
    assert outcome(again, 1, 0) is Outcome.REJECTED, "what was used before is a replay still"
    assert outcome(store, 1, 100) is Outcome.NOT_ENROLLED


def test_a_store_in_use_is_copied_whole(store, tmp_path):
    """A mere copy of the file would be of a moment between two writes."""
    ended = threading.Event()

    def use() -> None:
        take = 200
        while not ended.is_set():
            outcome(store, 1, take := take + 1)

    using = threading.Thread(target=use)
    using.start()
    try:
        for number in range(3):
            back_up(store, tmp_path / f"{number}.db")
    finally:
        ended.set()
        using.join()
    for number in range(3):
        again = restored(tmp_path / f"{number}.db", tmp_path / f"again{number}.db")
        assert outcome(again, 1, 100) is Outcome.ACCEPTED


def test_a_backup_that_does_not_fit_makes_nothing(store, tmp_path):
    backup, place = tmp_path / "monday.db", tmp_path / "again" / "people.db"
    back_up(store, backup)
    Registry(Verifier(store, fake_model())).enroll("bob", [capture(2, take) for take in range(3)])
    back_up(store, tmp_path / "tuesday.db")
    with pytest.raises(InputError, match="passphrase does not open it"):
        restore(backup, str(place), None, b"another passphrase")
    (tmp_path / "tuesday.db.keys").write_bytes((tmp_path / "monday.db.keys").read_bytes())
    with pytest.raises(InputError, match="1 of 2 people have no key there"):
        restore(tmp_path / "tuesday.db", str(place), None, PASSPHRASE)
    with sqlite3.connect(backup) as opened:
        opened.execute("DELETE FROM captures")
    with pytest.raises(InputError, match="removed, put back or altered"):
        restore(backup, str(place), None, PASSPHRASE)
    backup.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(InputError, match="the database says"):
        restore(backup, str(place), None, PASSPHRASE)
    with pytest.raises(InputError, match="does not exist"):
        restore(tmp_path / "none.db", str(place), None, PASSPHRASE)
    assert not place.parent.exists()


def test_nothing_is_written_over(store, tmp_path):
    backup = tmp_path / "monday.db"
    back_up(store, backup)
    with pytest.raises(UsageError, match="is there already"):
        back_up(store, backup)
    with pytest.raises(UsageError, match="is there already; move it away"):
        restore(backup, str(tmp_path / "people.db"), None, PASSPHRASE)
    assert outcome(store, 1, 100) is Outcome.ACCEPTED


def test_another_passphrase_by_the_commands(store, tmp_path, monkeypatch):
    monkeypatch.setenv("PPG_AUTH_STORE", str(tmp_path / "people.db"))
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", PASSPHRASE.decode())
    assert call("ppg_auth", "backup", str(tmp_path / "before.db")).status == 0
    monkeypatch.setenv("PPG_AUTH_NEW_PASSPHRASE", "short")
    assert "under 12 characters" in call("ppg_auth", "passphrase", "change").stderr
    monkeypatch.setenv("PPG_AUTH_NEW_PASSPHRASE", "quite another passphrase")
    assert call("ppg_auth", "passphrase", "change").status == 0
    assert "does not open it" in call("ppg_auth", "list").stderr
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "quite another passphrase")
    assert '"alice"' in call("ppg_auth", "list", "--json").stdout
    events = call("ppg_auth", "audit", "export").stdout
    assert '"event": "passphrase"' in events and "quite another" not in events
    assert '"entries": 2' in call("ppg_auth", "audit", "verify", "--json").stdout
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", PASSPHRASE.decode())
    made = call("ppg_auth", "restore", str(tmp_path / "before.db"), "--store", str(tmp_path / "b"))
    assert made.status == 0, made.stderr
    assert outcome(open_store(str(tmp_path / "b"), None, PASSPHRASE), 1, 100) is Outcome.ACCEPTED
