"""Stage two: what carries memory across frames, on made clips, on top of a trained image
detector."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from video_detect import checkpoint, system
from video_detect.data.batches import MadeBatches
from video_detect.data.clips import ClipMaker
from video_detect.data.pictures import cut_outs
from video_detect.data.scenes import SceneMaker
from video_detect.measure.precision import Judged, average_precision
from video_detect.training.averaged import AveragedTask
from video_detect.training.image import judged, metadata, parts_of, scene_maker
from video_detect.training.losses import Targets, corners, total_loss
from video_detect.training.recipe import Recipe
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader
from vitrail.weights.catalogue import Weights, resolve

# Step by step. Each branch is trained to stand alone, and the decoder without any, so that a gain
# is the memory's and no habit of the decoder's.
NETS = ("both", "transformer", "both", "graph", "both", "single")
VAL_SEED = 7


class ClipTask(AveragedTask):
    """The branches, their blender and the decoder; the frame's part stays as stage one left it.
    ``val/both`` and ``val/single`` are AP50 on clips of objects that are not trained on."""

    def __init__(self, recipe: Recipe):
        network = checkpoint.load_model(detector_weights(recipe.model.init))
        network.requires_grad_(False)
        for part in (network.temporal, network.graph_former, network.blend, network.decoder):
            part.requires_grad_(True)
        super().__init__(recipe, network)
        self.judged: dict[str, list[Judged]] = {"both": [], "single": []}

    @property
    def measured(self) -> Sequence[str]:
        return "val/both", "val/single", "val/gain"

    def train_dataloader(self) -> DataLoader:
        data, size = self.recipe.data, self.recipe.optim.batch_size
        maker, seed = ClipMaker(scene_maker(data)), self.recipe.seed
        clips = MadeBatches(maker, data.sizes, batch_size=size, frames=data.frames, seed=seed)
        return loader(clips, None, workers=data.workers, sampler=Numbers(data.batches))

    def val_dataloader(self) -> DataLoader:
        data = self.recipe.data
        held = parts_of(data)[1]
        maker = ClipMaker(SceneMaker(held, [], cut_outs(held)))
        clips = MadeBatches(maker, data.sizes, batch_size=1, frames=data.frames, seed=VAL_SEED)
        return loader([clips[number] for number in range(data.val_clips)], None)

    def training_step(self, batch: dict, number: int) -> Tensor:
        with torch.no_grad():
            memory = self.network.remember(self.normalised(batch["images"]))
        clips = memory.unflatten(0, (-1, self.recipe.data.frames))
        mixed = self.network.mix(clips, NETS[number % len(NETS)])
        found = self.network.find(mixed.flatten(0, 1))
        loss = total_loss(found, Targets.of(batch["boxes"], batch["labels"], batch["counts"]))
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: dict, number: int) -> None:
        memory = self.averaged.remember(self.normalised(batch["images"]))
        boxes, labels = (batch[name].cpu().split(batch["counts"]) for name in ("boxes", "labels"))
        for net, own in self.judged.items():
            found = self.averaged.find(self.averaged.mix(memory[None], net)[0])
            for place, (true, names) in enumerate(zip(boxes, labels, strict=True)):
                frame = found.logits[-1, place], found.boxes[-1, place]
                own.append(judged(*frame, corners(true).numpy(), names.numpy()))

    def on_validation_epoch_end(self) -> None:
        values = {net: average_precision(own, by_class=False) for net, own in self.judged.items()}
        self.log_dict({f"val/{net}": value for net, value in values.items()})
        self.log("val/gain", values["both"] - values["single"])
        for own in self.judged.values():
            own.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        facts = metadata(self.network.config, "clip") | {"score": self.recipe.score}
        return self.averaged.state_dict(), facts


def detector_weights(init: str | None) -> Weights:
    """The image detector that stage two starts from; UsageError without a trained one, since the
    branches learn nothing on top of an untrained detector."""
    if init is None:
        raise UsageError("model.init", "is missing", "train image.yaml first and name its weights")
    weights = resolve(system, init)
    checkpoint.describe(weights)
    return weights
