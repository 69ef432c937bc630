"""Faces that training never saw, as arrays to score: pseudo-fakes of other people, or the user's
validation crops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator

from deepfake_detect.data import FaceRegion, Pairs
from deepfake_detect.data.augment import augment_alike
from deepfake_detect.data.labelled import LabelledCrops
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.networks import FakeNetwork
from vitrail.engine import prepare
from vitrail.preprocess.image import normalise

SEED = 2  # other pseudo-fakes than those on which weights are chosen
BATCH = 50
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Faces:
    """Crops uint8 (N, S, S, 3), labels (N,), and for each the person, video or folder that it
    shows."""

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def pseudo_faces(
    regions: Sequence[FaceRegion], rule: CropRule, change: Change | None = None, repeats: int = 1
) -> Faces:
    """Each real face with a pseudo-fake, ``repeats`` times; all changed by ``change``, or at random
    as in training."""
    pairs = Pairs(
        regions, rule, seed=SEED, train=False, change=_alike(change) if change else augment_alike
    )
    numbers = range(repeats * len(regions))
    samples = [pairs[number] for number in numbers]
    images, labels = (
        torch.cat([sample[part] for sample in samples]) for part in ("images", "labels")
    )
    groups = np.repeat([number % len(regions) for number in numbers], 2)
    return Faces(_channels_last(images), labels.numpy(), groups)


def crop_faces(crops: LabelledCrops) -> Faces:
    """The user's own validation crops, as they are."""
    images = torch.cat([crops[number]["images"] for number in range(len(crops))])
    labels, groups = zip(*((file.label, file.group) for file in crops.files), strict=True)
    return Faces(_channels_last(images), np.array(labels), np.array(groups))


def score(network: FakeNetwork, images: np.ndarray) -> np.ndarray:
    """P(fake) (N,) of crops uint8 (N, S, S, 3), in plain PyTorch."""
    engine = prepare(network, engine="eager")
    batches = (images[at : at + BATCH] for at in range(0, len(images), BATCH))
    inputs = (normalise(batch, network.crop.mean, network.crop.std) for batch in batches)
    return np.concatenate([network.probability(np.asarray(engine(batch))) for batch in inputs])


def _alike(change: Change) -> Callable[[Sequence[np.ndarray], Generator], list[np.ndarray]]:
    return lambda images, rng: [change(image) for image in images]


def _channels_last(images: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
