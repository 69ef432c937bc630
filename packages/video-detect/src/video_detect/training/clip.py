"""Stage two: what carries memory across frames, on made clips, on top of a trained image
detector."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import vitrail.training.loop
from video_detect import checkpoint, system
from video_detect.data.batches import read, relative, save, stacked
from video_detect.data.clips import ClipMaker
from video_detect.data.pictures import cut_outs
from video_detect.data.scenes import SceneMaker
from video_detect.measure.precision import Judged, average_precision
from video_detect.training.image import judged, kept_folder, metadata, parts_of, scene_maker
from video_detect.training.losses import Target, total_loss
from video_detect.training.recipe import Recipe
from vitrail.engine import Network, prepare
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader
from vitrail.weights.catalogue import Weights, resolve

BRANCHES = ("transformer", "graph", "both")  # each is trained to stand alone
VAL_SEED = 7


class ClipTask(vitrail.training.loop.Task):
    """The branches, their blender and the decoder; the frame's part stays as stage one left it.
    ``val/both`` and ``val/single`` are AP50 on clips of objects that are not trained on."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.start = detector_weights(recipe.model.init)
        self.network = checkpoint.load_model(self.start)
        self.network.requires_grad_(False)
        for part in (self.network.temporal, self.network.graph, self.network.blend,
                     self.network.decoder):  # fmt: skip
            part.requires_grad_(True)
        self.judged: dict[str, list[Judged]] = {"both": [], "single": []}

    @property
    def measured(self) -> Sequence[str]:
        return "val/both", "val/single", "val/gain"

    @cached_property
    def engine(self) -> Any:
        data = self.recipe.data
        example = np.zeros((2, 3, *data.sizes[0]), np.float32)
        facts = metadata(self.network.config, "image")
        mean, std = (torch.tensor(facts[name]) for name in ("mean", "std"))
        network = Network("frame", lambda: _frame(self.network, mean, std), example, weights=None)
        return prepare(network, engine="openvino", device="cpu")

    def train_dataloader(self) -> DataLoader:
        maker = ClipMaker(scene_maker(self.recipe.data))
        count = self.recipe.data.batches
        folder = kept_folder(self.recipe, "clips", self.start.sha256)
        clips = ClipBatches(maker, self.engine, self.recipe, folder, count, self.recipe.seed)
        return loader(clips, None, sampler=Numbers(count))

    def val_dataloader(self) -> DataLoader:
        held = parts_of(self.recipe.data)[1]
        maker = ClipMaker(SceneMaker(held, [], cut_outs(held)))
        count = self.recipe.data.val_clips
        folder = kept_folder(self.recipe, "val", self.start.sha256)
        clips = ClipBatches(maker, self.engine, self.recipe, folder, count, VAL_SEED)
        return loader(clips, None, sampler=range(count))

    def training_step(self, batch: dict, number: int) -> Tensor:
        net = BRANCHES[number % len(BRANCHES)]
        memory = batch["maps"][0]
        found = self.network.find(self.network.mix(memory[None], net)[0])
        targets = [Target(*one) for one in zip(batch["boxes"], batch["labels"], strict=True)]
        loss = total_loss(found, targets)
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: dict, number: int) -> None:
        memory = batch["maps"][0]
        for net, own in self.judged.items():
            found = self.network.find(self.network.mix(memory[None], net)[0])
            for place in range(len(memory)):
                boxes = batch["boxes"][place].numpy()
                truth = np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2,
                                        boxes[:, :2] + boxes[:, 2:] / 2), 1)  # fmt: skip
                labels = batch["labels"][place].numpy()
                own.append(judged(found.logits[-1, place], found.boxes[-1, place], truth, labels))

    def on_validation_epoch_end(self) -> None:
        values = {net: average_precision(own, by_class=False) for net, own in self.judged.items()}
        self.log_dict({f"val/{net}": value for net, value in values.items()})
        self.log("val/gain", values["both"] - values["single"])
        for own in self.judged.values():
            own.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        facts = metadata(self.network.config, "clip") | {"score": self.recipe.score}
        return self.network.state_dict(), facts


class ClipBatches(Dataset):
    """Clip ``number`` (counted round after ``count``) as the frame's part remembers it: one map
    (N, C, h, w), with the boxes and labels of each frame."""

    def __init__(
        self, maker: ClipMaker, compute: Any, recipe: Recipe, folder: Path, count: int, seed: int
    ):
        self.maker, self.compute, self.recipe = maker, compute, recipe
        self.folder, self.count, self.seed = folder, count, seed

    def __getitem__(self, number: int) -> dict[str, Any]:
        number %= self.count
        path = self.folder / f"{number:05d}.npz"
        if not path.exists():
            rng = np.random.default_rng((self.seed, number))
            sizes = self.recipe.data.sizes
            clip = self.maker.make(sizes[rng.integers(len(sizes))], self.recipe.data.frames, rng)
            memory = self.compute(stacked([scene.image for scene in clip.scenes]))
            boxes = [relative(scene) for scene in clip.scenes]
            save(path, [memory], boxes, [scene.labels for scene in clip.scenes])
        return read(path)


def detector_weights(init: str | None) -> Weights:
    """The image detector that stage two starts from; UsageError without a trained one, since the
    branches learn nothing on top of an untrained detector."""
    if init is None:
        raise UsageError("model.init", "is missing", "train image.yaml first and name its weights")
    weights = resolve(system, init)
    checkpoint.describe(weights)
    return weights


def _frame(network: nn.Module, mean: Tensor, std: Tensor) -> nn.Module:
    from video_detect.models import FramePart, TGBFormer

    assert isinstance(network, TGBFormer)
    return FramePart(network, mean, std)
