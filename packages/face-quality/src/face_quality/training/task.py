"""How the network is trained: people by a margin softmax, a teacher's embedding where there is one,
and the quality from certainty ratios."""

import hashlib
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import vitrail.training.loop
from face_quality.data import Crops, aligned_crops, find_photographs
from face_quality.models import ARCHITECTURE, build_model
from face_quality.models.vit_fiqa import Scorer
from face_quality.scale import Calibration
from face_quality.training.loss import MarginSoftmax, certainty_ratio, quality_loss
from face_quality.training.recipe import Recipe
from face_quality.training.samples import Samples, ranked, teacher_embeddings, teacher_ratios
from vitrail.errors import InputError
from vitrail.faces.detector import load_finder
from vitrail.training.loading import loader
from vitrail.weights.files import load_into, read_state

VAL_BATCH = 64
VAL_PICTURES = 4  # of each person


class Task(vitrail.training.loop.Task):
    """Validated on people that it does not learn: ``val/auc`` of its own embedding on their
    pictures, ``val/utility``, the rank correlation of its quality with the certainty ratio (the
    teacher's, or its own), and ``val/both``, their sum."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.network = build_model(recipe.model.config)
        if recipe.model.init:
            load_into(self.network, read_state(recipe.model.init)[0], subject=recipe.model.init)
        train, _, persons = self.split
        classes = int(persons[train].max()) + 1
        loss = recipe.loss
        self.people = MarginSoftmax(
            classes,
            self.network.config.features,
            kind=loss.kind,
            margin=loss.margin,
            scale=loss.scale,
        )
        self.seen: list[tuple[Tensor, ...]] = []

    @property
    def scorer(self) -> Scorer:
        """The network as a job runs it."""
        return Scorer(self.network, embeds=True)

    @cached_property
    def crops(self) -> Crops:
        data = self.recipe.data
        photographs = find_photographs(data.paths, data.leave_out)
        crops = aligned_crops(photographs, load_finder(engine="openvino"))
        return crops.at_most(data.max_pictures) if data.max_pictures else crops

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of the pictures to train on and to validate on, and each picture's person: those
        who are trained on have the lowest numbers."""
        held = held_out(self.crops, self.recipe.data.val_share)
        order = sorted(range(len(self.crops.people)), key=lambda person: person in held)
        rank = np.argsort(order)
        inside = np.isin(self.crops.persons, list(held))
        val = [np.flatnonzero(self.crops.persons == person)[:VAL_PICTURES] for person in held]
        return np.flatnonzero(~inside), np.concatenate(val), rank[self.crops.persons]

    @cached_property
    def taught(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The teacher's embeddings (n, 1 + variants, 128), centred, and its ratios or their
        ranks."""
        teacher = self.recipe.teacher
        if teacher.path is None:
            return None, None
        embeddings = teacher_embeddings(self.crops, teacher.path, teacher.variants)
        ratios = teacher_ratios(embeddings, self.crops.persons)
        if teacher.ranks:
            ratios = ranked(ratios, self.recipe.degraded)
        return embeddings - embeddings[:, 0].mean(axis=0), ratios

    def train_dataloader(self) -> DataLoader:
        train, _, persons = self.split
        samples = Samples(
            self.crops,
            train,
            persons,
            *self.taught,
            degraded=self.recipe.degraded,
            variants=self.recipe.teacher.variants,
            jitters=True,
            shown=2 if self.recipe.loss.alignments else 1,
        )
        size = self.recipe.optim.batch_size
        return loader(samples, size, shuffle=True, drop_last=len(samples) > size)

    def val_dataloader(self) -> DataLoader:
        _, val, persons = self.split
        variants = self.recipe.teacher.variants
        return loader(Samples(self.crops, val, persons, *self.taught, variants=variants), VAL_BATCH)

    def training_step(self, batch: tuple[Tensor, ...], number: int) -> Tensor:
        pixels, *told = batch
        shown = pixels.shape[1]
        persons, taught, ratios = (one.repeat_interleave(shown, dim=0) for one in told)
        images, noise = pixels.flatten(0, 1).float() / 127.5 - 1, None
        if self.recipe.mask != "off":
            noise = torch.rand(len(images), self.network.config.num_tokens, device=self.device)
        official = self.recipe.mask == "official"
        embedding, quality = self.network(images, noise, keep_token=not official)
        rules, teacher = self.recipe.loss, self.recipe.teacher
        total = embedding.new_zeros(())
        if rules.weight or teacher.quality == "own" or teacher.path is None:
            by_person, cosines = self.people(embedding, persons)
            total = total + rules.weight * by_person
            self.log("train/people", by_person.detach())
            if teacher.quality == "own" or teacher.path is None:
                ratios = certainty_ratio(cosines, persons)[:, 0]
        if teacher.path is not None:
            distance = 1 - F.cosine_similarity(embedding, taught).mean()
            total = total + teacher.embedding * distance
            self.log("train/distance", distance.detach())
        known = ~ratios.isnan()
        if known.any():
            error = quality_loss(quality[known, 0], ratios[known].to(quality.dtype))
            total = total + rules.quality * error
            self.log("train/quality", error.detach())
        if rules.alignments:
            first, second = quality.view(-1, shown).T
            apart = F.mse_loss(first, second)
            total = total + rules.alignments * apart
            self.log("train/alignments", apart.detach())
        return total

    def validation_step(self, batch: tuple[Tensor, ...], number: int) -> None:
        pixels, persons, _, ratios = batch
        rows = self.scorer(pixels[:, 0]).float()
        self.seen.append((rows[:, 1:], rows[:, 0], persons, ratios))

    def on_validation_epoch_end(self) -> None:
        vectors, quality, persons, ratios = (
            torch.cat(part).cpu().numpy() for part in zip(*self.seen, strict=True)
        )
        self.seen.clear()
        count = len(vectors) // (1 + self.recipe.teacher.variants)  # as they are, then the copies
        clean, people = vectors[:count], persons[:count]
        pairs = np.triu_indices(count, 1)
        same = (people[:, None] == people[None])[pairs]
        auc = float(roc_auc_score(same, (clean @ clean.T)[pairs]))
        if np.isnan(ratios).all():
            stacked = vectors.reshape(-1, count, vectors.shape[1]).transpose(1, 0, 2)
            _, numbers = np.unique(people, return_inverse=True)
            ratios = teacher_ratios(stacked, numbers).T.ravel()
        known = ~np.isnan(ratios)
        rank = spearmanr(quality[known], ratios[known])
        utility = float(np.nan_to_num(rank.statistic))  # pyright: ignore - SciPy is untyped
        self.log_dict({"val/auc": auc, "val/utility": utility, "val/both": auc + utility})

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        metadata = {
            "system": self.recipe.system,
            "architecture": ARCHITECTURE,
            "config": asdict(self.network.config),
            "taught_by": "dlib" if self.recipe.teacher.path else "nobody",
            "calibration": self.calibration().to_dict(),
        }
        return self.network.state_dict(), metadata

    @torch.inference_mode()
    def calibration(self) -> Calibration:
        """By the people who validate: their pictures, and as many degraded copies."""
        training, qualities = self.network.training, []
        self.network.eval()
        for pixels, *_ in self.val_dataloader():
            qualities.append(self.scorer(pixels[:, 0].to(self.device))[:, 0].float().cpu())
        self.network.train(training)
        found = torch.cat(qualities).numpy()
        count = len(self.split[1])
        reference = (
            f"{count} pictures of {len(held_out(self.crops, self.recipe.data.val_share))} people "
            f"of {self.recipe.name}, and a degraded copy of each"
        )
        return Calibration.of(found[: 2 * count], found[:count], reference)


def held_out(crops: Crops, share: float) -> list[int]:
    """The people of at least two pictures who validate: always the same ones, by a hash of their
    names."""
    counts = np.bincount(crops.persons)
    several = [number for number in range(len(crops.people)) if counts[number] > 1]
    several.sort(key=lambda number: hashlib.sha1(crops.people[number].encode()).hexdigest())
    if len(several) < 4:
        raise InputError("data.paths", "fewer than 4 people have two pictures", "name more")
    return several[: max(2, round(share * len(several)))]
