"""How the networks are trained: on sounds without labels (the masked pretext), or on labelled
ones."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

import vitrail.training.loop
from audio_classify.checkpoint import initial_trunk
from audio_classify.data import (
    AlikeLengths,
    Augment,
    Clip,
    Spectrograms,
    collate,
    excerpts,
    held_out,
    read_clips,
    spectrograms,
    statistics,
)
from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.models.pretext import (
    MaskedModel,
    PretextLoss,
    clustered_mask,
    joined,
    official_mask,
)
from audio_classify.models.speech import SpeechStem
from audio_classify.models.ssast import SSAST, AudioCNN, Trunk
from audio_classify.official import SAMPLE_RATE
from audio_classify.sound.features import Features
from audio_classify.training.heard import Heard, Hearing
from audio_classify.training.recipe import Adapt, Labelled, Recipe, Unlabelled
from audio_classify.training.starts import start_stem
from vitrail.errors import InputError, UsageError
from vitrail.preprocess.audio import sound_files
from vitrail.training.loading import loader
from vitrail.training.lora import merged
from vitrail.weights.files import load_into

VAL_BATCH, HEARD_BATCH = 16, 256
MASK_SEED = 1
FEW_TOKENS = 512
AS_IT_IS = (0.0, 0.5)  # mean and deviation that leave log energies alone
FIT_CLIPS = 64  # of the training clips, on which val/fit is measured


def Task(recipe: Recipe) -> "SoundTask":
    """What the recipe's kind of data asks for."""
    return Classify(recipe) if recipe.data.kind == "labelled" else Pretrain(recipe)


class SoundTask(vitrail.training.loop.Task):
    """Spectrograms in memory, in batches of about the same length, normalised by their own mean and
    deviation."""

    recipe: Recipe
    network: SSAST | AudioCNN | Trunk
    scale: Tensor
    datasets: tuple[Spectrograms, Spectrograms]

    def __init__(self, recipe: Recipe, network: SSAST | AudioCNN | Trunk, **features: Any):
        super().__init__(recipe)
        self.network, self.options = network, features
        # Known only when the clips are read; a buffer, so that it is kept with the weights.
        self.register_buffer("scale", torch.tensor([0.0, 1.0]))

    def setup(self, stage: str) -> None:
        if getattr(self.network.config, "stem", None) == "speech":
            self.scale.copy_(torch.tensor(AS_IT_IS))
        else:
            self.scale.copy_(torch.tensor(statistics(self.datasets[0].clips)))

    @property
    def features(self) -> Features:
        mean, deviation = self.scale.tolist()
        longest = self.network.config.num_frames
        return Features(SAMPLE_RATE, mean, deviation, longest, **self.options)

    def train_dataloader(self) -> DataLoader:
        train, _ = self.datasets
        batches = AlikeLengths([len(clip) for clip in train.clips], self.recipe.optim.batch_size)
        return loader(train, batch_sampler=batches, collate_fn=self.collate)

    def val_dataloader(self) -> DataLoader:
        val = self.datasets[1]
        order = sorted(range(len(val)), key=lambda number: len(val.clips[number]))
        batches = [order[at : at + VAL_BATCH] for at in range(0, len(order), VAL_BATCH)]
        return loader(val, batch_sampler=batches, collate_fn=self.collate)

    def attention(self) -> AbstractContextManager:
        """Few tokens on a CPU: attention written out makes a step a quarter faster, since the fused
        one is slow there in its backward pass; with many tokens its matrices would fill the
        memory."""
        config = self.network.config
        few = (
            isinstance(config, SSASTConfig)
            and math.prod(config.grid(config.num_frames)) <= FEW_TOKENS
        )
        return sdpa_kernel(SDPBackend.MATH) if few and self.device.type == "cpu" else nullcontext()

    @property
    def collate(self) -> partial:
        config = self.network.config
        return partial(collate, features=self.features, min_frames=config.min_frames)

    def metadata(self, num_classes: int, labels: list[str]) -> dict[str, Any]:
        return {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": self.recipe.model.config | {"num_classes": num_classes},
            "features": self.features.to_dict(),
            "labels": labels,
        }


