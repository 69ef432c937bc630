"""Learning without labels: a part of each patch is hidden, the network learns what was there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import vitrail.training.loop
from hsi_classify import system
from hsi_classify.files.cube import Layout
from hsi_classify.files.opening import open_cube
from hsi_classify.fit.methods import gather
from hsi_classify.fit.network import FittedNetwork
from hsi_classify.fit.presets import PRESETS, Preset
from hsi_classify.models import build_model
from hsi_classify.models.specvit import SpecViT
from hsi_classify.scene.scene import Scene
from hsi_classify.training.recipe import Recipe, Scenes, Unlabelled
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader

EPOCH = 100  # steps
VAL_PATCHES = 256  # of each scene


class MaskedTask(vitrail.training.loop.Task):
    """Pixels of a patch become 0, and whole components of it; from the network's features, one
    linear layer paints the patch, as in SimMIM (Xie et al. 2022, section 3). What is learned knows
    a scene by its principal components, so that it may have any number of bands; their signs mean
    nothing and are drawn anew for each patch. ``val/error`` is the mean square of what is wrong
    with the hidden values, whose own is about 1."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        assert isinstance(recipe.data, Scenes)
        preset = PRESETS[recipe.preset]
        if preset.components is None:
            problem = f"{recipe.preset} sees bands, of which every sensor has others"
            raise UsageError("preset", problem, "take small")
        self.data = recipe.data
        self.patches = [_patches(one, preset, recipe.data) for one in recipe.data.scenes]
        shapes = {val.shape[1:] for _, val in self.patches}
        if len(shapes) > 1:
            problem = f"have fewer bands than {preset.components}"
            raise UsageError("data.scenes", problem, "leave those out")
        (shape,) = shapes
        self.config = {**preset.config, "components": shape[0], "num_classes": 2}
        network = build_model(preset.architecture, self.config)
        assert isinstance(network, SpecViT)  # the preset that sees components
        self.network, self.architecture = network, preset.architecture
        # In place of the head, which has nothing to learn.
        self.painter = nn.Linear(network.head.linear.in_features, int(np.prod(shape)))

    @property
    def measured(self) -> Sequence[str]:
        return ("val/error",)

    def train_dataloader(self) -> DataLoader:
        size = self.recipe.optim.batch_size
        count = EPOCH * size
        patches = Patches([one[0] for one in self.patches], count, self.data, self.recipe.seed)
        return loader(patches, size, sampler=Numbers(count), drop_last=True)

    def val_dataloader(self) -> DataLoader:
        rng = np.random.default_rng(self.recipe.seed)
        parts = [hidden(patch, self.data, rng) for _, val in self.patches for patch in val]
        return loader(parts, VAL_PATCHES)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        loss = self.error(*batch)
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        self.log("val/error", self.error(*batch), batch_size=len(batch[0]))

    def error(self, patches: Tensor, seen: Tensor) -> Tensor:
        """Of patches (B, K, size, size) of which only what ``seen`` has as 1 is shown."""
        features = self.network.forward_features(patches * seen)
        painted = self.painter(features).view_as(patches)
        unseen = 1 - seen
        return ((painted - patches) ** 2 * unseen).sum() / unseen.sum()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        state = {k: v for k, v in self.network.state_dict().items() if not k.startswith("head.")}
        config = {k: list(v) if isinstance(v, tuple) else v for k, v in self.config.items()}
        kind = {"system": system.name, "architecture": self.architecture, "config": config}
        return state, {**kind, "base": True}


class Patches(Dataset):
    """Patches of scenes (N, K, size, size) each, one drawn from each number, turned, mirrored, and
    of any sign."""

    def __init__(self, scenes: Sequence[np.ndarray], count: int, data: Scenes, seed: int):
        self.scenes, self.count, self.data, self.seed = scenes, count, data, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        patch = np.rot90(scene[int(rng.integers(len(scene)))], int(rng.integers(4)), (1, 2))
        signs = rng.choice((-1, 1), (len(patch), 1, 1)).astype(np.float32)
        return hidden(patch[:, :, :: int(rng.choice((-1, 1)))] * signs, self.data, rng)


def hidden(patch: np.ndarray, data: Scenes, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A patch (K, size, size), and 1 where it is seen, 0 where it is hidden."""
    pixels = rng.random(patch.shape[1:]) >= data.hidden_pixels
    components = rng.random((len(patch), 1, 1)) >= data.hidden_components
    seen = (pixels[None] & components).astype(np.float32)
    seen[0, 0, 0] = 0  # never nothing
    return torch.from_numpy(np.ascontiguousarray(patch)), torch.from_numpy(seen)


def _patches(one: Unlabelled, preset: Preset, data: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """Patches of a scene's pixels with data, those to learn from and those that validate."""
    scene = Scene.of(
        open_cube(one.cube, Layout(variable=one.variable, shape=one.shape)), one.bad_bands
    )
    look = FittedNetwork(scene, preset)
    rows, columns = scene.size
    valid = np.flatnonzero(np.concatenate([block.inner for block in scene.blocks()]))
    border = round(rows * (1 - data.val_share)) * columns
    # As far apart that no patch of one holds a pixel of the other.
    learned = valid[valid < border - (preset.patch - 1) * columns]
    val = valid[valid >= border]
    if not len(learned) or not len(val):
        raise UsageError("data.val_share", f"leaves nothing of {one.cube.name}", "change it")
    val = np.random.default_rng(0).choice(val, min(VAL_PATCHES, len(val)), replace=False)
    return gather(scene, look, learned), gather(scene, look, val)
