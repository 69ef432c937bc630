"""The bridge to the official releases: option names, key names, constants.

Our modules bear the official names. What an official file has besides is dropped by name: prefixes
of wrappers, and the copies that xLSTM-UNet's decoder and its convolution blocks make of tensors
that stand elsewhere.
"""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from medical_segment.models import build_model
from medical_segment.plan import CONVENTIONS, Plan
from medical_segment.preprocess import place
from vitrail.errors import InputError, UsageError

SEGFORMER_OPTIONS = {
    "in_channels": "in_channels",
    "num_classes": "num_classes",
    "embed_dims": "embed_dims",
    "num_heads": "num_heads",
    "depths": "depths",
    "sr_ratios": "sr_ratios",
    "mlp_ratios": "mlp_ratios",
    "patch_kernel_size": "patch_kernel",
    "patch_stride": "patch_stride",
    "decoder_head_embedding_dim": "decoder_dim",
    "decoder_dropout": "decoder_dropout",
}
XLSTM_OPTIONS = {
    "variant": "variant",
    "dims": "dims",
    "input_channels": "in_channels",
    "num_classes": "num_classes",
    "features_per_stage": "features",
    "strides": "strides",
    "kernel_sizes": "kernels",
    "n_conv_per_stage_encoder": "encoder_convs",
    "n_conv_per_stage_decoder": "decoder_convs",
    "patch_size": "patch_size",
    "input_size": "patch_size",
}
FIXED = {  # options that are the same in all released networks
    "conv_bias": True,
    "norm": "InstanceNorm(eps 1e-5, affine)",
    "nonlin": "LeakyReLU(0.01)",
}
WRAPPERS = ("module.", "_orig_mod.")
COPIES = re.compile(r"(^decoder\.encoder\.|\.all_modules\.)")
# The published BraTS file dates from the code that divided attention by the root of the number of
# heads.
RELEASED_SCALE = "num_heads"
BRATS = Plan(  # what the published BraTS file was trained on: axes superior, anterior, right
    channels=("FLAIR", "T1w", "T1gd", "T2w"),
    labels=tuple(CONVENTIONS["decathlon"].regions),
    patch=(128, 128, 128),
    orientation="SAR",
    normalisation="minmax-slice",
    activation="sigmoid",
    values=CONVENTIONS["decathlon"].values,
    order=CONVENTIONS["decathlon"].order,
)
BRATS_CROP = (
    slice(13, 141),
    slice(56, 184),
    slice(56, 184),
)  # along BRATS' axes, whatever lies there


def build(config: Mapping, attn_scale: str = RELEASED_SCALE) -> nn.Module:
    """SegFormer3D or xLSTM-UNet from the official option names; ``attn_scale`` is SegFormer3D's
    alone.

    Raises UsageError for an option that no released network has.
    """
    if "embed_dims" in config:
        return build_model("segformer3d", _segformer_options(config) | {"attn_scale": attn_scale})
    return build_model("xlstm-unet", _renamed(config, XLSTM_OPTIONS))


def _segformer_options(config: Mapping) -> dict:
    options = dict(config)
    for kernel, padding in zip(
        options["patch_kernel_size"], options.pop("patch_padding"), strict=True
    ):
        halves = [k // 2 for k in kernel] if isinstance(kernel, list | tuple) else kernel // 2
        if halves != padding:
            raise UsageError(
                "segformer3d",
                f"patch_padding {padding} is not half of {kernel}",
                "no release has that",
            )
    return _renamed(options, SEGFORMER_OPTIONS)


def _renamed(config: Mapping, names: Mapping[str, str]) -> dict:
    for option, value in config.items():
        if option not in names and FIXED.get(option) != value:
            raise UsageError(
                "official configuration", f"the option {option}: {value} is in no released network"
            )
    return {names[option]: value for option, value in config.items() if option in names}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an official file under their own names, without wrappers' prefixes and without
    copies.

    Raises InputError where a copy differs from what it is a copy of: then the file is not what it
    seems.
    """
    stripped = {_strip(key): value for key, value in state.items()}
    # A copy that differs would be dropped unseen, so each is compared first.
    kept = {key: value for key, value in stripped.items() if not COPIES.search(key)}
    for key, value in stripped.items():
        original = canonical(key)
        if original != key and not (original in kept and _same(kept[original], value)):
            raise InputError(
                "checkpoint",
                f"{key} is not a copy of {original}",
                "the file is damaged or another network",
            )
    return kept


def canonical(key: str) -> str:
    """The name of the tensor that ``key`` is, or is a copy of."""
    key = key.removeprefix("decoder.") if key.startswith("decoder.encoder.") else key
    return key.replace(".all_modules.0.", ".conv.").replace(".all_modules.1.", ".norm.")


def with_copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``convert`` for xLSTM-UNet: with all copies, as the official code loads it."""
    full = dict(state)
    for key, value in state.items():
        for layer, index in ((".conv.", 0), (".norm.", 1)):
            if re.search(r"\.conv\d" + re.escape(layer), key):
                full[key.replace(layer, f".all_modules.{index}.")] = value
    return full | {
        f"decoder.{key}": value for key, value in full.items() if key.startswith("encoder.")
    }


def crop_brats(volume: np.ndarray) -> np.ndarray:
    """(C, 155, 240, 240) in ``BRATS``' order of axes -> the (C, 128, 128, 128) that the release
    looked at."""
    return volume[(slice(None), *BRATS_CROP)]


def brats_regions(label: np.ndarray, affine: np.ndarray, convention: str) -> np.ndarray:
    """A stored label map (240, 240, 155) -> the regions' masks (3, 128, 128, 128) that the release
    was trained on."""
    turned = crop_brats(place(label[None], affine, BRATS, labels=True))[0]
    regions = CONVENTIONS[convention].regions.values()
    return np.stack([np.isin(turned, numbers) for numbers in regions])


def _strip(key: str) -> str:
    while key.startswith(WRAPPERS):
        key = key.partition(".")[2]
    return key


def _same(one: Tensor, other: Tensor) -> bool:
    if one.is_meta or other.is_meta:
        return one.shape == other.shape
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)
