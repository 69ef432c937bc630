"""How the pose networks are trained: on labelled, made and taught people at once."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from pose_estimate import system
from pose_estimate.data import Labelled, read_people, split_people
from pose_estimate.models import build_model
from pose_estimate.models.evitpose import Answer, EViTPose
from pose_estimate.models.ready import MEAN, STD
from pose_estimate.models.unitranspose import UniTransPose
from pose_estimate.pose.crop import CropShape
from pose_estimate.pose.decode import decode, frames_of_crops
from pose_estimate.skeleton import Skeleton, read_skeleton, skeleton, skeletons
from pose_estimate.training.finder import FinderTask
from pose_estimate.training.recipe import Recipe
from pose_estimate.training.samples import Batches, Draw, FromPictures, Whole
from pose_estimate.training.trunk import TrunkTask
from vitrail.errors import InputError, UsageError
from vitrail.sources import image_files
from vitrail.training.loading import Numbers, loader

# Of the losses: heat maps are nearly empty, so that their mean squares are small.
LOSS_WEIGHTS = {"heatmap": 500.0, "token": 250.0, "places": 1.0, "distil": 1.0}
RIGHT_WITHIN = 0.1  # of a box's longer side
HALF = 0.5  # the share of patches at which EViTPose is validated a second time


def Task(recipe: Recipe) -> "PoseTask | FinderTask":
    """What the recipe's architecture asks for."""
    return FinderTask(recipe) if recipe.model.architecture == "finder" else PoseTask(recipe)


