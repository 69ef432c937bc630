"""Weights files that are none, or not such: refused with one line, and nothing in them runs."""

import json
import zipfile
from argparse import Namespace
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from image_colorize.model import Config, build_model
from image_colorize.networks import load_network
from vitrail.errors import MAX_LINE, InputError, VitrailError
from vitrail.weights.files import save

SMALL = Config(image_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)


def refused(path) -> str:
    with pytest.raises(VitrailError) as caught:
        _ = load_network(str(path)).module
    said = str(caught.value)
    assert len(said) <= MAX_LINE and "\n" not in said
    return said


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        bytes(5000),
        b"<!DOCTYPE html><title>Quota exceeded</title>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 77\n",
    ],
)
def test_files_that_are_not_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert name in refused(tmp_path / name)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "resnet"},
        {"config": None},
        {"config": {}},
        {"config": asdict(SMALL) | {"image_size": -32}},
        {"config": asdict(SMALL) | {"image_size": 33}},
        {"config": asdict(SMALL) | {"image_size": 1 << 20}},
        {"config": asdict(SMALL) | {"patch_size": 0}},
        {"config": asdict(SMALL) | {"hint_size": 0}},
        {"config": asdict(SMALL) | {"num_heads": 3}},
        {"config": asdict(SMALL) | {"depth": "many"}},
        {"config": asdict(SMALL) | {"depth": 10**9}},
        {"config": asdict(SMALL) | {"head": "magic"}},
        {"config": asdict(SMALL) | {"colour": 3}},
    ],
)
def test_weights_whose_description_does_not_fit(tmp_path, changes):
    path = tmp_path / "a.safetensors"
    metadata = {"architecture": "icolorit", "config": asdict(SMALL)} | changes
    save(path, build_model(asdict(SMALL)).state_dict(), metadata, torch.float32)
    refused(path)


def test_weights_that_lack_a_part_or_hold_no_number(tmp_path):
    state = build_model(asdict(SMALL)).state_dict()
    metadata = {"architecture": "icolorit", "config": asdict(SMALL)}
    lacking = {key: value for key, value in state.items() if key != "norm.weight"}
    save(tmp_path / "lacking.safetensors", lacking, metadata, torch.float32)
    assert "1 missing" in refused(tmp_path / "lacking.safetensors")
    state["norm.weight"] = torch.full_like(state["norm.weight"], torch.nan)
    save_file(state, tmp_path / "nan.safetensors", {"vitrail": json.dumps(metadata)})
    assert "NaN" in refused(tmp_path / "nan.safetensors")
    torch.save({"model": state}, tmp_path / "nan.pth")
    assert "NaN" in refused(tmp_path / "nan.pth")


@pytest.mark.parametrize("place", ["args", "inside the arguments", "model"])
def test_code_in_a_release_does_not_run(tmp_path, place):
    canary, path = tmp_path / "canary", tmp_path / "icolorit.pth"

    class Evil:
        def __reduce__(self):
            return canary.touch, ()

    state = build_model(asdict(SMALL)).state_dict()
    content = {"model": state, "args": Namespace(lr=1)}
    if place == "args":
        content["args"] = Evil()
    elif place == "model":
        content["model"] = Evil()
    else:
        content["args"] = Namespace(lr=Evil())
    torch.save(content, path)
    assert "code" in refused(path)
    assert not canary.exists()


def test_a_bomb_is_refused_unopened(tmp_path):
    path = tmp_path / "icolorit.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\0.")
        archive.writestr("archive/data/0", bytes(400 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError):
        load_network(str(path))
