"""Images that explain a score: where a network looked, and what its autoencoder could not
redraw. Importing this module imports torch."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from deepfake_detect.model import FAKE, BackboneClassifier, GenConViTED, GenConViTVAE
from deepfake_detect.networks import FakeNetwork
from vitrail.backbones.base import Backbone
from vitrail.preprocess.image import normalise

STRENGTH = 0.6  # of the hottest colour over the image


def heat_maps(networks: Sequence[FakeNetwork], crop: np.ndarray) -> dict[str, np.ndarray]:
    """Images of a face crop (uint8 RGB (S, S, 3), as the networks see it) by name, of the crop's
    shape and type."""
    images = {}
    for network in networks:
        model = network.module
        assert isinstance(model, GenConViTED | GenConViTVAE | BackboneClassifier)
        item = normalise(crop, network.crop.mean, network.crop.std)
        image = torch.from_numpy(item[None]).to(next(model.parameters()).device)
        images[f"Grad-CAM ({network.name})"] = overlay(crop, grad_cam(model, image))
        if isinstance(model, GenConViTED):
            images[f"reconstruction error ({network.name})"] = overlay(
                crop, reconstruction_error(model, image)
            )
    return images


def grad_cam(model: GenConViTED | GenConViTVAE | BackboneClassifier, image: Tensor) -> np.ndarray:
    """Where in ``image`` (1, 3, H, W) the backbone's last stage speaks for "fake": float32 (H, W)
    in 0..1.

    Selvaraju et al., Grad-CAM, 2017; all zero where nothing speaks for it.
    """
    kept = []

    def start_gradient_here(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()  # the next layer may work in place

    reconstructed = {}
    if not isinstance(model, BackboneClassifier):
        with torch.no_grad():
            reconstructed = {"of_reconstruction": model.backbone(model.reconstruct(image))}
    hook = _last_stage(model.backbone).register_forward_hook(start_gradient_here)
    try:
        with torch.enable_grad():
            logits = model.head(model.backbone(image), **reconstructed)
            (gradient,) = torch.autograd.grad(logits[0, FAKE], kept[0])
    finally:
        hook.remove()
    channels = model.backbone.feature_info[-1]["num_chs"]
    features, gradient = (
        _as_map(kept[0].detach(), channels),
        _as_map(gradient, channels),
    )  # (C, h, w)
    weights = gradient.mean((1, 2), keepdim=True)
    return _heat((weights * features).sum(0).relu(), image.shape[-2:])


def reconstruction_error(model: GenConViTED, image: Tensor) -> np.ndarray:
    """How far each pixel of ``image`` (1, 3, H, W) is from its reconstruction: float32 (H, W), the
    largest is 1."""
    with torch.no_grad():
        return _heat((image - model.reconstruct(image)).abs().mean((0, 1)), image.shape[-2:])


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lays ``heat`` (H, W) in 0..1 over a uint8 RGB image (H, W, 3); where it is 0, the image
    stays as it is."""
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    share = STRENGTH * heat[..., None]
    return (image * (1 - share) + colours * share).round().astype(np.uint8)


def _last_stage(backbone: Backbone) -> nn.Module:
    if getattr(backbone, "global_pool", "") == "token":
        # Beyond its attention, the class token hears no other token.
        *_, last = backbone.get_submodule("blocks").children()
        return last.get_submodule("norm1")
    return backbone.get_submodule(backbone.feature_info[-1]["module"])


def _as_map(features: Tensor, channels: int) -> Tensor:
    """(1, C, h, w), (1, h, w, C) or a square's tokens (1, n, C) to (C, h, w)."""
    if features.ndim == 3:
        side = int(features.shape[1] ** 0.5)
        return features[0, -(side**2) :].unflatten(0, (side, side)).movedim(-1, 0)
    return features[0] if features.shape[1] == channels else features[0].movedim(-1, 0)


def _heat(values: Tensor, size: Sequence[int]) -> np.ndarray:
    height, width = size
    values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
    return cv2.resize(values.float().cpu().numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
