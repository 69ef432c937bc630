"""Windows of a case, cut at random and changed as another scanner or microscope might have seen
them (MONAI)."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandLambdad,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)
from pydantic import Field
from torch import Tensor

from medical_segment.plan import Plan
from vitrail.training.recipe import Section

Share = Annotated[float, Field(ge=0, le=1)]
KEYS = ("image", "label")
INTERPOLATION = {2: "bilinear", 3: "trilinear"}
MODES = ("bilinear", "nearest")
FOREGROUND = (1, 2)  # of three windows one has its centre in the foreground, as nnU-Net's
SIGMA = (0.5, 1.0)  # of the blur, in pixels of each axis
MARGIN = (
    1.5  # of what is cut around a window before it is turned, so that its corners are not empty
)


class Augment(Section):
    """How strongly windows are changed; the defaults are about nnU-Net's.

    ``rotate``: the largest angle in degrees about each axis; ``scale``: the range of sizes;
    ``shift``: the largest way as a share of the window. ``flip``: the axes that may be mirrored.
    The other numbers are how often (0..1) noise, blur, another brightness and contrast, a lower
    resolution, another gamma, an inverted image (2-D: dark on bright becomes bright on dark) and
    swapped channels (colours) are drawn. ``affine`` is how often the geometry changes.
    """

    affine: Share = 0.8
    rotate: Annotated[float, Field(ge=0, le=180)] = 30.0
    scale: tuple[float, float] = (0.7, 1.4)
    shift: Share = 0.05
    flip: tuple[int, ...] = (0, 1, 2)
    noise: Share = 0.1
    blur: Share = 0.2
    brightness: Share = 0.3
    low_resolution: Share = 0.15
    gamma: Share = 0.3
    invert: Share = 0.0
    swap_channels: Share = 0.0


class Augmentation:
    """Cuts a window of ``plan.patch`` out of a sample and changes it; the same ``seed``, the same
    window."""

    def __init__(self, plan: Plan, options: Augment):
        self.plan = plan
        self.transform = Compose(
            [*_cut(plan), *_geometry(plan, options), *_intensity(plan, options)]
        )

    def __call__(self, sample: dict[str, Tensor], seed: int) -> tuple[Tensor, Tensor]:
        """-> image (C, *patch) float32, label (1, *patch) int64."""
        self.transform.set_random_state(seed=seed)
        windows: Any = self.transform({key: sample[key] for key in KEYS})
        (changed,) = windows  # the cut gives a list
        return changed["image"].as_tensor().float(), changed["label"].as_tensor().long()


def _cut(plan: Plan) -> list[Callable]:
    """A part somewhat larger than the window; of a small case all of it."""
    size = tuple(int(MARGIN * side) for side in plan.patch)
    positive, negative = FOREGROUND
    return [
        RandCropByPosNegLabeld(
            KEYS, "label", size, positive, negative, num_samples=1, allow_smaller=True
        )
    ]


def _geometry(plan: Plan, options: Augment) -> list[Callable]:
    """One resampling for turning, scaling, shifting and cutting to the window; zeros where nothing
    is."""
    angle = np.deg2rad(options.rotate)
    low, high = options.scale
    # MONAI's scale tells where to look: a factor below 1 makes things larger.
    scale = [(1 / high - 1, 1 / low - 1)] * plan.dims
    affine = RandAffined(
        KEYS,
        spatial_size=plan.patch,
        prob=options.affine,
        rotate_range=[angle] * (3 if plan.dims == 3 else 1),
        scale_range=scale,
        translate_range=[options.shift * side for side in plan.patch],
        mode=MODES,
        padding_mode="zeros",
    )
    return [affine, *(RandFlipd(KEYS, 0.5, axis) for axis in options.flip if axis < plan.dims)]


def _intensity(plan: Plan, options: Augment) -> list[Callable]:
    """In units of the image's own deviation, since it was normalised before."""
    return [
        RandGaussianNoised("image", prob=options.noise, std=0.3),
        RandGaussianSmoothd("image", SIGMA, SIGMA, SIGMA, prob=options.blur),
        RandScaleIntensityd("image", 0.3, prob=options.brightness),
        RandShiftIntensityd("image", 0.3, prob=options.brightness),
        RandSimulateLowResolutiond(
            "image",
            prob=options.low_resolution,
            upsample_mode=INTERPOLATION[plan.dims],
            zoom_range=(0.5, 1.0),
        ),
        RandAdjustContrastd("image", prob=options.gamma, gamma=(0.7, 1.5), retain_stats=True),
        RandLambdad("image", torch.neg, prob=options.invert),
        RandLambdad("image", _swapped, prob=options.swap_channels),
    ]


def _swapped(image: Tensor) -> Tensor:
    return image.roll(1, 0)
