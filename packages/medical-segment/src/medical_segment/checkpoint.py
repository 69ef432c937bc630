"""Weights files of three kinds, told apart by what is in them: ours, SegFormer3D's, and
xLSTM-UNet's from nnU-Net. Ours tell all but their tensors without torch."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medical_segment.plan import Plan
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import read_metadata

if TYPE_CHECKING:
    from torch import Tensor

NNUNET_KEY = "network_weights"
HEAD_DIM = 32  # of every released SegFormer3D
SYNAPSE_PATCH = (64, 128, 128)
REMEDY = "use a file that 'vitrail train' wrote, or an official one"


@dataclass(frozen=True)
class Description:
    """What a weights file is: its architecture, the options of that, and the plan."""

    architecture: str
    config: Mapping[str, Any]
    plan: Plan


def describe(weights: Weights) -> Description:
    """From the metadata of a file of ours, from the tensors of others; InputError for any other
    file."""
    if "architecture" in weights.metadata:
        return _own(weights.path, weights.metadata)
    return read(weights.path)[0]


def read(path: Path) -> "tuple[Description, dict[str, Tensor]]":
    """What a weights file is, and its tensors by our names; InputError for any other file."""
    from medical_segment.official import convert
    from vitrail.weights.files import read_checkpoint, read_state

    # First, since such a file holds more than tensors and takes another reader.
    if _is_nnunet(path):
        from medical_segment.files.nnunet import read_plans

        state, facts = read_checkpoint(path, NNUNET_KEY)
        config, plan = read_plans(facts.get("init_args", {}), str(facts.get("trainer_name", "")))
        return Description("xlstm-unet", config, plan), convert(state)
    state, metadata = read_state(path)
    if "architecture" in metadata:
        return _own(path, metadata), state
    state = convert(state)
    if "segformer_encoder.embed_1.norm.weight" not in state:
        raise InputError(path, "holds no network of ours, SegFormer3D's or nnU-Net's", REMEDY)
    config = segformer_options(state)
    return Description("segformer3d", config, _segformer_plan(config)), state


def _own(path: Path, metadata: Mapping[str, Any]) -> Description:
    try:
        architecture, config, plan = metadata["architecture"], metadata["config"], metadata["plan"]
    except KeyError as error:
        raise InputError(path, f"its metadata lacks {error}", REMEDY) from error
    return Description(architecture, config, Plan.from_dict(plan, path))


def _is_nnunet(path: Path) -> bool:
    """By the name of the tensors' dict, which stands in the zip's pickle as it is; damaged files
    are none."""
    if read_metadata(path):
        return False
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            # torch.save packs nothing; what is packed may be a bomb.
            stored = [
                entry for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_STORED
            ]
            return any(
                NNUNET_KEY.encode() in archive.read(e)
                for e in stored
                if e.filename.endswith("data.pkl")
            )
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        return False


def segformer_options(state: "Mapping[str, Tensor]") -> dict[str, Any]:
    """The options of a SegFormer3D from its tensors' shapes; what they do not tell is as in all
    releases.

    InputError where a tensor is missing without which the sizes cannot be told.
    """
    from medical_segment.official import RELEASED_SCALE

    encoder, decoder = "segformer_encoder", "segformer_decoder"
    try:
        embeds = [state[f"{encoder}.embed_{n}.patch_embeddings.weight"] for n in range(1, 5)]
        dims = [len(weight) for weight in embeds]
        first = [f"{encoder}.tf_block{n}.0" for n in range(1, 5)]
        ratios = [
            state[f"{name}.mlp.fc1.weight"].shape[0] // dim
            for name, dim in zip(first, dims, strict=True)
        ]
        reduced = [state.get(f"{name}.attention.sr.weight") for name in first]
        classes = state[f"{decoder}.linear_pred.bias"]
        width = state[f"{decoder}.linear_pred.weight"].shape[1]
    except (KeyError, IndexError) as error:
        raise InputError(
            "checkpoint", f"is not a complete SegFormer3D: it lacks {error}", REMEDY
        ) from error
    return {
        "in_channels": embeds[0].shape[1],
        "num_classes": len(classes),
        "embed_dims": dims,
        "num_heads": [max(1, dim // HEAD_DIM) for dim in dims],
        "depths": [_depth(state, f"{encoder}.tf_block{n}.") for n in range(1, 5)],
        "sr_ratios": [1 if weight is None else weight.shape[-1] for weight in reduced],
        "mlp_ratios": ratios,
        "patch_kernel": [list(weight.shape[2:]) for weight in embeds],
        "patch_stride": [[4 if kernel >= 7 else 2 for kernel in embeds[0].shape[2:]], 2, 2, 2],
        "decoder_dim": width,
        "attn_scale": RELEASED_SCALE,
    }


def _depth(state: "Mapping[str, Tensor]", prefix: str) -> int:
    found = {
        int(match[1]) for key in state if (match := re.match(re.escape(prefix) + r"(\d+)\.", key))
    }
    return len(found)


def _segformer_plan(config: Mapping[str, Any]) -> Plan:
    """BraTS' own; of other networks, whose releases say nothing, classes by number on z-scored
    channels."""
    from medical_segment.official import BRATS

    channels, classes = config["in_channels"], config["num_classes"]
    if (channels, classes) == (len(BRATS.channels), len(BRATS.labels)):
        return BRATS
    names = tuple(f"channel {number}" for number in range(channels))
    labels = ("background", *(f"class {number}" for number in range(1, classes)))
    return Plan(names, labels, SYNAPSE_PATCH, orientation="SAR")
