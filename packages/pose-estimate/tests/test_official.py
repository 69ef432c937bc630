"""The releases: ViTPose and ViTPose++ by their own keys and as transformers stores them."""

import pytest
import torch

from pose_estimate import official, parity
from pose_estimate.checkpoint import read_checkpoint
from pose_estimate.models import build_model
from vitrail.errors import InputError, UsageError
from vitrail.testing.beside import PARITY, needs
from vitrail.weights.files import load_into, save

GOLDENS = PARITY / "pose"
CONFIG = {
    "img_size": [128, 96],
    "embed_dim": 64,
    "depth": 2,
    "num_heads": 1,
    "mlp_ratio": 2,
    "head": "classic",
    "head_filters": 256,
    "num_keypoints": 17,
}


@needs(GOLDENS)
def test_every_golden():
    failed = [str(one) for one in parity.check(GOLDENS) if not one.passed]
    assert not failed


def network(seed=0, **options):
    torch.manual_seed(seed)
    return official.build(CONFIG | options).eval().requires_grad_(False)


def official_keys(model) -> dict:
    """A network's tensors as the release names them."""
    return {
        key.replace("decoder.", "keypoint_head.")
        if key.startswith("decoder.")
        else f"backbone.{'last_' if key.startswith('norm.') else ''}{key}": value
        for key, value in model.state_dict().items()
    }


@pytest.mark.parametrize("head", ["classic", "simple"])
def test_a_release_is_told_by_its_shapes_and_gives_its_answers(tmp_path, head):
    model = network(head=head)
    torch.save({"state_dict": official_keys(model)}, tmp_path / "vitpose.pth")
    checkpoint = read_checkpoint(tmp_path / "vitpose.pth")
    assert checkpoint.config["decoder"] == head and checkpoint.dataset is None
    crop = torch.randn(1, 3, 128, 96)
    torch.testing.assert_close(checkpoint.build()(crop).heatmaps, model(crop).heatmaps)


def port(**options):
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    simple = options.pop("simple", True)
    backbone = VitPoseBackboneConfig(
        image_size=[128, 96],
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        mlp_ratio=2,
        **options,
    )
    torch.manual_seed(0)
    config = VitPoseConfig(backbone_config=backbone, use_simple_decoder=simple, num_labels=17)
    return VitPoseForPoseEstimation(config).eval().requires_grad_(False)


@pytest.mark.parametrize("simple", [True, False])
def test_the_port_of_transformers_gives_its_own_answers(tmp_path, simple):
    model = port(simple=simple)
    model.save_pretrained(tmp_path)
    ours = read_checkpoint(tmp_path / "model.safetensors").build()
    crop = torch.randn(2, 3, 128, 96)
    torch.testing.assert_close(ours(crop).heatmaps, model(crop).heatmaps, rtol=1e-4, atol=1e-5)


def test_an_expert_of_the_port_is_merged(tmp_path):
    model = port(num_experts=6, part_features=16)
    model.save_pretrained(tmp_path)
    crop = torch.randn(1, 3, 128, 96)
    for number, dataset in enumerate(official.DATASETS):
        ours = read_checkpoint(tmp_path / "model.safetensors", dataset)
        assert ours.dataset == dataset
        expected = model(crop, dataset_index=torch.tensor([number])).heatmaps
        torch.testing.assert_close(ours.build()(crop).heatmaps, expected, rtol=1e-4, atol=1e-5)


def plus(model, heads=2):
    """A ViTPose++ file around a plain network: three experts, and heads of 14 joints and on."""
    state = official_keys(model)
    for key in [key for key in state if ".mlp.fc2." in key]:
        whole = state[key]
        state[key], rest = whole[:48], whole[48:]
        for number in range(3):
            name = key.replace("fc2", f"experts.{number}")
            state[name] = rest * (number + 1)
    for number in range(heads):
        own = {k: v for k, v in state.items() if k.startswith("keypoint_head.")}
        for key, value in own.items():
            name = key.replace("keypoint_head", f"associate_keypoint_heads.{number}")
            state[name] = value[: 14 - number] if "final_layer" in key else value
    return state


def test_each_expert_of_a_release_comes_with_its_head():
    model = network()
    state = plus(model)
    assert official.experts(state) == 3
    merged = [official.convert(state, number) for number in range(3)]
    assert [official.read_config(one)["num_joints"] for one in merged] == [17, 14, 13]
    crop = torch.randn(1, 3, 128, 96)
    first = build_model("evitpose", official.read_config(merged[0])).eval()
    load_into(first, merged[0])
    torch.testing.assert_close(first(crop).heatmaps, model(crop).heatmaps)
    assert torch.equal(merged[1]["blocks.0.mlp.fc2.weight"][48:],
                       2 * model.state_dict()["blocks.0.mlp.fc2.weight"][48:])  # fmt: skip


def test_what_is_missing_is_named(tmp_path):
    state = official_keys(network())
    del state["backbone.blocks.1.norm2.bias"]
    state["backbone.extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(InputError, match=r"1 missing, 1 unexpected.*blocks\.1\.norm2\.bias"):
        read_checkpoint(tmp_path / "part.pth").build()


@pytest.mark.parametrize(
    "state",
    [{"fc.weight": torch.zeros(3, 3)}, {"backbone.pos_embed": torch.zeros(1, 3, 4)}],
)
def test_other_networks_are_refused(tmp_path, state):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError, match="holds no ViTPose"):
        read_checkpoint(tmp_path / "other.pth")


def test_an_expert_that_a_file_lacks_is_refused(tmp_path):
    torch.save(plus(network(), heads=0), tmp_path / "plus.pth")
    with pytest.raises(UsageError, match="no expert for this data set"):
        read_checkpoint(tmp_path / "plus.pth", "wholebody")
    torch.save(official_keys(network()), tmp_path / "plain.pth")
    with pytest.raises(UsageError, match="no expert"):
        read_checkpoint(tmp_path / "plain.pth", "coco")


def test_our_own_file_comes_back(tmp_path):
    options = {"img_size": (64, 48), "embed_dim": 16, "depth": 2, "num_heads": 2,
               "select_after": (1,), "decoder": "simple"}  # fmt: skip
    model = build_model("evitpose", options).eval().requires_grad_(False)
    metadata = {"architecture": "evitpose", "config": options}
    save(tmp_path / "own.safetensors", model.state_dict(), metadata, torch.float32)
    crop = torch.randn(1, 3, 64, 48)
    own = read_checkpoint(tmp_path / "own.safetensors").build()
    assert torch.equal(own(crop).heatmaps, model(crop).heatmaps)
