"""How both networks are trained: from real faces and their pseudo-fakes, or from the user's own
labelled faces."""

import sys
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, PositiveInt
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import vitrail.training.loop
import vitrail.training.recipe
from deepfake_detect.data import FaceRegion, Pairs, detect_regions, read_regions
from deepfake_detect.data.extract import extract_faces
from deepfake_detect.data.labelled import LabelledCrops, read_labelled, split
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.model import FAKE, build_model
from deepfake_detect.networks import load_networks
from deepfake_detect.training.blend_map import BlendMap
from deepfake_detect.training.calibration import calibrate
from vitrail.errors import InputError, UsageError
from vitrail.faces.detector import load_finder
from vitrail.sources import VIDEO_SUFFIXES
from vitrail.training.loading import Numbers, loader
from vitrail.training.recipe import Section
from vitrail.weights.files import load_into

VAL_SEED = 1  # of the pseudo-fakes on which weights are chosen and calibrated


class PseudoFakes(Section):
    """Real faces alone: images in ``train``, one person per image, and in ``test``, of other
    people.

    ``val_share`` of the training people choose and calibrate the weights instead; the figures are
    those of ``test``. ``mesh`` describes the face points; without one the faces are searched, and
    their points guessed from five.
    """

    format: Literal["pseudo-fakes"]
    train: Path
    test: Path
    mesh: Path | None = None
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    val_repeats: PositiveInt = 3


class Folders(Section):
    """The user's own labelled faces: ``real`` and ``fake`` below ``path``, each with face crops.

    Where ``path`` holds videos or whole images, ``crops`` names a folder into which their faces
    are cut once, from ``frames`` frames each. ``val_share`` of the videos, or of the folders below
    ``real`` and ``fake``, validate.
    """

    format: Literal["folders"]
    path: Path
    crops: Path | None = None
    frames: PositiveInt = 16
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.2


