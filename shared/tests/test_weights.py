"""Weight files: good ones, foreign ones, damaged ones and hostile ones."""

import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vitrail.errors import InputError
from vitrail.sources import sha256
from vitrail.weights import files
from vitrail.weights.files import (
    check_values,
    load_into,
    open_state,
    read_checkpoint,
    read_known,
    read_state,
    save,
)
from vitrail.weights.header import read_metadata

MUTANTS = 200
METADATA = {"system": "toy", "architecture": "two-layers", "config": {"width": 4}}


class Canary:
    """A pickle of it touches a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def network(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def checkpoint(path: Path, content: object = None) -> Path:
    torch.save(network().state_dict() if content is None else content, path)
    return path


def refused(path: Path, *words: str) -> str:
    """The one line that ``read_state`` refuses ``path`` with."""
    with pytest.raises(InputError) as caught:
        read_state(path)
    line = str(caught.value)
    assert all(word in line for word in words), line
    assert "\n" not in line and len(line) <= 200
    assert "weights_only" not in line and "allowlist" not in line and "safe_globals" not in line
    return line


def rezipped(source: Path, target: Path, compression: int) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return target


# Good files


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_what_was_saved_comes_back(tmp_path, dtype):
    path, state = tmp_path / "toy.safetensors", network().state_dict()
    save(path, state, METADATA, dtype)
    back, metadata = read_state(path)
    assert metadata == METADATA == read_metadata(path)
    assert list(tmp_path.iterdir()) == [path]
    for name, tensor in state.items():
        assert back[name].dtype == (dtype if tensor.is_floating_point() else tensor.dtype)
        torch.testing.assert_close(back[name].to(tensor.dtype), tensor, rtol=1e-3, atol=1e-4)


def test_shared_tensors_can_be_saved(tmp_path):
    weight = torch.ones(2, 2)
    save(
        tmp_path / "tied.safetensors", {"a": weight, "b": weight, "c": weight.T}, {}, torch.float32
    )
    assert set(read_state(tmp_path / "tied.safetensors")[0]) == {"a", "b", "c"}


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_checkpoint_of_pytorch_is_read(tmp_path, wrapper):
    state = network().state_dict()
    content = state if wrapper is None else {wrapper: state, "epoch": 7, "meta": {"words": ["x"]}}
    back, metadata = read_state(checkpoint(tmp_path / "official.pth", content))
    assert metadata == {}
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_a_trainers_checkpoint_is_read_with_numpys_numbers(tmp_path):
    path, log = (
        tmp_path / "trainer.pth",
        {"dice": [np.float64(0.5), np.float32(0.25)], "epochs": np.arange(3)},
    )
    torch.save({"network_weights": network().state_dict(), "log": log, "epoch": np.int64(3)}, path)
    state, rest = read_checkpoint(path, "network_weights")
    assert state.keys() == network().state_dict().keys()
    assert (
        rest["epoch"] == 3
        and rest["log"]["dice"] == [0.5, 0.25]
        and rest["log"]["epochs"].tolist() == [0, 1, 2]
    )
    with pytest.raises(InputError, match="no tensors under weights"):
        read_checkpoint(path, "weights")


def test_code_beside_a_trainers_tensors_does_not_run(tmp_path):
    path, canary = tmp_path / "trainer.pth", tmp_path / "canary"
    torch.save({"network_weights": network().state_dict(), "log": Canary(canary)}, path)
    with pytest.raises(InputError, match="can run code"):
        read_checkpoint(path, "network_weights")
    assert not canary.exists()


def test_a_name_does_not_decide_the_format(tmp_path):
    save(tmp_path / "weights.pth", network().state_dict(), METADATA)
    assert read_state(tmp_path / "weights.pth")[1] == METADATA
    assert read_state(checkpoint(tmp_path / "weights"))[0]
    refused(checkpoint(tmp_path / "weights.safetensors"), "rename it to .pth")


@pytest.mark.parametrize("assign", [False, True])
def test_weights_go_into_a_network(tmp_path, assign):
    save(tmp_path / "toy.safetensors", network().state_dict(), METADATA)
    with torch.device("meta" if assign else "cpu"):
        module = network()
    load_into(module, read_state(tmp_path / "toy.safetensors")[0], assign=assign)
    x = torch.randn(5, 3)
    torch.testing.assert_close(module.eval()(x), network().eval()(x), rtol=1e-2, atol=1e-3)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


# Files that do not fit


def test_keys_that_do_not_fit_are_counted_and_named():
    state = network().state_dict()
    del state["0.weight"], state["0.bias"]
    state |= {f"extra.{n}": torch.zeros(1) for n in range(5)} | {"2.weight": torch.zeros(2, 9)}
    with pytest.raises(InputError) as caught:
        load_into(network(), state, subject="toy.pth")
    assert (
        caught.value.problem
        == "does not fit this network: 2 missing, 5 unexpected, 1 of another shape"
    )
    assert caught.value.remedy == "0.weight, 0.bias, extra.0, extra.1, extra.2, 2.weight"
    assert str(caught.value).startswith("toy.pth: does not fit this network: 2 missing, 5")


def test_nothing_is_loaded_where_one_key_does_not_fit():
    module, state = (
        network(),
        {name: torch.zeros_like(tensor) for name, tensor in network().state_dict().items()},
    )
    del state["2.bias"]
    with pytest.raises(InputError):
        load_into(module, state)
    assert module[0].weight.abs().sum() > 0


# Files that are no weights


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"x", "is no weight file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (b"\xef\xbb\xbf\n <HTML>", "is a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            "is a git-lfs pointer",
        ),
        (b"PK\x03\x04" + bytes(50), "is damaged"),
        (b"\x05\0\0\0\0\0\0\0{\"a\":", "is damaged"),
        (struct.pack("<Q", 1 << 62) + b"{}", "is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_weight_file_is_told(tmp_path, content, words):
    (tmp_path / "w.pth").write_bytes(content)
    refused(tmp_path / "w.pth", words)


def test_places_that_hold_no_file_are_told(tmp_path):
    refused(tmp_path, "is a folder")
    refused(tmp_path / "gone.pth", "does not exist")
    refused(tmp_path / ("x" * 5000), "cannot be read")


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"epoch": 3}, {"a": torch.ones(1), "b": "text"}, {1: torch.ones(1)}]
)
def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path, content):
    refused(checkpoint(tmp_path / "w.pth", content), "holds no state dict")


@pytest.mark.parametrize("tensor", [torch.eye(3).to_sparse(), torch.empty(3, device="meta")])
def test_tensors_that_are_not_plain_are_refused(tmp_path, tensor):
    refused(checkpoint(tmp_path / "w.pth", {"a": tensor}), "holds no state dict")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), complex(0, float("nan"))]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_that_are_not_finite_are_refused(tmp_path, value, suffix):
    state = {"good": torch.ones(3), "bad": torch.tensor([0.0, value, 1.0])}
    path = tmp_path / f"w{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    refused(path, "NaN or infinity in bad")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("at", [0, 5, 8, 15])
def test_a_value_that_is_not_finite_is_found_anywhere(tmp_path, monkeypatch, dtype, at):
    monkeypatch.setattr(files, "BLOCK", 8)
    values = torch.full((16,), -3.0, dtype=dtype)
    values[at] = float("nan")
    refused(checkpoint(tmp_path / "w.pth", {"a": values}), "NaN or infinity in a")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_names_and_shapes_are_told_without_looking_at_values(tmp_path, suffix):
    state = {"good": torch.ones(3), "bad": torch.tensor([float("nan")])}
    path = tmp_path / f"w{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    opened = open_state(path)
    assert {name: tuple(one.shape) for name, one in opened.items()} == {"good": (3,), "bad": (1,)}
    check_values(path, {"good": opened["good"]})
    with pytest.raises(InputError, match="NaN or infinity in bad"):
        check_values(path, opened)


def test_what_is_not_finite_is_not_saved(tmp_path):
    for value in (float("nan"), 1e5):  # float16 ends at 65504
        with pytest.raises(InputError, match="NaN or infinity in a as"):
            save(tmp_path / "w.safetensors", {"a": torch.tensor([value])}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", ["[]", "{", "null", "[" * 100_000])
def test_metadata_that_is_no_table_is_refused(tmp_path, metadata):
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", {"vitrail": metadata})
    refused(tmp_path / "w.safetensors")


# Hostile files


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_code_in_a_bare_pickle_does_not_run(tmp_path, protocol):
    (tmp_path / "w.pth").write_bytes(
        pickle.dumps({"state_dict": Canary(tmp_path / "canary")}, protocol)
    )
    refused(tmp_path / "w.pth", "can run code")
    assert not (tmp_path / "canary").exists()


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    path = checkpoint(tmp_path / "w.pth", {"a": torch.ones(1), "b": Canary(tmp_path / "canary")})
    refused(path, "can run code")
    assert not (tmp_path / "canary").exists()
    torch.load(path, weights_only=False)  # the canary is a working one
    assert (tmp_path / "canary").exists()


def test_a_known_file_of_the_old_format_is_read_and_no_other(tmp_path):
    state = {"a": torch.arange(4.0), "b": torch.tensor(3)}
    path = tmp_path / "old.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    read = read_known(path, sha256(path))
    assert read.keys() == state.keys() and all(torch.equal(read[key], state[key]) for key in state)
    with pytest.raises(InputError, match="is not the file that was released"):
        read_known(path, "0" * 64)


def test_a_known_file_that_holds_more_than_tensors_is_refused(tmp_path):
    path = tmp_path / "old.pth"
    touched = tmp_path / "touched"
    torch.save({"a": Canary(touched)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="can run code"):
        read_known(path, sha256(path))
    assert not touched.exists()


def test_a_decompression_bomb_is_refused_unopened(tmp_path):
    bomb = tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/0", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    assert bomb.stat().st_size < 400_000
    refused(bomb, "is compressed")


def test_a_compressed_checkpoint_is_refused(tmp_path):
    refused(
        rezipped(checkpoint(tmp_path / "w.pth"), tmp_path / "z.pth", zipfile.ZIP_DEFLATED),
        "is compressed",
    )


def test_a_directory_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    content = bytearray(checkpoint(tmp_path / "w.pth").read_bytes())
    entry = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 1 << 30)  # the uncompressed size
    (tmp_path / "w.pth").write_bytes(content)
    refused(tmp_path / "w.pth", "unpack to more")


def test_a_tensor_of_terabytes_in_a_small_file_is_refused(tmp_path):
    path = checkpoint(tmp_path / "w.pth", {"a": torch.zeros(1).expand(1_000_000, 1_000_000)})
    assert path.stat().st_size < 2000
    refused(path, "claims more values than it stores")


def test_many_views_of_one_storage_are_refused(tmp_path):
    storage = torch.zeros(250_000)
    refused(
        checkpoint(tmp_path / "w.pth", {f"w{n}": storage.view(-1) for n in range(200)}),
        "claims more values",
    )


# Damaged files


@pytest.fixture(scope="module")
def good_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    save(folder / "w.safetensors", network().state_dict(), METADATA)
    checkpoint(folder / "w.pth", OrderedDict(network().state_dict()))
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def mutant(content: bytes, random: random.Random) -> bytes:
    """``content`` with up to eight bytes changed, a stretch left out, or one put in."""
    damaged = bytearray(content)
    where = random.randrange(len(damaged))
    match random.randrange(3):
        case 0:
            for _ in range(random.randint(1, 8)):
                damaged[random.randrange(len(damaged))] = random.randrange(256)
        case 1:
            del damaged[where : where + random.randint(1, 64)]
        case 2:
            damaged[where:where] = random.randbytes(random.randint(1, 64))
    return bytes(damaged)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_mutants_are_refused_or_hold_finite_tensors(tmp_path, good_files, suffix, capfd):
    path, dice = tmp_path / f"w{suffix}", random.Random(13)
    lines = []
    for _ in range(MUTANTS):
        path.write_bytes(mutant(good_files[suffix], dice))
        try:
            state, metadata = read_state(path)
            assert isinstance(metadata, dict)
            assert all(tensor.isfinite().all() for tensor in state.values())
        except InputError as error:
            lines.append(str(error))
    assert len(lines) > MUTANTS / 2
    assert not any("weights_only" in line or "\n" in line for line in lines)
    assert capfd.readouterr() == ("", "")


def test_a_checkpoint_with_changed_values_is_refused(tmp_path, good_files):
    content = bytearray(good_files[".pth"])
    value = struct.pack("<f", network().state_dict()["0.bias"][1].item())
    content[content.index(value)] ^= 1
    (tmp_path / "w.pth").write_bytes(content)
    refused(tmp_path / "w.pth", "a checksum differs")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_files_are_refused(tmp_path, good_files, suffix):
    content = good_files[suffix]
    for tenth in range(1, 10):
        (tmp_path / "w").write_bytes(content[: len(content) * tenth // 10])
        refused(tmp_path / "w", "is damaged")
