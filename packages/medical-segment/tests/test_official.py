"""The bridge to the official releases: goldens, keys, copies, and checkpoints as their trainers
write them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medical_segment import checkpoint, official, parity
from medical_segment.networks import load_network
from medical_segment.plan import CONVENTIONS
from vitrail.errors import InputError, UsageError
from vitrail.testing.beside import PARITY, needs

from .fakes import MEDICAL

FULL = os.environ.get("VITRAIL_FULL_PARITY")
SEGFORMER = {
    "in_channels": 4,
    "num_classes": 3,
    "embed_dims": [32, 64, 160, 256],
    "num_heads": [1, 2, 5, 8],
    "depths": [1, 1, 1, 1],
    "sr_ratios": [4, 2, 1, 1],
    "mlp_ratios": [1, 1, 1, 1],
    "patch_kernel_size": [7, 3, 3, 3],
    "patch_stride": [4, 2, 2, 2],
    "patch_padding": [3, 1, 1, 1],
    "decoder_head_embedding_dim": 16,
    "decoder_dropout": 0.0,
}


def failed(folder: Path, tmp_path: Path, leave_out: str) -> list[str]:
    """What fails of a pack; full-size networks only where the environment asks for them."""
    for path in folder.iterdir():
        if FULL or not path.name.startswith(leave_out):
            (tmp_path / path.name).symlink_to(path.resolve())
    comparisons = parity.check(tmp_path)
    assert len(comparisons) > 100
    return [str(comparison) for comparison in comparisons if not comparison.passed]


@needs(MEDICAL, PARITY)
@pytest.mark.parametrize("pack", ["segformer3d", "xlstm-unet"])
def test_parity_packs(pack, tmp_path):
    assert failed(PARITY / pack, tmp_path, "full_formula") == []


def test_an_unknown_golden_is_named(tmp_path):
    (tmp_path / "strange.json").write_text("{}")
    with pytest.raises(InputError, match="not a golden that we know"):
        parity.check(tmp_path)


def test_copies_are_written_and_dropped():
    model = official.build(plans_config())
    full = official.with_copies(model.state_dict())
    assert len(full) > 1.5 * len(model.state_dict())
    assert (
        official.convert({f"module.{key}": value for key, value in full.items()}).keys()
        == model.state_dict().keys()
    )
    key = next(key for key in full if "all_modules" in key)
    with pytest.raises(InputError, match="is not a copy of"):
        official.convert(full | {key: full[key] + 1})


def test_unknown_official_options_are_refused():
    with pytest.raises(UsageError, match="in no released network"):
        official.build(plans_config() | {"norm": "batch"})
    with pytest.raises(UsageError, match="is not half of"):
        official.build(SEGFORMER | {"patch_padding": [2, 1, 1, 1]})


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_the_released_segformer_loads_by_its_own_keys(suffix, tmp_path):
    torch.manual_seed(0)
    model = official.build(SEGFORMER).eval()
    path = tmp_path / f"pytorch_model.{suffix}"
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    network = load_network(str(path))
    volume = torch.randn(1, 4, 32, 32, 32)
    assert network.plan == official.BRATS and network.module.config.attn_scale == "num_heads"
    expected = model.state_dict()
    for key, value in network.module.state_dict().items():
        assert torch.equal(value, expected[key])
    # Tensors in a mapped file lie elsewhere in memory, which changes the order of summation.
    assert torch.allclose(network.module(volume), model(volume), atol=1e-5)


def test_a_segformer_that_lacks_a_tensor_is_named(tmp_path):
    state = official.build(SEGFORMER).state_dict()
    del state["segformer_decoder.linear_c4.proj.bias"]
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match=r"1 missing.*linear_c4"):
        _ = load_network(str(tmp_path / "cut.safetensors")).module
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no network of ours"):
        load_network(str(tmp_path / "other.safetensors"))


def plans_config() -> dict:
    return {
        "variant": "bot",
        "dims": 3,
        "input_channels": 1,
        "num_classes": 3,
        "features_per_stage": [4, 8, 8],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
    }


def nnunet_checkpoint() -> dict:
    """As nnU-Net's trainer writes it: numpy's numbers in the log, the plans in ``init_args``,
    copies of tensors."""
    torch.manual_seed(0)
    model = official.build(plans_config())
    base = {
        "patch_size": [8, 16, 16],
        "spacing": [2.0, 1.0, np.float64(1.0)],
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "pool_op_kernel_sizes": plans_config()["strides"],
        "conv_kernel_sizes": plans_config()["kernel_sizes"],
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
    }
    properties = {
        "percentile_00_5": -900.0,
        "percentile_99_5": 300.0,
        "mean": np.float32(10),
        "std": 100.0,
    }
    plans = {
        "configurations": {"base": base, "3d_fullres": {"inherits_from": "base"}},
        "foreground_intensity_properties_per_channel": {"0": properties},
    }
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}
    return {
        "network_weights": {
            f"_orig_mod.{key}": v for key, v in official.with_copies(model.state_dict()).items()
        },
        "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.6)], "epochs": np.arange(3)},
        "_best_ema": np.float64(0.6),
        "current_epoch": 3,
        "init_args": {
            "plans": plans,
            "configuration": "3d_fullres",
            "dataset_json": dataset,
            "fold": 0,
        },
        "trainer_name": "nnUNetTrainerUxLSTMBot",
    }


def test_nnunets_checkpoint_tells_the_network_and_the_plan(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save(nnunet_checkpoint(), path)
    network = load_network(str(path))
    assert network.plan.labels == ("background", "liver", "spleen")
    assert network.plan.normalisation == "ct" and network.plan.intensity == (-900, 300, 10, 100)
    assert network.plan.spacing == (2, 1, 1) and network.plan.patch == (8, 16, 16)
    logits = network.module(volume := torch.randn(1, 1, 8, 16, 16))
    torch.manual_seed(0)  # as the checkpoint's network was made
    assert torch.equal(logits, official.build(plans_config()).eval()(volume))


class Canary:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_nnunets_checkpoint_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save(nnunet_checkpoint() | {"logging": Canary(canary)}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="can run code"):
        load_network(str(tmp_path / "bad.pth"))
    assert not canary.exists()


@pytest.mark.parametrize("lost", ["init_args", "network_weights"])
def test_an_incomplete_nnunet_checkpoint_is_named(lost, tmp_path):
    content = nnunet_checkpoint()
    content[lost] = {}
    torch.save(content, tmp_path / "cut.pth")
    with pytest.raises(InputError, match=r"plans|no tensors"):
        load_network(str(tmp_path / "cut.pth"))


def test_regions_by_name():
    label = np.zeros((240, 240, 155), np.uint8)
    label[120, 120, 80], label[121, 120, 80], label[122, 120, 80] = 1, 2, 4
    counts = official.brats_regions(label, np.eye(4), "brats").sum((1, 2, 3)).tolist()
    assert counts == [2, 3, 1]
    assert {tuple(c.regions) for c in CONVENTIONS.values()} == {("TC", "WT", "ET")}


def test_sizes_are_read_from_the_shapes():
    state = official.build(SEGFORMER).state_dict()
    found = checkpoint.segformer_options(state)
    assert (
        found["depths"] == [1, 1, 1, 1]
        and found["sr_ratios"] == [4, 2, 1, 1]
        and found["decoder_dim"] == 16
    )
