"""ImageNet's features for the backbone, and what its classifier says of our classes."""

from collections.abc import Iterator

import torch
from torch import nn

from video_detect.classes import IMAGENET, NAMES
from video_detect.models import LiteMaps, TGBFormer
from vitrail.backbones.pretrained import WHEELS, fill_trunk, find_file
from vitrail.errors import UsageError
from vitrail.weights.files import read_known

RELEASE = "tf_efficientnet_lite0"
HALF = (127.5,) * 3  # mean and deviation of RGB 0..255 that the release wants
MEAN = STD = (0.5, 0.5, 0.5)
SPREAD = 0.5  # of a hint over its places, in what the projection receives
FROZEN_STAGES = 2  # of the trunk: edges and textures are the same everywhere


def fill_backbone(model: TGBFormer) -> None:
    """Loads EfficientNet-Lite0's release and sets the hints: for each of our classes the mean of
    the classifier's rows that belong to it, less the mean of all.

    Raises MissingError without the wheel.
    """
    body = model.backbone
    if not isinstance(body, LiteMaps) or body.head is None or body.hint is None:
        raise UsageError("model.config.hints", "is 0", "the bundled recipe starts with hints")
    fill_trunk(body.trunk, HALF, HALF)
    stored = list(read_known(find_file(RELEASE), WHEELS[RELEASE].sha256).values())
    *head, weight, bias = stored[len(body.trunk.state_dict()) :]
    body.head.load_state_dict(dict(zip(body.head.state_dict(), head, strict=True)))
    rows = []
    for name in NAMES:
        members = torch.tensor(
            [n for first, last in IMAGENET[name] for n in range(first, last + 1)]
        )
        rows.append((weight[members].mean(0) - weight.mean(0), bias[members].mean() - bias.mean()))
    body.hint.weight.data = SPREAD * torch.stack([row for row, _ in rows])[..., None, None]
    body.hint.get_parameter("bias").data = SPREAD * torch.stack([start for _, start in rows])


def frozen_parts(model: TGBFormer) -> Iterator[nn.Module]:
    """The stages that keep ImageNet's features; the norms of all others keep its statistics."""
    assert isinstance(model.backbone, LiteMaps)
    yield model.backbone.trunk.stem
    yield from model.backbone.trunk.stages[:FROZEN_STAGES]
