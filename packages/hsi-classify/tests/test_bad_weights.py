"""Weights that are none, do not fit, or would do harm."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hsi_classify import load
from hsi_classify.checkpoint import read_checkpoint
from vitrail.errors import InputError
from vitrail.testing.commands import call
from vitrail.weights.files import read_state, save
from vitrail.weights.header import METADATA_KEY


def weights_file(files, folder) -> Path:
    saved = folder / "mine.safetensors"
    load(labels=files[1], method="network", save=saved).predict(files[0])
    return saved


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    """Short names, so that no line has to be cut."""
    monkeypatch.chdir(tmp_path)


def refused(files, weights: Path) -> str:
    """The one line that refuses weights."""
    outcome = call("hsi_classify", files[0].name, "--weights", weights.name)
    assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1 and not outcome.stdout
    return outcome.stderr


def test_weights_that_do_not_fit(files, tmp_path):
    good, path = weights_file(files, tmp_path), tmp_path / "bad.safetensors"
    state, metadata = read_state(good)
    keys = list(state)
    changes = {
        "5 missing; ": {key: state[key] for key in keys[5:]},
        "1 unexpected; more": {**state, "more": torch.ones(2)},
        f"1 of another shape; {keys[0]}": {**state, keys[0]: torch.ones(2, 3)},
    }
    for said, changed in changes.items():
        save(path, changed, metadata)
        with pytest.raises(InputError, match=f"does not fit this network: {said}"):
            read_checkpoint(Path(path.name)).build()
        refused(files, path)
    save(path, state, {**metadata, "architecture": "forest"})
    assert "bad.safetensors" in refused(files, path)
    with pytest.raises(InputError, match=r"lacks what hsi-classify needs \(forest: no such"):
        read_checkpoint(Path(path.name)).build()
    config = {**metadata["config"], "num_classes": 7}
    save(path, state, {**metadata, "config": config})
    refused(files, path)
    save(path, {"conv.weight": torch.ones(3)}, {})
    assert "holds no LoLA-SpecViT" in refused(files, path)
    for missing in ("classes", "scene", "names", "config"):
        save(path, state, {k: v for k, v in metadata.items() if k != missing})
        assert "bad.safetensors" in refused(files, path)


def test_weights_that_are_no_numbers(files, tmp_path):
    """In a file of another's making: ours refuses to write them."""
    good, path = weights_file(files, tmp_path), tmp_path / "bad.safetensors"
    state, metadata = read_state(good)
    state["head.linear.bias"][0] = float("nan")
    with pytest.raises(InputError, match="it was not written"):
        save(path, state, metadata)
    save_file(state, path, {METADATA_KEY: json.dumps(metadata)})
    assert "holds NaN or infinity in head.linear.bias" in refused(files, path)


def test_a_pickle_with_code_in_it_runs_nothing(files, tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return canary.touch, ()

    for name in ("evil.pth", "evil.safetensors"):
        torch.save({"state_dict": Evil()}, tmp_path / name)
        refused(files, tmp_path / name)
    assert not canary.exists()


def test_an_archive_that_unpacks_to_more_than_it_holds(files, tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({"state_dict": {"a": torch.zeros(1_000_000)}}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in plain.infolist():
            bomb.writestr(member.filename, plain.read(member.filename))
    assert path.stat().st_size < 50_000
    assert "is compressed" in refused(files, path)


def test_weights_that_are_none(files, tmp_path):
    for content in (b"", b"<html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04K."):
        path = tmp_path / "w.safetensors"
        path.write_bytes(content)
        outcome = call("hsi_classify", files[0], "--weights", path)
        assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1
