"""The system's key store as the holder of the passphrase, with a key store that lives in memory."""

import pytest
from made_people import write_recording

from ppg_auth.store.passphrase import find_passphrase
from vitrail.errors import InputError, MissingError
from vitrail.testing.commands import call

keyring = pytest.importorskip("keyring", reason="needs vitrail-ppg-auth[keyring]")


class InMemory(keyring.backend.KeyringBackend):
    """Keeps passphrases by service and user."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def use(monkeypatch):
    before = keyring.get_keyring()
    monkeypatch.delenv("PPG_AUTH_PASSPHRASE", raising=False)
    yield keyring.set_keyring
    keyring.set_keyring(before)


def test_a_new_store_gets_a_passphrase_of_its_own(use):
    use(InMemory())
    first = find_passphrase("a.db", key_file=None, keyring=True, new=True)
    assert len(first) >= 32 and first == find_passphrase(
        "a.db", key_file=None, keyring=True, new=False
    )
    assert first != find_passphrase("b.db", key_file=None, keyring=True, new=True)
    with pytest.raises(InputError, match="has no passphrase for it"):
        find_passphrase("c.db", key_file=None, keyring=True, new=False)


def test_a_system_without_a_key_store(use):
    use(keyring.backends.fail.Keyring())
    with pytest.raises(MissingError, match="key store says"):
        find_passphrase("a.db", key_file=None, keyring=True, new=True)


def test_the_command_takes_it(use, tmp_path, monkeypatch, weights):
    use(InMemory())
    monkeypatch.chdir(tmp_path)
    options = ["--store", "people.db", "--keyring"]
    network = ["--weights", weights, "--engine", "eager"]
    file = write_recording(tmp_path / "a.csv", 3, 0)
    assert call("ppg_auth", "enroll", "ann", file, "--consent", *options, *network).status == 0
    assert call("ppg_auth", "list", *options).status == 0
    use(InMemory())
    assert call("ppg_auth", "list", *options).status == 1
