"""The catalogue of a system's weights: bundled, of the user, and of the hub."""

import io
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from vitrail.errors import InputError, MissingError, UsageError, VitrailError
from vitrail.sources import sha256
from vitrail.system import System
from vitrail.weights.catalogue import Entry, Hub, catalogue, hub_path, pull, resolve
from vitrail.weights.files import read_state, save

METADATA = {"system": "toy", "architecture": "two-layers", "config": {"width": 4}}


def network(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def checkpoint(path: Path, content: object = None) -> Path:
    torch.save(network().state_dict() if content is None else content, path)
    return path


@pytest.fixture
def system(tmp_path, monkeypatch) -> System:
    """A system with one bundled file, whose catalogue a test may write anew."""
    folder = tmp_path / "site" / "toy_system"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(__import__("sys").modules, "toy_system", raising=False)
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    save(folder / "weights" / "small.safetensors", network().state_dict(), METADATA)
    write_catalogue(folder, bundled_entry(folder))
    return System("toy", "Toy", "A toy.", "toy_system", "toy")


def bundled_entry(folder: Path, **changes: object) -> dict:
    digest = sha256(folder / "weights" / "small.safetensors")
    entry = {
        "name": "small",
        "architecture": "two-layers",
        "file": "small.safetensors",
        "sha256": digest,
    }
    return entry | {"default": True, "metrics": {"auc": 0.9}, "config": {"width": 4}} | changes


def write_catalogue(folder: Path, *entries: dict) -> None:
    def inline(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
        return json.dumps(value)

    lines = [
        line
        for entry in entries
        for line in ("[[weights]]", *(f"{k} = {inline(v)}" for k, v in entry.items()))
    ]
    (folder / "weights" / "catalogue.toml").write_text("\n".join(lines))


def test_a_bundled_name_is_resolved_and_checked(system):
    weights = resolve(system, "small")
    assert weights.name == "small" and weights.metadata == METADATA
    assert weights.sha256 == catalogue(system)[0].sha256 == sha256(weights.path)


def test_a_changed_bundled_file_is_refused(system):
    path = resolve(system, "small").path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not the catalogued file"):
        resolve(system, "small")


@pytest.mark.parametrize(
    "name", ["mine.pth", "two words.pth", "line\nbreak.pth", "🙂.pth", "-dash.pth"]
)
def test_a_file_of_the_user_is_resolved_by_its_path(system, tmp_path, name):
    path = checkpoint(tmp_path / name)
    assert resolve(system, str(path)) == resolve(system, path)
    assert resolve(system, path).sha256 == sha256(path)
    assert read_state(resolve(system, path).path)[0].keys() == network().state_dict().keys()


@pytest.mark.parametrize("name", ["smal", "x" * 5000, "a\0b", ""])
def test_a_name_that_nobody_knows_is_told(system, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VitrailError):
        resolve(system, name)
    with pytest.raises(MissingError, match="known: small"):
        resolve(system, "smal")


def test_a_system_without_a_catalogue_knows_no_weights(system):
    (system.folder / "weights" / "catalogue.toml").unlink()
    assert catalogue(system) == []
    with pytest.raises(MissingError, match="give a file"):
        resolve(system, "small")


@pytest.mark.parametrize(
    "changes",
    [{"colour": "red"}, {"file": 3}, {"sha256": ""}, {"hub": {"repo": "a/b", "file": "c"}}],
)
def test_a_catalogue_with_a_wrong_entry_is_refused(system, changes):
    write_catalogue(system.folder, bundled_entry(system.folder, **changes))
    with pytest.raises(InputError, match="is no catalogue of weights"):
        catalogue(system)


@pytest.mark.parametrize("text", ["", "[[weights]", "weights = 3"])
def test_a_catalogue_that_is_none_is_refused(system, text):
    (system.folder / "weights" / "catalogue.toml").write_text(text)
    with pytest.raises(InputError, match="is no catalogue of weights"):
        catalogue(system)


# The hub


@pytest.fixture
def hub_entry(system) -> Entry:
    content = io.BytesIO()
    torch.save(network().state_dict(), content)
    source = system.folder.parent / "published.pth"
    source.write_bytes(content.getvalue())
    write_catalogue(
        system.folder,
        {
            "name": "big",
            "architecture": "two-layers",
            "hub": {"repo": "lab/net", "file": "v1/big.pth"},
        }
        | {"sha256": sha256(source)},
    )
    return catalogue(system)[0]


def publish(monkeypatch, source: Path) -> None:
    def download(repo: str, file: str, local_dir: Path) -> None:
        (local_dir / file).parent.mkdir(parents=True, exist_ok=True)
        (local_dir / file).write_bytes(source.read_bytes())

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)


def test_a_file_of_the_hub_is_pulled_and_resolved(system, hub_entry, monkeypatch):
    with pytest.raises(MissingError, match="vitrail weights pull toy big"):
        resolve(system, "big")
    publish(monkeypatch, system.folder.parent / "published.pth")
    assert pull(hub_entry) == hub_path(hub_entry.hub) == resolve(system, "big").path


def test_another_file_than_the_catalogued_is_not_kept(system, hub_entry, monkeypatch):
    publish(monkeypatch, system.folder / "__init__.py")
    with pytest.raises(InputError):
        pull(hub_entry)
    publish(monkeypatch, checkpoint(system.folder.parent / "other.pth", {"a": torch.ones(1)}))
    with pytest.raises(InputError, match="sha256 differs"):
        pull(hub_entry)
    assert not hub_path(hub_entry.hub).exists()


def test_without_a_network_pulling_says_so(hub_entry, monkeypatch):
    def download(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(MissingError, match="check the network"):
        pull(hub_entry)


def test_a_bundled_file_cannot_be_pulled(system):
    with pytest.raises(UsageError, match="is bundled"):
        pull(catalogue(system)[0])


def test_an_entry_lies_in_one_place():
    with pytest.raises(ValueError, match="either a file or a hub"):
        Entry(name="x", architecture="y")
    assert Entry(name="x", architecture="y", hub=Hub(repo="a/b", file="c")).hub.file == "c"