class PoseTask(TrunkTask):
    """Trains EViTPose or UniTransPose; ``val/pck`` is the share of joints within a tenth of the
    box's longer side, ``val/pck_half`` the same with half of the patches."""

    recipe: Recipe
    mean: Tensor
    std: Tensor
    network: EViTPose | UniTransPose

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.bones = find_skeleton(recipe.skeleton)
        options = recipe.model.config | {"num_joints": len(self.bones)}
        self.options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        self.network = build_model(recipe.model.architecture, self.options)
        embed = getattr(self.network, "patch_embed", None)
        self.begin(getattr(embed, "trunk", getattr(self.network, "lite", None)), MEAN, STD)
        height, width = self.network.config.img_size
        self.shape = CropShape((height, width))
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1), persistent=False)
        self.right: dict[str, list[Tensor]] = {}

    @cached_property
    def people(self) -> tuple[list[Labelled], list[Labelled]]:
        """Who is trained on, and who validates."""
        labelled = [one for source in self.recipe.data.labelled for one in read_people(source)]
        train, val = split_people(labelled, self.recipe.data.val_share)
        if not train or not val:
            problem = f"leaves {len(train)} people to train on and {len(val)} to validate"
            raise InputError("data.val_share", problem, "give more pictures or another share")
        return train, val

    def train_dataloader(self) -> DataLoader:
        recipe = self.recipe
        batches = Batches(
            self._sources(), self.shape, self.bones, recipe.augment, recipe.optim.batch_size,
            recipe.seed,
        )  # fmt: skip
        return loader(batches, None, workers=recipe.workers, sampler=Numbers(recipe.epoch))

    def val_dataloader(self) -> DataLoader:
        whole = Whole(FromPictures(self.people[1], self.bones), self.shape, 16)
        return loader(whole, None, sampler=range(len(whole)))

    def _sources(self) -> list[tuple[float, Draw]]:
        data, sources = self.recipe.data, []
        rest = 1.0
        if data.teacher:
            from pose_estimate.training.teacher import teach

            taught, _ = split_people(teach(data.teacher), data.val_share)
            if not taught:
                raise InputError(data.teacher.cache, "holds nobody", "lower teacher.min_score")
            sources.append((data.teacher.share, FromPictures(taught, self.bones)))
            rest -= data.teacher.share
        if data.made:
            from pose_estimate.training.render import Renderer

            grounds = pictures_in(data.made.backgrounds)
            sources.append((data.made.share, Renderer(grounds, self.bones)))
            rest -= data.made.share
        if rest <= 0:
            raise UsageError("data", "leaves no share to labelled people", "lower the other shares")
        return [(rest, FromPictures(self.people[0], self.bones)), *sources]

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        images = (batch["images"].float() - self.mean) / self.std
        keep = self._drawn_keep(number)
        answer = _answer(self.network, images, keep)
        losses = pose_losses(answer, batch)
        if keep < 1 and self.recipe.pruning.distil:
            with torch.no_grad():
                whole = _answer(self.network, images, 1.0)
            losses["distil"] = self.recipe.pruning.distil * distillation(answer, whole, batch)
        loss = torch.stack([LOSS_WEIGHTS[name] * part for name, part in losses.items()]).sum()
        self.log_dict({f"train/{name}": part.detach() for name, part in losses.items()})
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _drawn_keep(self, number: int) -> float:
        """From the seed and the step alone."""
        pruning = self.recipe.pruning
        rng = np.random.default_rng((self.recipe.seed, self.global_step, number))
        if isinstance(self.network, UniTransPose) or rng.random() >= pruning.share:
            return 1.0
        return float(rng.uniform(pruning.min_keep, 1))

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        for name, keep in self._keeps():
            joints, _ = self._found(batch, keep)
            right = self._right(joints, batch)
            self.right.setdefault(name, []).append(right[batch["weights"].cpu() > 0])

    def _keeps(self) -> tuple[tuple[str, float], ...]:
        pruned = isinstance(self.network, EViTPose) and self.network.config.select_after
        return (("pck", 1.0), ("pck_half", HALF)) if pruned else (("pck", 1.0),)

    def _found(self, batch: dict[str, Tensor], keep: float) -> tuple[Tensor, Tensor]:
        """Joints (B, K, 2) in pixels of the crop, and the value behind their score (B, K)."""
        images = (batch["images"].float() - self.mean) / self.std
        answer = _answer(self.kept_network, images, keep)
        maps = answer.heatmaps if answer.heatmaps is not None else answer.token_maps
        if maps is not None:
            maps = maps.float().cpu().numpy()
            found = torch.from_numpy(decode(maps, frames_of_crops(self.shape, len(maps))))
            return found[..., :2], found[..., 2]
        assert answer.places is not None
        places = answer.places.float().cpu()
        sides = torch.tensor(self.shape.size[::-1])
        return places[..., :2] * sides - 0.5, (-places[..., 2].exp()).exp()

    def _right(self, joints: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Whether each joint (B, K) is near enough."""
        sides = torch.tensor(self.shape.size[::-1])
        known = batch["places"].cpu() * sides - 0.5
        off = (joints - known).norm(dim=2)
        return off <= RIGHT_WITHIN * batch["sizes"].cpu()[:, None]

    def on_validation_epoch_end(self) -> None:
        for name, parts in self.right.items():
            self.log(f"val/{name}", torch.cat(parts).float().mean(), prog_bar=True)
        self.right.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.kept_network.state_dict(), {
            "system": system.name,
            "architecture": self.recipe.model.architecture,
            "config": self.options,
            "skeleton": self.bones.to_dict(),
            "calibration": self.calibrated(),
        }

    @torch.no_grad()
    def calibrated(self) -> dict[str, float]:
        """From the head's values to the probability that a joint is right, and from which one on it
        is called visible, on who validates."""
        from sklearn.linear_model import LogisticRegression

        self.eval()
        values, right = [], []
        for batch in self.val_dataloader():
            moved = {key: value.to(self.device) for key, value in batch.items()}
            joints, value = self._found(moved, 1.0)
            labelled = batch["weights"] > 0
            values.append(value[labelled])
            right.append(self._right(joints, batch)[labelled])
        x, y = torch.cat(values).numpy()[:, None], torch.cat(right).numpy()
        if y.all() or not y.any():
            return {}
        fitted = LogisticRegression(C=100.0).fit(x, y)
        limit = visible_limit(fitted.predict_proba(x)[:, 1], y)
        slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        return {"slope": slope, "bias": bias, "visible_above": limit}


def visible_limit(scores: np.ndarray, right: np.ndarray) -> float:
    """The score from which on joints are best told apart into right and wrong: the largest F1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, limits = precision_recall_curve(right, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return round(float(limits[f1[:-1].argmax()]), 3)


def _answer(network: nn.Module, images: Tensor, keep: float) -> Answer:
    if isinstance(network, EViTPose):
        return network(images, [(at, keep) for at in network.config.select_after])
    return network(images)


def pose_losses(answer: Answer, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What each head's answer costs: of heat maps the mean square, of places the negative logarithm
    of a Laplace density; joints of weight 0 cost nothing."""
    weights = batch["weights"]
    count = weights.sum().clamp(min=1)
    losses = {}
    for name, maps in (("heatmap", answer.heatmaps), ("token", answer.token_maps)):
        if maps is not None:
            squares = (maps.float() - batch["heatmaps"]).square().mean(dim=(2, 3))
            losses[name] = (squares * weights).sum() / count
    if answer.places is not None:
        places = answer.places.float()
        spread = places[..., 2].clamp(-6, 3)
        off = (places[..., :2] - batch["places"]).abs().sum(dim=2)
        losses["places"] = ((off * (-spread).exp() + 2 * spread) * weights).sum() / count
    return losses


def distillation(answer: Answer, whole: Answer, batch: dict[str, Tensor]) -> Tensor:
    """The Kullback-Leibler divergence of heat maps from those of all patches, as distributions over
    cells."""
    assert answer.heatmaps is not None and whole.heatmaps is not None
    pruned, target = (maps.float().flatten(2) * 10 for maps in (answer.heatmaps, whole.heatmaps))
    apart = F.kl_div(
        pruned.log_softmax(dim=2), target.log_softmax(dim=2), reduction="none", log_target=True
    ).sum(dim=2)
    return (apart * batch["weights"]).sum() / batch["weights"].sum().clamp(min=1)


def find_skeleton(name: str) -> Skeleton:
    """A skeleton of the table, or of the user's own file."""
    if name not in skeletons() and Path(name).suffix == ".toml":
        return read_skeleton(Path(name))
    return skeleton(name)


def pictures_in(folders: tuple[Path, ...]) -> list[Path]:
    """The images of all folders; InputError without any."""
    found = [path for folder in folders for path in image_files(folder)]
    if not found:
        raise InputError(folders[0], "holds no image", "name another folder")
    return found
