"""How both networks are trained: from real faces and their pseudo-fakes, or from the user's own
labelled faces."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Self

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import vitrail.training.loop
from deepfake_detect.data import Pairs
from deepfake_detect.data.clip_pairs import ClipPairs, Joined, Mixed
from deepfake_detect.data.labelled import LabelledCrops
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.model import FAKE, BackboneClassifier, GenConViT, build_model
from deepfake_detect.networks import load_networks
from deepfake_detect.training.blend_map import BlendMap
from deepfake_detect.training.calibration import calibrate
from deepfake_detect.training.recipe import PseudoFakes, Recipe, make_clips, make_datasets
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader
from vitrail.weights.files import load_into

__all__ = ["Recipe", "Task"]


class Task(vitrail.training.loop.Task):
    """Cross-entropy on the label; network B also learns its reconstruction, the backbone alone
    where the fakes were blended, which teaches it many times faster than the label. ``val/auc`` is
    on faces of unseen people; with clips, the mean of that on photographs and that on clips."""

    recipe: Recipe
    model: GenConViT
    mean: Tensor
    std: Tensor

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.model, self.rule = _start(recipe)
        self.register_buffer(
            "mean", torch.tensor(self.rule.mean).view(3, 1, 1) * 255, persistent=False
        )
        self.register_buffer(
            "std", torch.tensor(self.rule.std).view(3, 1, 1) * 255, persistent=False
        )
        if recipe.model.architecture == "genconvit-backbone":
            self.blend_map = BlendMap(self.model.backbone)
        self.validated: list[tuple[Tensor, Tensor, Tensor]] = []
        self.train()  # Lightning takes the modes as it finds them

    @property
    def measured(self) -> Sequence[str]:
        return "val/auc", "val/accuracy"

    def train(self, mode: bool = True) -> Self:
        """A backbone that was trained before keeps its batch norms' statistics: they serve image
        and reconstruction alike, and network B shows it the two apart, which would pull them to and
        fro."""
        super().train(mode)
        if self.recipe.model.init:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    @cached_property
    def clips(self) -> tuple[ClipPairs, ClipPairs] | None:
        return make_clips(self.recipe, self.rule)

    @cached_property
    def datasets(self) -> tuple[Pairs, Pairs] | tuple[LabelledCrops, LabelledCrops]:
        return make_datasets(self.recipe, self.rule)

    def train_dataloader(self) -> DataLoader:
        per_sample = 2 if self.recipe.data.format == "pseudo-fakes" else 1
        batch = max(1, self.recipe.optim.batch_size // per_sample)
        numbers = Numbers(self.recipe.epoch * batch)
        data = self.datasets[0]
        if self.clips and isinstance(data, Pairs):
            assert isinstance(self.recipe.data, PseudoFakes) and self.recipe.data.clips
            data = Mixed(data, self.clips[0], self.recipe.data.clips.share)
        return loader(data, batch, workers=1, sampler=numbers)

    def val_dataloader(self) -> DataLoader:
        data = self.recipe.data
        repeats = data.val_repeats if isinstance(data, PseudoFakes) else 1
        seen, known = self.datasets[1], len(self.datasets[1]) * repeats
        if self.clips and isinstance(seen, Pairs):
            seen = Joined(seen, repeats, self.clips[1])
            known = len(seen)
        return loader(seen, 25, workers=1, sampler=range(known))

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        image, label = self._unpack(batch)
        if self.recipe.model.architecture == "genconvit-backbone":
            logits, further = self._backbone_alone(image, batch)
        else:
            logits, further = self._with_reconstruction(image)
        loss = F.cross_entropy(logits.float(), label)
        self.log("train/cross_entropy", loss.detach())
        loss = loss + further
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _backbone_alone(
        self, image: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | float]:
        if "blend" not in batch:
            return self.model(image), 0.0
        assert isinstance(self.model, BackboneClassifier)
        backbone = self.model.backbone
        features, maps = backbone.forward_intermediates(image, indices=self.blend_map.stages)
        error = self.blend_map.error(maps, batch["blend"])
        return self.model.head(backbone.forward_head(features)), self.recipe.blend_map * error

    def _with_reconstruction(self, image: Tensor) -> tuple[Tensor, Tensor | float]:
        assert not isinstance(self.model, BackboneClassifier)
        reconstruction = self.model.reconstruct(image)
        logits = self.model.classify(image, reconstruction)
        if self.recipe.model.architecture == "genconvit-ed":
            return logits, 0.0
        wanted = F.interpolate(image, reconstruction.shape[-2:], mode="bilinear", antialias=True)
        return logits, self.recipe.reconstruction * F.mse_loss(reconstruction.float(), wanted)

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        image, label = self._unpack(batch)
        self.validated.append((self.model(image).float().cpu(), label.cpu(), _clips(batch).cpu()))

    def on_validation_epoch_end(self) -> None:
        logits, labels, clips = (
            torch.cat(parts).numpy() for parts in zip(*self.validated, strict=True)
        )
        self.validated.clear()
        found = logits[:, FAKE] - logits[:, 1 - FAKE]
        kinds = {"photographs": clips < 0, "clips": clips >= 0}
        figures = {
            name: float(roc_auc_score(labels[chosen] == FAKE, found[chosen]))
            for name, chosen in kinds.items()
            if chosen.any()
        }
        if len(figures) > 1:
            for name, figure in figures.items():
                self.log(f"val/auc_{name}", figure, prog_bar=True)
        self.log("val/auc", float(np.mean(list(figures.values()))), prog_bar=True)
        self.log("val/accuracy", float(np.mean(logits.argmax(1) == labels)))

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network's state, and all that scoring a face with it needs; calibrated on the
        validation faces."""
        logits, labels, clips = self._validation_logits()
        metadata = {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": asdict(self.model.config),
            "crop": self.rule.to_dict(),
            **calibrate(logits, labels, clips),
        }
        return self.model.state_dict(), metadata

    @torch.inference_mode()
    def _validation_logits(self) -> list[np.ndarray]:
        """Logits (N, 2), labels (N,) and numbers of the clips (N,; -1: a photograph)."""
        self.model.eval()
        found = []
        for batch in self.val_dataloader():
            image, label = self._unpack(batch)
            found.append((self.model(image.to(self.device)).float().cpu(), label, _clips(batch)))
        return [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]

    def _unpack(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Samples (B, n, 3, S, S) to normalised images (B * n, 3, S, S) and labels (B * n,)."""
        images = (batch["images"].flatten(0, 1).float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last), batch["labels"].flatten()


def _clips(batch: dict[str, Tensor]) -> Tensor:
    """The number of the clip that each image of a batch (B * n,) is of; -1 for photographs."""
    labels = batch["labels"]
    return batch.get("clips", torch.full_like(labels, -1)).flatten()


def _start(recipe: Recipe) -> tuple[GenConViT, CropRule]:
    """The network to train, fresh or from ``init``, and the crops that it is to see."""
    architecture, config, init = recipe.model.architecture, recipe.model.config, recipe.model.init
    given = load_networks([init])[0] if init else None
    trained = given.module if given else None
    if given and architecture == f"genconvit-{given.name}":
        if config:
            raise UsageError("model.config", "comes with model.init", "leave it out")
        assert isinstance(trained, GenConViT)
        return trained.train(), given.crop
    model = build_model(architecture, config)
    if trained is not None:
        assert isinstance(trained, GenConViT)
        load_into(model.backbone, trained.backbone.state_dict(), subject=init)
    return model, CropRule(img_size=model.config.img_size, box="detector", margin=recipe.margin)
