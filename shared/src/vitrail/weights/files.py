"""Tensors in files: the one audited module that may unpickle."""

import json
import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vitrail.errors import InputError, plain
from vitrail.output import atomic_file
from vitrail.sources import require_file, sha256
from vitrail.weights.header import METADATA_KEY, is_safetensors, read_metadata

WRAPPERS = ("state_dict", "model")  # under which training code keeps the tensors
TIED = 4  # times the file's size: more values than that are no honest sharing of tensors
BLOCK = 1 << 24  # elements looked at together: a check needs no second copy of a large tensor


def read_state(
    path: Path | str, *, allowed: Sequence[type] = ()
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weight file and the metadata that ``save`` wrote (empty for files of
    others), as ``open_state`` and ``check_values`` give them."""
    state = open_state(path, allowed=allowed)
    check_values(path, state)
    return state, read_metadata(Path(path))


def open_state(path: Path | str, *, allowed: Sequence[type] = ()) -> dict[str, Tensor]:
    """The tensors of a weight file, mapped into memory, their values not looked at yet: names and
    shapes cost little.

    Takes safetensors and PyTorch's zip checkpoints; a dict under ``state_dict`` or ``model`` is
    unwrapped. Nothing in the file is ever executed; beside tensors and plain values a checkpoint
    may hold objects of the classes ``allowed``, which must be harmless to build. Raises InputError
    for a file that is no checkpoint, or much larger inside than outside.
    """
    path = require_file(Path(path))
    with _plain_errors(path), torch.serialization.safe_globals(list(allowed)):
        state = _read_safetensors(path) if is_safetensors(path) else _read_checkpoint(path)
        _refuse_shared_values(path, state)
    return state


def check_values(path: Path | str, state: Mapping[str, Tensor]) -> None:
    """InputError where a checksum of the file differs, or where one of these of its tensors holds
    NaN or infinity."""
    path = Path(path)
    with _plain_errors(path):
        if not is_safetensors(path):
            _refuse_damage(path)
        for name, tensor in state.items():
            if not _is_finite(tensor):
                problem = f"holds NaN or infinity in {name}"
                raise InputError(path, problem, "use another checkpoint of this training")


def read_checkpoint(path: Path | str, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A trainer's checkpoint: the tensors under ``key``, and all else that it holds, plain values
    and numpy's numbers.

    As in ``read_state`` nothing is executed. Raises InputError for a file that is damaged, no
    checkpoint, or holds other objects, no tensors under ``key``, NaN or infinity.
    """
    path = require_file(Path(path))
    with _plain_errors(path), torch.serialization.safe_globals(_numpy_numbers()):
        content = _load_zip(path)
        state = content.pop(key, None) if isinstance(content, dict) else None
        if not (isinstance(state, dict) and state and all(map(_is_plain, state.items()))):
            raise InputError(
                path, f"holds no tensors under {key}", "give the trainer's own checkpoint"
            )
        _refuse_shared_values(path, state)
    check_values(path, state)
    return dict(state), content


def read_known(path: Path | str, digest: str) -> dict[str, Tensor]:
    """The tensors of a file of the format before PyTorch 1.6, a bare pickle, whose SHA-256 is known
    to be ``digest``.

    Raises InputError for any other file.
    """
    path = require_file(Path(path))
    if sha256(path) != digest:
        raise InputError(path, "is not the file that was released", "install or download it again")
    with _plain_errors(path):
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not all(map(_is_plain, content.items())):
            raise InputError(path, "holds no state dict of tensors")
    return dict(content)


def load_into(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    subject: object = "weights",
    assign: bool = False,
) -> None:
    """Loads every tensor, strictly; ``assign`` takes the tensors themselves in place of copies.

    Raises InputError with the first three names and the count of what is missing, unexpected or of
    another shape.
    """
    own = module.state_dict()
    troubles = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            name for name in own if name in state and own[name].shape != state[name].shape
        ],
    }
    if any(troubles.values()):
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in troubles.items() if names)
        names = ", ".join(name for names in troubles.values() for name in names[:3])
        raise InputError(subject, f"does not fit this network: {counts}", names)
    module.load_state_dict(state, assign=assign)
    if assign:
        module.float()


