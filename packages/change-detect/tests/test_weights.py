"""Weights files that are none, or not such: refused with one line, and nothing in them runs."""

import json

import pytest
import torch
from safetensors.torch import save_file

from change_detect.models import build_model
from change_detect.networks import load_network
from vitrail.errors import MAX_LINE, VitrailError
from vitrail.weights.files import save

CONFIG = {"embed_dim": 48, "depth": 1, "num_heads": 6, "grid": [16, 16], "detail_dims": [8, 16, 32]}
FACTS = {"architecture": "changevit", "config": CONFIG, "threshold": 0.4, "gsd": 0.5}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return build_model("changevit", CONFIG).state_dict()


def refused(path) -> str:
    with pytest.raises(VitrailError) as caught:
        _ = load_network(str(path)).module
    said = str(caught.value)
    assert len(said) <= MAX_LINE and "\n" not in said
    return said


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "resnet"},
        {"config": None},
        {"config": {}},
        {"threshold": None},
        {"threshold": 7},
        {"threshold": 0.0},
        {"gsd": "half"},
        {"gsd": -1.0},
        *({"config": CONFIG | {"embed_dim": value}} for value in (-48, 0, 50, "wide")),
        *({"config": CONFIG | {"depth": value}} for value in (0, "many", 10**9)),
        *({"config": CONFIG | {"grid": value}} for value in ([16], "ab", [10**6, 10**6])),
        *({"config": CONFIG | {name: 0}} for name in ("num_heads", "injector_heads", "decay")),
        {"config": CONFIG | {"detail_dims": [8]}},
        {"config": CONFIG | {"detail": "magic"}},
        {"config": CONFIG | {"colour": 3}},
    ],
)
def test_weights_whose_description_does_not_fit(tmp_path, state, changes):
    save(tmp_path / "a.safetensors", state, FACTS | changes, torch.float32)
    refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize(
    "content",
    [b"", bytes(5000), b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\noid 0\n"],
)
def test_files_that_are_not_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert name in refused(tmp_path / name)


def test_weights_that_lack_a_part_or_hold_no_number(tmp_path, state):
    key = next(iter(state))
    lacking = {name: value for name, value in state.items() if name != key}
    save(tmp_path / "lacking.safetensors", lacking, FACTS, torch.float32)
    assert "1 missing" in refused(tmp_path / "lacking.safetensors")
    broken = state | {key: torch.full_like(state[key], torch.nan)}
    save_file(broken, tmp_path / "nan.safetensors", {"vitrail": json.dumps(FACTS)})
    assert "NaN" in refused(tmp_path / "nan.safetensors")


def test_code_in_a_release_does_not_run(tmp_path, state):
    canary, path = tmp_path / "canary", tmp_path / "best_model.pth"

    class Evil:
        def __reduce__(self):
            return canary.touch, ()

    for content in ({"state_dict": Evil()}, {"state_dict": state, "optimizer": Evil()}):
        torch.save(content, path)
        assert "code" in refused(path)
        assert not canary.exists()