class Model(Section):
    """The architecture and its options; ``init`` is a catalogued name or a weights file to start
    from.

    A file of the same architecture brings its ``config`` and its crops of the face along; from one
    of the other architecture the backbone alone is taken.
    """

    architecture: Literal["genconvit-ed", "genconvit-vae", "genconvit-backbone"]
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``margin`` is that of the face crops; ``epoch`` the number of batches between two looks at
    the learning rate.

    ``reconstruction`` weighs network B's reconstruction error, ``blend_map`` the error of where the
    backbone alone sees a face blended in. ``test`` names labelled sets for ``vitrail evaluate``:
    folders with ``real`` and ``fake``, or lists ``path,label``; training and calibration never see
    them. ``manipulations`` names what was done to their fakes, by patterns of file names.
    """

    data: Annotated[PseudoFakes | Folders, Field(discriminator="format")]
    model: Model
    margin: float = 0.2
    epoch: PositiveInt = 100
    reconstruction: float = 1.0
    blend_map: float = 2.0
    face_detector: str = "bundled"
    test: dict[str, Path] = Field(default_factory=dict)
    manipulations: dict[str, str] = Field(default_factory=dict)


class Task(vitrail.training.loop.Task):
    """Cross-entropy on the label; network B also learns its reconstruction, the backbone alone
    where the fakes were blended, which teaches it many times faster than the label. ``val/auc`` is
    on faces of unseen people."""

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
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.train()  # Lightning takes the modes as it finds them

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
    def datasets(self) -> tuple[Dataset, Dataset]:
        return make_datasets(self.recipe, self.rule)

    def train_dataloader(self) -> DataLoader:
        per_sample = 2 if self.recipe.data.format == "pseudo-fakes" else 1
        batch = max(1, self.recipe.optim.batch_size // per_sample)
        numbers = Numbers(self.recipe.epoch * batch)
        return loader(self.datasets[0], batch, workers=1, sampler=numbers)

    def val_dataloader(self) -> DataLoader:
        data = self.recipe.data
        numbers = range(
            len(self.datasets[1]) * (data.val_repeats if data.format == "pseudo-fakes" else 1)
        )
        return loader(self.datasets[1], 25, workers=1, sampler=numbers)

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
        backbone = self.model.backbone
        features, maps = backbone.forward_intermediates(image, indices=self.blend_map.stages)
        error = self.blend_map.error(maps, batch["blend"])
        return self.model.head(backbone.forward_head(features)), self.recipe.blend_map * error

    def _with_reconstruction(self, image: Tensor) -> tuple[Tensor, Tensor | float]:
        reconstruction = self.model.reconstruct(image)
        logits = self.model.classify(image, reconstruction)
        if self.recipe.model.architecture == "genconvit-ed":
            return logits, 0.0
        wanted = F.interpolate(image, reconstruction.shape[-2:], mode="bilinear", antialias=True)
        return logits, self.recipe.reconstruction * F.mse_loss(reconstruction.float(), wanted)

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        image, label = self._unpack(batch)
        self.validated.append((self.model(image).float().cpu(), label.cpu()))

    def on_validation_epoch_end(self) -> None:
        logits, labels = (torch.cat(parts).numpy() for parts in zip(*self.validated, strict=True))
        self.validated.clear()
        self.log(
            "val/auc",
            float(roc_auc_score(labels == FAKE, logits[:, FAKE] - logits[:, 1 - FAKE])),
            prog_bar=True,
        )
        self.log("val/accuracy", float(np.mean(logits.argmax(1) == labels)))

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network's state, and all that scoring a face with it needs; calibrated on the
        validation faces."""
        logits, labels = self._validation_logits()
        metadata = {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": asdict(self.model.config),
            "crop": self.rule.to_dict(),
            **calibrate(logits, labels),
        }
        return self.model.state_dict(), metadata

    @torch.inference_mode()
    def _validation_logits(self) -> tuple[np.ndarray, np.ndarray]:
        self.model.eval()
        batches = [self._unpack(batch) for batch in self.val_dataloader()]
        logits = [self.model(image.to(self.device)).float().cpu() for image, _ in batches]
        return torch.cat(logits).numpy(), torch.cat([label for _, label in batches]).numpy()

    def _unpack(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Samples (B, n, 3, S, S) to normalised images (B * n, 3, S, S) and labels (B * n,)."""
        images = (batch["images"].flatten(0, 1).float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last), batch["labels"].flatten()


def _start(recipe: Recipe) -> tuple[nn.Module, CropRule]:
    """The network to train, fresh or from ``init``, and the crops that it is to see."""
    architecture, config, init = recipe.model.architecture, recipe.model.config, recipe.model.init
    given = load_networks([init])[0] if init else None
    if given and architecture == f"genconvit-{given.name}":
        if config:
            raise UsageError("model.config", "comes with model.init", "leave it out")
        return given.module.train(), given.crop
    model = build_model(architecture, config)
    if given:
        load_into(model.backbone, given.module.backbone.state_dict(), subject=init)
    return model, CropRule(img_size=model.config.img_size, box="detector", margin=recipe.margin)


def make_datasets(recipe: Recipe, rule: CropRule) -> tuple[Dataset, Dataset]:
    """Training and validation data, people or videos of the one never in the other."""
    if isinstance(recipe.data, PseudoFakes):
        regions = read_faces(recipe, recipe.data.train)
        if len(regions) < 2:
            raise InputError(
                recipe.data.train,
                "holds the face of one person only",
                "some must train, others validate",
            )
        held_back = max(1, round(recipe.data.val_share * len(regions)))
        chosen = np.random.default_rng(VAL_SEED).permutation(len(regions))
        train, val = (
            [regions[n] for n in sorted(part)] for part in (chosen[held_back:], chosen[:held_back])
        )
        return Pairs(train, rule, seed=recipe.seed, train=True), Pairs(
            val, rule, seed=VAL_SEED, train=False
        )
    train, val = split(read_labelled(_crops(recipe, rule)), recipe.data.val_share)
    return (
        LabelledCrops(train, rule, seed=recipe.seed, train=True),
        LabelledCrops(val, rule, seed=VAL_SEED, train=False),
    )


def read_faces(recipe: Recipe, folder: Path) -> list[FaceRegion]:
    """The faces of ``folder`` with their points, as the recipe's data are described."""
    if recipe.data.mesh:
        return read_regions(folder, recipe.data.mesh)
    return detect_regions(folder, load_finder(recipe.face_detector))


def _crops(recipe: Recipe, rule: CropRule) -> Path:
    """The folder of face crops; the faces of videos are cut first, where that is still to do."""
    data, files = recipe.data, read_labelled(recipe.data.path)
    if data.crops is None:
        if any(file.path.suffix.lower() in VIDEO_SUFFIXES for file in files):
            raise UsageError(
                "data.crops",
                "is missing",
                "name a folder for the faces that are cut from the videos",
            )
        return data.path
    folders = {file.path: data.crops / file.path.relative_to(data.path) for file in files}
    for _, found in extract_faces(
        folders, load_finder(recipe.face_detector), rule, frames=data.frames
    ):
        if not isinstance(found, int):
            print(f"left out: {found}", file=sys.stderr)
    return data.crops