class Classify(SoundTask):
    """Cross-entropy on labelled sounds; ``val/accuracy``, or ``val/fit`` where nothing is held
    out."""

    network: SSAST | AudioCNN

    def __init__(self, recipe: Recipe):
        assert isinstance(recipe.data, Labelled)
        train, val = split(recipe.data)
        labels = sorted({clip.label for clip in train})
        config = recipe.model.config | {"num_classes": len(labels)}
        options = {"kept_bins": recipe.data.kept_bins, "centred": recipe.data.centred}
        self.unknown, self.kept = recipe.data.unknown, recipe.data.kept
        if self.unknown is not None and not {self.unknown} < {clip.label for clip in val}:
            problem = f"needs validation clips of {self.unknown} and of the classes"
            raise UsageError("data.unknown", problem, "name groups in data.val")
        super().__init__(recipe, build_model(recipe.model.architecture, config), **options)
        self.train_clips, self.val_clips, self.labels = train, val, labels
        if recipe.model.init:
            assert isinstance(self.network, SSAST)
            load_into(
                self.network.trunk,
                initial_trunk(recipe.model.init, self.network.config),
                subject=recipe.model.init,
            )
        if recipe.model.start:
            start_stem(self.network)
        adapt(self.network, recipe.adapt)

    @cached_property
    def datasets(self) -> tuple[Spectrograms, Spectrograms]:
        train = self._spectrograms(self.train_clips, self.recipe.augment)
        if not self.val_clips:
            every = max(1, len(train) // FIT_CLIPS)
            return train, Spectrograms(train.clips[::every], train.longest, train.classes[::every])
        return train, self._spectrograms(self.val_clips, None)

    def _spectrograms(self, clips: list[Clip], augment: Augment | None) -> Spectrograms:
        paths = [clip.path for clip in clips]
        classes = [self.labels.index(clip.label) for clip in clips]
        levels = self.recipe.levels if augment else ()
        return Spectrograms(
            spectrograms(paths, self.features),
            self.network.config.num_frames,
            classes,
            augment,
            [spectrograms(paths, self.features, gain) for gain in levels],
        )

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.recipe.model.copies:
            self.heard = self._hear()

    def _hear(self) -> tuple[Heard, Heard]:
        """Training and validation, as the stem hears them."""
        stem = self.network.trunk.patch_embed if isinstance(self.network, SSAST) else None
        if not isinstance(stem, SpeechStem):
            problem = "keeps the stem speech as it is"
            raise UsageError("model.copies", problem, "set model.config.stem")
        stem.features.requires_grad_(False).eval()
        hearing = Hearing(
            stem, self.features, self.recipe.augment, self.recipe.levels, self.recipe.seed
        )
        parts = (self.train_clips, self.recipe.model.copies), (self.val_clips, 0)
        train, val = (
            Heard(
                hearing.hear([clip.path for clip in clips], copies),
                [self.labels.index(clip.label) for clip in clips],
            )
            for clips, copies in parts
        )
        if not len(val):
            every = max(1, len(train) // FIT_CLIPS)
            val = Heard([clip[:1] for clip in train.clips[::every]], train.classes[::every])
        return train, val

    def train_dataloader(self) -> DataLoader:
        if not self.recipe.model.copies:
            return super().train_dataloader()
        size = min(self.recipe.optim.batch_size, len(self.heard[0]))
        return loader(self.heard[0], batch_size=size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        if not self.recipe.model.copies:
            return super().val_dataloader()
        return loader(self.heard[1], batch_size=HEARD_BATCH)

    def _logits(self, image: Tensor) -> Tensor:
        """From spectrograms, or from what the stem heard of them."""
        if not self.recipe.model.copies:
            return self.network(image)
        assert isinstance(self.network, SSAST)
        return self.network.judge(image)

    @cached_property
    def weights_of_classes(self) -> Tensor | None:
        if not self.recipe.class_weights:
            return None
        counts = torch.tensor(
            [sum(clip.label == label for clip in self.train_clips) for label in self.labels]
        )
        return len(self.train_clips) / (len(self.labels) * counts)

    @property
    def measured(self) -> Sequence[str]:
        return ("val/loss", "val/accuracy") if self.val_clips else ("val/fit",)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        image, classes = batch
        targets = F.one_hot(classes, len(self.labels)).float()
        if self.recipe.mixup:
            image, targets = mix(image, targets, self.recipe.mixup)
        with self.attention():
            logits = self._logits(image)
        loss = F.cross_entropy(
            logits.float(),
            targets,
            weight=self.weights_of_classes,
            label_smoothing=self.recipe.smoothing,
        )
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        image, classes = batch
        logits = self._logits(image).float()
        loss = F.cross_entropy(logits, classes)
        if not self.val_clips:
            self.log("val/fit", loss, batch_size=len(image))
            return
        self.log("val/loss", loss, batch_size=len(image))
        self.log(
            "val/accuracy", (logits.argmax(1) == classes).float().mean(), batch_size=len(image)
        )

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        metadata = self.metadata(len(self.labels), self.labels)
        if self.unknown is not None:
            metadata |= {"unknown": self.unknown, "accept": self._accept(self.unknown)}
        return merged(self.network).state_dict(), metadata

    @torch.inference_mode()
    def _accept(self, unknown: str) -> float:
        """The probability that the likeliest known class of ``kept`` of the known validation clips
        reaches."""
        number = self.labels.index(unknown)
        self.network.eval()
        best = []
        for image, classes in self.val_dataloader():
            scores = self._logits(image.to(self.device)).float().softmax(1).cpu()
            scores[:, number] = 0
            best.append(scores.amax(1)[classes != number])
        return round(torch.cat(best).quantile(1 - self.kept).item(), 4)


class Pretrain(SoundTask):
    """The joint pretext loss on sounds without labels; ``val/loss`` and ``val/matched``, always on
    the same masks."""

    def __init__(self, recipe: Recipe):
        model = MaskedModel(SSASTConfig(**recipe.model.config))
        assert isinstance(recipe.data, Unlabelled)
        super().__init__(recipe, model.trunk)
        self.model, self.data = model, recipe.data
        if recipe.model.init:
            load_into(
                self.network,
                initial_trunk(recipe.model.init, model.config),
                subject=recipe.model.init,
            )

    @cached_property
    def datasets(self) -> tuple[Spectrograms, Spectrograms]:
        clips = list(excerpts(unlabelled_files(self.data), self.features))
        order = torch.randperm(
            len(clips), generator=torch.Generator().manual_seed(MASK_SEED)
        ).tolist()
        count = max(1, round(self.data.val_share * len(clips)))
        chosen = [[clips[number] for number in part] for part in (order[count:], order[:count])]
        longest = self.model.config.num_frames
        return Spectrograms(chosen[0], longest, augment=self.recipe.augment), Spectrograms(
            chosen[1], longest
        )

    def _losses(self, image: Tensor, generator: torch.Generator) -> PretextLoss:
        grid = self.model.config.grid(image.shape[1])
        count = max(1, round(self.data.masked * grid[0] * grid[1]))
        draw = official_mask if self.data.official else clustered_mask

        def loss() -> PretextLoss:
            masked = torch.stack([draw(grid, count, generator) for _ in image])
            return self.model(image, masked.to(image.device))

        return joined(loss(), loss()) if self.data.official else loss()

    @property
    def measured(self) -> Sequence[str]:
        return "val/loss", "val/matched", "val/generative"

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        with self.attention():
            loss = self._losses(batch[0], generator)
        self.log_dict({"train/loss": loss.total.detach(), "train/matched": loss.accuracy})
        return loss.total

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        loss = self._losses(
            batch[0], torch.Generator().manual_seed(MASK_SEED)
        )  # the same masks each time
        values = {
            "val/loss": loss.total,
            "val/matched": loss.accuracy,
            "val/generative": loss.generative,
        }
        self.log_dict(values, batch_size=len(batch[0]))

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {
            f"trunk.{key}": value for key, value in self.network.state_dict().items()
        }, self.metadata(0, [])


def split(data: Labelled) -> tuple[list[Clip], list[Clip]]:
    """Training and validation clips, without those of the test; InputError where training lacks a
    class."""
    clips = [
        clip
        for clip in read_clips(data.path, data.label)
        if clip.facts.get(data.by) not in data.test
    ]
    if data.val:
        train = [clip for clip in clips if clip.facts.get(data.val_by) not in data.val]
        val = [clip for clip in clips if clip.facts.get(data.val_by) in data.val]
    else:
        train, val = held_out(clips, data.val_by, data.val_share) if data.val_share else (clips, [])
    if missing := {clip.label for clip in val} - {clip.label for clip in train} or not train:
        raise InputError(
            data.path,
            f"the split leaves no training sound of {missing}",
            "give more, or a smaller share",
        )
    return train, val


def unlabelled_files(data: Unlabelled) -> list[Path]:
    """The sound files of folders, and the clips of lists that are not in the test."""
    files = []
    for path in data.paths:
        if path.suffix == ".csv":
            files += [
                clip.path
                for clip in read_clips(path, "path")
                if clip.facts.get(data.by) not in data.test
            ]
        else:
            files += sound_files(path)
    if not files:
        raise InputError(data.paths[0], "holds no sound file", "name a folder of recordings")
    return files


def adapt(network: SSAST | AudioCNN, how: Adapt) -> None:
    """Freezes what is not trained, and adds the low-rank updates."""
    if how.kind == "full":
        return
    assert isinstance(network, SSAST)
    network.trunk.requires_grad_(False)
    if how.kind == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        layers = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
        config = LoraConfig(r=how.rank, lora_alpha=2 * how.rank, target_modules=layers)
        inject_adapter_in_model(config, network.trunk)


def mix(image: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup: each clip blended with another of the batch, and the targets (B, classes) alike."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(image),)).to(image)
    other = torch.randperm(len(image), device=image.device)
    blend = [
        torch.lerp(part[other], part, share.view(-1, *[1] * (part.ndim - 1)))
        for part in (image, targets)
    ]
    return blend[0], blend[1]
