"""nnU-Net's plans: what a network trained by its framework takes and gives, in our words."""

from collections.abc import Mapping, Sequence
from typing import Any

from medical_segment.files.layouts import COLOURS, class_names
from medical_segment.plan import Plan
from vitrail.errors import InputError

# nnU-Net reads scans with the axes (z, y, x) and does not turn them; most lie right, anterior,
# superior.
ORIENTATION = "SAR"
NORMALISATIONS = {
    "ZScoreNormalization": "zscore",
    "CTNormalization": "ct",
    "RescaleTo01Normalization": "minmax",
    "RGBTo01Normalization": "rgb",
    "NoNormalization": "none",
}


def read_plans(init: Mapping[str, Any], trainer: str) -> tuple[dict[str, Any], Plan]:
    """Options of ``xlstm-unet`` and the plan, from a checkpoint's ``init_args``; the trainer's name
    tells the variant.

    Raises InputError where they are incomplete or ask for what the network cannot do.
    """
    try:
        plans, dataset = init["plans"], init["dataset_json"]
        configuration = _configuration(plans["configurations"], init["configuration"])
        return _options(configuration, dataset, trainer), _plan(plans, configuration, dataset)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        problem = f"has no complete nnU-Net plans ({type(error).__name__}: {error})"
        raise InputError(
            "checkpoint", problem, "give the checkpoint of nnU-Net's trainer"
        ) from error


def _configuration(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits from others."""
    own = configurations[name]
    parent = own.get("inherits_from")
    return (_configuration(configurations, parent) if parent else {}) | own


def _options(
    configuration: Mapping[str, Any], dataset: Mapping[str, Any], trainer: str
) -> dict[str, Any]:
    dims, strides = len(configuration["patch_size"]), configuration["pool_op_kernel_sizes"]
    features, widest = (
        configuration["UNet_base_num_features"],
        configuration["unet_max_num_features"],
    )
    names, _, _, _ = class_names(dataset)
    return {
        "dims": dims,
        "variant": "enc" if "Enc" in trainer else "bot",
        "in_channels": len(dataset["channel_names"]),
        "num_classes": len(names),
        "features": [min(features * 2**stage, widest) for stage in range(len(strides))],
        "strides": strides,
        "kernels": configuration["conv_kernel_sizes"],
        "encoder_convs": configuration["n_conv_per_stage_encoder"],
        "decoder_convs": configuration["n_conv_per_stage_decoder"],
        "patch_size": list(configuration["patch_size"]),
    }


def _plan(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Plan:
    dims = len(configuration["patch_size"])
    names, regions, values, order = class_names(dataset)
    channels = tuple(
        dataset["channel_names"][key] for key in sorted(dataset["channel_names"], key=int)
    )
    normalisation, intensity = _normalisation(configuration, plans)
    return Plan(
        channels=channels if len(channels) != 3 or dims == 3 else COLOURS,
        labels=names,
        patch=tuple(int(side) for side in configuration["patch_size"]),
        dims=dims,
        orientation=ORIENTATION if dims == 3 else None,
        spacing=tuple(float(s) for s in configuration["spacing"]) if dims == 3 else None,
        normalisation=normalisation,
        intensity=intensity,
        activation="sigmoid" if regions else "softmax",
        values=values,
        order=order,
        instances=names == ("background", "interior", "boundary"),
    )


def _normalisation(
    configuration: Mapping[str, Any], plans: Mapping[str, Any]
) -> tuple[str, tuple | None]:
    schemes: Sequence[str] = configuration["normalization_schemes"]
    if len(set(schemes)) > 1:
        raise ValueError(f"channels are normalised differently: {', '.join(schemes)}")
    name = NORMALISATIONS[schemes[0]]
    # nnU-Net's mask is where the image is not zero.
    masked = any(configuration.get("use_mask_for_norm", [False]))
    if name == "zscore" and masked:
        return "zscore-nonzero", None
    if name != "ct":
        return name, None
    found = plans["foreground_intensity_properties_per_channel"]["0"]
    return name, tuple(
        float(found[key]) for key in ("percentile_00_5", "percentile_99_5", "mean", "std")
    )
