"""The one door to backbones: what it builds, and how it refuses what it cannot build."""

import pytest
import torch

from vitrail.backbones import create_backbone
from vitrail.errors import UsageError

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
