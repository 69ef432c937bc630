"""Names and constants of the iColoriT release: its options in ours, its checkpoints' keys."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from image_colorize.model import Config, IColoriT, build_model, relative_index
from vitrail.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "attn.relative_position_index"
RELEASED = {  # models by their names in the release
    "icolorit_tiny_4ch_patch16_224": Config(),
    "icolorit_small_4ch_patch16_224": Config(embed_dim=384, num_heads=6),
    "icolorit_base_4ch_patch16_224": Config(embed_dim=768, num_heads=12),
    "icolorit_tiny_4ch_patch8_224": Config(patch_size=8),
}
HEAD_DIM = 64  # of every released model
REMEDY = "give the release's own file, or one that 'vitrail train' wrote"


def options_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The release's options as ours."""
    return asdict(
        Config(
            image_size=config["img_size"],
            patch_size=config["patch_size"],
            embed_dim=config["embed_dim"],
            depth=config["depth"],
            num_heads=config["num_heads"],
            mlp_ratio=config["mlp_ratio"],
            rel_pos=config["use_rpb"],
            head=config["head_mode"],
            centre_mask=config["mask_cent"],
            average_hints=config["avg_hint"],
        )
    )


def build(config: Mapping[str, Any]) -> IColoriT:
    """The network for the release's options."""
    return build_model(options_of(config))


def convert(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The release's state under our names: the index buffers, which follow from the grid, are
    checked and dropped.

    InputError where one holds another index than the architecture has.
    """
    import torch

    kept = {}
    for key, value in state.items():
        if not key.endswith(INDEX):
            kept[key] = value
            continue
        grid = round(value.shape[0] ** 0.5)
        if not torch.equal(value, relative_index(grid)):
            raise InputError(key, "is another index of relative positions than the paper's", REMEDY)
    return kept


def guess(state: "Mapping[str, Tensor]") -> dict[str, Any]:
    """Our options from the shapes in a release's state; what they do not tell is as in every
    released model.

    InputError where a tensor is missing without which nothing can be told.
    """
    try:
        dim, _, patch, _ = state["patch_embed.proj.weight"].shape
        table = state.get("blocks.0.attn.rpb_table")
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise InputError("checkpoint", f"is not an iColoriT: it lacks {error}", REMEDY) from error
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    head = "linear"
    if "head.head.weight" in state:
        head = "cnn"
    elif "head.qkv.weight" in state:
        head = "locattn"
    grid = 14 if table is None else (round(table.shape[0] ** 0.5) + 1) // 2
    return asdict(
        Config(
            image_size=grid * patch,
            patch_size=patch,
            embed_dim=dim,
            depth=depth,
            num_heads=dim // HEAD_DIM if table is None else table.shape[1],
            mlp_ratio=hidden / dim,
            rel_pos=table is not None,
            head=head,
        )
    )
