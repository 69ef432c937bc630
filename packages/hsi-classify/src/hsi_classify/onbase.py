"""Adapters in a file of their own, some hundred kB for each scene, that goes on top of a base."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hsi_classify import system
from vitrail.errors import InputError
from vitrail.sources import sha256
from vitrail.weights.files import read_state
from vitrail.weights.header import complete

DOWN, UP = "lora_A", "lora_B"  # peft's names of the two matrices of a low-rank adapter
BESIDE = "put the base beside it under that name"


def apart(network: nn.Module) -> dict[str, Tensor]:
    """What a network with a frozen part has learned: its trainable tensors, and the statistics of
    its norms. The matrices of peft's adapters stand under their layer's own name."""
    learning = {name for name, one in network.named_parameters() if one.requires_grad}
    running = ("running_mean", "running_var", "num_batches_tracked")
    return {
        key.replace(".base_layer", "").replace(".default.weight", ""): tensor
        for key, tensor in network.state_dict().items()
        if key in learning or key.endswith(running)
    }


def base_of(path: Path, strength: float) -> dict[str, Any]:
    """What an adapter's metadata say of the base that it goes on."""
    return {"file": path.name, "sha256": sha256(path), "strength": strength}


def on_base(path: Path, own: Mapping[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of the base, with those of an adapter's file at ``path`` in their place.

    Low-rank products are added to the weights that they stand beside; gated adapters stay layers of
    the network, as the gate forbids to add them. InputError where the base is not beside the file,
    or is another.
    """
    with complete(path, system.name):
        name, digest, strength = str(facts["file"]), facts["sha256"], float(facts["strength"])
        base = path.parent / Path(name).name
        if not base.is_file():
            raise InputError(path, f"goes on {name[:60]}, which is not there", BESIDE)
        if sha256(base) != digest:
            raise InputError(path, f"goes on another {name[:60]} than is there", BESIDE)
        state = dict(read_state(base)[0])
        for key, tensor in own.items():
            layer, _, kind = key.rpartition(".")
            if kind == DOWN:
                weight, up = f"{layer}.weight", own[f"{layer}.{UP}"]
                state[weight] = state[weight].float() + strength * up.float() @ tensor.float()
            elif kind != UP:
                state[key] = tensor
    return state
