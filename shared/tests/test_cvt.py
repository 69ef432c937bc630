"""CvT and ConvMixer: sizes, features, key names of every source, and the official goldens where
they are there."""

import os

import pytest
import torch

from vitrail.backbones import create_backbone
from vitrail.backbones import cvt_official as official
from vitrail.errors import InputError, UsageError
from vitrail.parity import check
from vitrail.testing.beside import PARITY, needs
from vitrail.weights.files import load_into

GOLDENS = PARITY / "cvt"
TINY = {"dims": (8, 16, 24), "num_heads": (1, 2, 3), "depths": (1, 1, 2)}


def tiny(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return create_backbone("cvt", **TINY, **options).eval()


@needs(GOLDENS)
def test_equals_the_official_networks():
    failed = [str(comparison) for comparison in check(GOLDENS) if not comparison.passed]
    assert not failed, failed


@pytest.mark.parametrize("size", [(64, 96), (61, 83), (32, 32)])
def test_maps_of_every_stage(size):
    backbone = tiny(features=True, in_chans=2)
    maps = backbone(torch.rand(2, 2, *size))
    assert [image.shape[1] for image in maps] == [8, 16, 24] == backbone.feature_info.channels()
    assert backbone.feature_info.reduction() == [4, 8, 16]
    sides = [[-(-side // step) for side in size] for step in (4, 8, 16)]
    assert all(
        abs(got - want) <= 1
        for image, side in zip(maps, sides, strict=True)
        for got, want in zip(image.shape[2:], side, strict=True)
    )


def test_chosen_maps_are_those_of_the_whole_network():
    image = torch.rand(1, 3, 48, 48)
    assert torch.equal(tiny(features=(2,))(image)[0], tiny(features=True)(image)[2])


@pytest.mark.parametrize("num_classes, width", [(0, 24), (5, 5)])
@pytest.mark.parametrize("class_token", [(False, False, True), (False, False, False)])
def test_a_batch_of_one_keeps_its_axis(num_classes, width, class_token):
    assert tiny(num_classes=num_classes, class_token=class_token)(
        torch.rand(1, 3, 40, 40)
    ).shape == (1, width)


@pytest.mark.parametrize("projection", ["dw_bn", "avg", "linear"])
def test_every_projection_runs_and_learns(projection):
    model = tiny(num_classes=3, projection=(projection,) * 3).train()
    model(torch.rand(2, 3, 37, 53)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_two_activations_differ_a_little():
    image = torch.rand(2, 3, 48, 48)
    quick, exact = tiny(num_classes=4), tiny(num_classes=4, activation="gelu")
    exact.load_state_dict(quick.state_dict())
    difference = (quick(image) - exact(image)).abs().max()
    assert 0 < difference < 0.1


_ATTENTION = "layers.9.attention.attention"
PORT_KEYS = {
    "cvt.encoder.stages.0.embedding.convolution_embeddings.projection.weight": (
        "stage0.patch_embed.proj.weight"
    ),
    "cvt.encoder.stages.2.cls_token": "stage2.cls_token",
    "encoder.stages.1.layers.3.layernorm_after.bias": "stage1.blocks.3.norm2.bias",
    f"module.cvt.encoder.stages.2.{_ATTENTION}.convolution_projection_query.convolution_projection"
    ".normalization.running_var": "stage2.blocks.9.attn.conv_proj_q.bn.running_var",
    "backbone.encoder.stages.0.layers.0.attention.attention.projection_value.bias": (
        "stage0.blocks.0.attn.proj_v.bias"
    ),
    "cvt.encoder.stages.0.layers.0.attention.output.dense.bias": "stage0.blocks.0.attn.proj.bias",
    "cvt.encoder.stages.0.layers.0.intermediate.dense.weight": "stage0.blocks.0.mlp.fc1.weight",
    "cvt.encoder.stages.0.layers.0.output.dense.weight": "stage0.blocks.0.mlp.fc2.weight",
    "layernorm.weight": "norm.weight",
    "classifier.bias": "head.bias",
    "model.stage1.blocks.0.attn.conv_proj_k.conv.weight": (
        "stage1.blocks.0.attn.conv_proj_k.conv.weight"
    ),
}


def test_keys_of_every_source_become_ours():
    assert list(official.convert(dict.fromkeys(PORT_KEYS, torch.zeros(1)))) == list(
        PORT_KEYS.values()
    )
    assert official.from_port(PORT_KEYS) and not official.from_port(tiny().state_dict())


def test_keys_that_are_no_part_of_the_network_are_named():
    state = {**tiny().state_dict(), "stage0.pos_embed": torch.zeros(1)}
    with pytest.raises(InputError, match=r"1 unexpected; stage0\.pos_embed"):
        load_into(tiny(), official.convert(state), subject="file")


def test_official_options_that_no_released_model_has_are_refused():
    with pytest.raises(InputError, match="POS_EMBED"):
        official.build({"POS_EMBED": [True, False, False]})


def test_free_convmixer():
    backbone = create_backbone(
        "convmixer", features=True, in_chans=1, dim=16, depth=2, kernel_size=5, patch_size=4
    )
    assert [tuple(image.shape) for image in backbone(torch.rand(1, 1, 32, 64))] == [
        (1, 16, 8, 16)
    ] * 2


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("cvt", {"activation": "relu"}, "unknown activation"),
        ("cvt_13", {"deppths": (1, 1, 1)}, "did you mean depths?"),
    ],
)
def test_what_cannot_be_built_is_named(name, options, said):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        create_backbone(name, **options)


@pytest.mark.skipif(
    not os.environ.get("VITRAIL_FULL_PARITY"),
    reason="277 million parameters; set VITRAIL_FULL_PARITY",
)
def test_the_largest_one_runs():
    assert create_backbone("cvt_w24", num_classes=2).eval()(torch.rand(1, 3, 64, 64)).shape == (
        1,
        2,
    )
