"""How both networks are trained: from real faces and their pseudo-fakes, or from the user's own labelled faces."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import vitrine.recipes
import vitrine.training
from deepfake_detect.calibration import calibrate
from deepfake_detect.crops import CropRule
from deepfake_detect.data import LabelledCrops, Pairs, read_regions
from deepfake_detect.model import FAKE, build_model
from vitrine.faces.samples import Numbers
from vitrine.preprocess.image import IMAGENET_MEAN, IMAGENET_STD
from vitrine.preprocess.sources import picture_files
from vitrine.recipes import Section
from vitrine.weights import load_into, read_state


class PseudoFakes(Section):
    """Real faces alone: pictures in ``train`` and ``val`` (of other people), and the face mesh that knows both."""

    format: Literal["pseudo-fakes"]
    train: Path
    val: Path
    mesh: Path
    val_repeats: int = 2


class Folders(Section):
    """The user's own face crops: ``train/real``, ``train/fake``, ``val/real``, ``val/fake`` below ``path``."""

    format: Literal["folders"]
    path: Path


class Model(Section):
    """The architecture and its options; ``init`` is a weight file to start from."""

    architecture: Literal["genconvit-ed", "genconvit-vae"]
    config: dict[str, Any] = Field(default_factory=dict)
    init: Path | None = None


class Recipe(vitrine.recipes.Recipe):
    """``crop`` gives the margin of the face crops; ``epoch`` is the number of batches between two validations."""

    data: PseudoFakes | Folders
    model: Model
    margin: float = 0.2
    epoch: int = 100
    reconstruction: float = 1.0


class Task(vitrine.training.Task):
    """Cross-entropy, and for network B the reconstruction's error too; ``val/auc`` on faces of unseen people."""

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.model = build_model(recipe.model.architecture, recipe.model.config)
        if recipe.model.init:
            load_into(self.model, read_state(recipe.model.init)[0], subject=recipe.model.init)
        self.rule = CropRule(img_size=self.model.config.img_size, box="detector", margin=recipe.margin)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1) * 255, persistent=False)
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.calibration: dict[str, Any] = {}

    @cached_property
    def datasets(self) -> tuple[Dataset, Dataset]:
        return _datasets(self.recipe, self.rule)

    def train_dataloader(self) -> DataLoader:
        per_sample = 2 if self.recipe.data.format == "pseudo-fakes" else 1
        batch = max(1, self.recipe.optim.batch_size // per_sample)
        numbers = Numbers(self.recipe.epoch * batch)
        return _loader(self.datasets[0], batch, numbers)

    def val_dataloader(self) -> DataLoader:
        data = self.recipe.data
        numbers = range(len(self.datasets[1]) * (data.val_repeats if data.format == "pseudo-fakes" else 1))
        return _loader(self.datasets[1], 25, numbers)

    def training_step(self, batch: Any, number: int) -> Tensor:
        image, label = self._unpack(batch)
        reconstruction = self.model.reconstruct(image)
        loss = F.cross_entropy(self.model.classify(image, reconstruction).float(), label)
        self.log("train/cross_entropy", loss.detach())
        if self.recipe.model.architecture == "genconvit-vae":
            wanted = F.interpolate(image, reconstruction.shape[-2:], mode="bilinear", antialias=True)
            loss = loss + self.recipe.reconstruction * F.mse_loss(reconstruction.float(), wanted)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        image, label = self._unpack(batch)
        self.validated.append((self.model(image).float().cpu(), label.cpu()))

    def on_validation_epoch_end(self) -> None:
        logits, labels = (torch.cat(parts).numpy() for parts in zip(*self.validated, strict=True))
        self.validated.clear()
        self.log("val/auc", float(roc_auc_score(labels == FAKE, logits[:, FAKE] - logits[:, 1 - FAKE])), prog_bar=True)
        self.log("val/accuracy", float(np.mean(logits.argmax(1) == labels)))

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network's state, and all that scoring a face with it needs; calibrated on the validation faces."""
        logits, labels = self._validation_logits()
        metadata = {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": self.recipe.model.config,
            "crop": self.rule.to_dict(),
            **calibrate(logits, labels),
        }
        return self.model.state_dict(), metadata

    @torch.inference_mode()
    def _validation_logits(self) -> tuple[np.ndarray, np.ndarray]:
        self.model.eval()
        pairs = [self._unpack(batch) for batch in self.val_dataloader()]
        logits = [self.model(image.to(self.device)).float().cpu() for image, _ in pairs]
        return torch.cat(logits).numpy(), torch.cat([label for _, label in pairs]).numpy()

    def _unpack(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Pairs (B, 2, 3, S, S) or labelled crops to normalised images (N, 3, S, S) and labels (N,)."""
        images, labels = batch if isinstance(batch, list | tuple) else (batch, Pairs.labels.expand(len(batch), 2))
        images = (images.flatten(0, 1).float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last), labels.flatten().to(images.device)


def _datasets(recipe: Recipe, rule: CropRule) -> tuple[Dataset, Dataset]:
    data = recipe.data
    if isinstance(data, PseudoFakes):
        train, val = (read_regions(folder, data.mesh) for folder in (data.train, data.val))
        return Pairs(train, rule, seed=recipe.seed, train=True), Pairs(val, rule, seed=1, train=False)
    folders = [[picture_files(data.path / part / kind) for kind in ("fake", "real")] for part in ("train", "val")]
    train, val = (LabelledCrops(*paths, rule, seed=recipe.seed, train=part == 0) for part, paths in enumerate(folders))
    return train, val


def _loader(dataset: Dataset, batch: int, numbers) -> DataLoader:
    return DataLoader(dataset, batch_size=batch, sampler=numbers, num_workers=1, persistent_workers=True)
