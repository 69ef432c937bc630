"""Heat maps point at what moved the score."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from deepfake_detect.decide.explain import grad_cam, heat_maps, overlay, reconstruction_error
from deepfake_detect.model import build_model

SWIN = {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4]}
BACKBONES = {
    "convnext_atto": {"depths": [1] * 4, "dims": [8, 12, 16, 20]},
    "resnet18": {"channels": [8, 12, 16, 20]},
    "densenet121": {"growth_rate": 4, "block_config": (1, 1, 1, 1)},
    "swin_tiny_patch4_window7_224": SWIN,
    "vit_tiny_patch16_224": {"img_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2},
}


class RedSpot(nn.Module):
    """Says "fake" by the share of red in 8x8 blocks, so that its heat map is known."""

    feature_info = ({"num_chs": 3, "module": "blocks"},)

    def __init__(self):
        super().__init__()
        self.blocks = nn.AvgPool2d(8)
        self.backbone = self

    def reconstruct(self, image):
        return image

    def forward(self, image):
        return self.blocks(image).mean((2, 3))

    def head(self, of_image, of_reconstruction):
        return torch.stack((of_image[:, 0], of_image[:, 1]), dim=1)


def spotted() -> torch.Tensor:
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0, 40:56, 8:24] = 1  # red, lower left
    image[:, 1, 8:24, 40:56] = 1  # green, upper right: speaks for "real"
    return image


def test_grad_cam_points_at_the_evidence():
    heat = grad_cam(RedSpot(), spotted())
    assert heat.shape == (64, 64) and heat.dtype == np.float32
    assert heat[44:52, 12:20].min() > 0.9
    assert heat[:32].max() == 0


def test_grad_cam_of_a_picture_without_evidence_is_zero():
    assert grad_cam(RedSpot(), torch.zeros(1, 3, 64, 64)).max() == 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_grad_cam_on_any_kind_of_backbone(backbone):
    torch.manual_seed(0)
    options = {
        "backbone": backbone,
        "backbone_options": BACKBONES[backbone],
        "embedding": 16,
        "hidden": 16,
    }
    model = build_model("genconvit-ed", {"img_size": 64, "encoder_widths": [4, 4]} | options).eval()
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    maps = []
    for sign in (1, -1):  # what speaks for one class speaks against the other
        with torch.no_grad():
            model.fc2.weight.mul_(sign)
        maps.append(grad_cam(model, image))
    assert all(heat.shape == (64, 64) and heat.min() >= 0 and heat.max() <= 1 for heat in maps)
    assert max(heat.max() for heat in maps) > 0.5 and not np.array_equal(*maps)
    with torch.no_grad():
        model.fc2.weight.mul_(-1)
    assert torch.equal(model(image), before), "the hook is gone and the weights are untouched"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_reconstruction_error_shows_what_was_not_redrawn():
    image = spotted()
    model = SimpleNamespace(reconstruct=lambda image: torch.zeros_like(image))
    heat = reconstruction_error(model, image)
    assert np.array_equal(heat > 0, image[0].sum(0).numpy() > 0) and heat.max() == 1
    model.reconstruct = lambda image: image
    assert reconstruction_error(model, image).max() == 0


def test_overlay_colours_only_where_it_is_hot():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    heat = np.zeros((32, 32), np.float32)
    heat[:16] = 1
    laid = overlay(picture, heat)
    assert laid.shape == picture.shape and laid.dtype == np.uint8
    assert np.array_equal(laid[16:], picture[16:])
    assert laid[:16, :, 0].mean() > laid[:16, :, 2].mean() + 20, "the hottest colour is red"


def test_heat_maps_of_both_networks(networks):
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pictures = heat_maps(networks, crop)
    assert list(pictures) == ["Grad-CAM (ed)", "reconstruction error (ed)", "Grad-CAM (vae)"]
    assert all(
        picture.shape == crop.shape and picture.dtype == np.uint8 for picture in pictures.values()
    )