def save(
    path: Path,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Writes safetensors with ``metadata`` as JSON, floating-point tensors as ``dtype``; whole or
    not at all.

    Raises InputError where a value is not finite as ``dtype``, and where the file cannot be
    written.
    """
    tensors = {}
    for name, tensor in state.items():
        kept = tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        if not _is_finite(kept):
            raise InputError(path, f"NaN or infinity in {name} as {dtype}", "it was not written")
        tensors[name] = kept.clone(
            memory_format=torch.contiguous_format
        )  # safetensors refuses shared memory
    with atomic_file(path) as temporary:
        try:
            save_file(tensors, temporary, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)


def _refuse_shared_values(path: Path, state: Mapping[str, Tensor]) -> None:
    values = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if values > TIED * path.stat().st_size:
        raise InputError(path, "claims more values than it stores", "do not trust this file")


def _load_zip(path: Path) -> Any:
    _refuse_what_is_no_zip(path)
    _refuse_bombs(path)
    return torch.load(path, map_location="cpu", mmap=True, weights_only=True)


def _numpy_numbers() -> list[Any]:
    """What numpy's numbers and arrays are rebuilt with, under their names of before and since numpy
    2."""
    makers = {name: getattr(multiarray, name) for name in ("scalar", "_reconstruct")}
    named = [
        (maker, f"numpy.{core}.multiarray.{name}")
        for name, maker in makers.items()
        for core in ("core", "_core")
    ]
    kinds = {
        type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"
    }
    return [*named, np.ndarray, np.dtype, *kinds]


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    content = _load_zip(path)
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not (isinstance(content, dict) and content and all(map(_is_plain, content.items()))):
        raise InputError(
            path, "holds no state dict of tensors", "save model.state_dict() and give that file"
        )
    return dict(content)


def _is_plain(entry: tuple[Any, Any]) -> bool:
    name, tensor = entry
    dense = (
        isinstance(tensor, Tensor)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
    )
    return isinstance(name, str) and dense


def _refuse_what_is_no_zip(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(200)
    if start.startswith(b"PK\x03\x04"):
        if path.suffix == ".safetensors":  # torch.load goes by this suffix
            raise InputError(
                path, "is a PyTorch checkpoint under another format's name", "rename it to .pth"
            )
        return
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            path, "is a git-lfs pointer, not the file itself", "fetch it with 'git lfs pull'"
        )
    if (
        start.lstrip(b"\xef\xbb\xbf \t\r\n")
        .lower()
        .startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))
    ):
        raise InputError(path, "is a web page, not weights", "download the file itself")
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise InputError(path, "is a bare pickle, which can run code", "save it as safetensors")
    raise InputError(path, "is no weight file", "give safetensors or a PyTorch checkpoint")


def _refuse_bombs(path: Path) -> None:
    """torch.save stores each part as it is, so the whole is never smaller than its parts."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise InputError(
                path, "is compressed, which torch.save never does", "save it again with torch.save"
            )
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise InputError(path, "would unpack to more than it holds", "do not trust this file")


def _refuse_damage(path: Path) -> None:
    """torch.save stores each part with its checksum."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise InputError(path, "is damaged (a checksum differs)", "download or save it again")


def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    blocks = tensor.reshape(-1).split(BLOCK)
    # NaN is the smallest and the largest of what it is among; far quicker than asking each value.
    return all(math.isfinite(end) for block in blocks for end in torch.aminmax(block))


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Whatever a reader says of a damaged file becomes one sentence, without its advice to lower
    the guard."""
    with plain(path, "is damaged", "download or save it again"):
        try:
            yield
        except pickle.UnpicklingError:
            if zipfile.is_zipfile(path):
                _refuse_damage(path)
            problem = "holds more than tensors, and such a pickle can run code"
            raise InputError(path, problem, "save it as safetensors") from None
