"""Training samples: aligned faces, degraded copies of them that stay the same for all epochs, and
what a teacher says of each, asked once."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from face_quality.data import MARGIN, SIDE, Crops
from face_quality.training.degrade import VERSION, degrade
from face_quality.training.teacher import DIM, chips, read_teacher
from vitrail.cache import cache_folder
from vitrail.engine import Network, prepare
from vitrail.faces.align import TEMPLATE_SIZE
from vitrail.sources import sha256

# How much the core's landmarks differ from those that others align by (45 photographs, YuNet):
# standard deviations of the turn, the scale and the place of the crop.
TURN, GROWTH, SHIFT = 3.1, 0.05, 1.2  # degrees, share, pixels
BATCH = 32
GREY = 0.1  # of the samples in training are shown without colours
GAMMA = 0.12  # standard deviation of its logarithm: light that leaves a face as useful as it was


def variant(crops: Crops, index: int, number: int) -> np.ndarray:
    """Copy ``number`` of a face, uint8 (128, 128, 3), the same at each call; 0 is the face as it
    is."""
    image = crops.image(index)
    if number == 0:
        return image
    seed = hashlib.sha256(f"{crops.names[index]}/{number}".encode()).digest()[:8]
    return degrade(image, np.random.default_rng(int.from_bytes(seed, "little")))


def teacher_embeddings(crops: Crops, path: Path, variants: int) -> np.ndarray:
    """float32 (n, 1 + variants, 128): the teacher's embedding of each face and its copies, from
    the cache where it lies there."""
    key = hashlib.sha256(
        "\n".join((crops.key, *crops.names, sha256(path), str(variants), str(VERSION))).encode()
    ).hexdigest()[:24]
    place = cache_folder("face-quality") / f"teacher-{key}.npy"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        _ask_teacher(crops, path, variants, place)
    return np.load(place)


def _ask_teacher(crops: Crops, path: Path, variants: int, place: Path) -> None:
    """Fills a file beside ``place``, which becomes it at the end: a call that was interrupted goes
    on where it stopped."""
    example = np.zeros((2, 3, 150, 150), np.uint8)
    network = Network("teacher", lambda: read_teacher(path), example, None)
    engine = prepare(network, engine="openvino", device="cpu")
    part, shape = place.with_suffix(".part"), (len(crops), variants + 1, DIM)
    begun = part.exists()
    rows = np.lib.format.open_memmap(part, "r+" if begun else "w+", np.float32, shape)
    if not begun:
        rows[:] = np.nan
    missing = np.argwhere(np.isnan(rows[..., 0]))
    for start in range(0, len(missing), BATCH):
        asked = missing[start : start + BATCH]
        images = [variant(crops, *one) for one in asked.tolist()]
        rows[tuple(asked.T)] = engine(chips(np.stack(images), MARGIN))
    rows.flush()
    part.replace(place)


def teacher_ratios(embeddings: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Certainty ratios (n, V) of embeddings (n, V, D), by centres of the faces as they are.

    A face's own centre leaves out the face itself, so that somebody with a single face has none and
    the face NaN. A degraded copy has its face's ratio (the mean of all where that is NaN) times the
    cosine that is left between the two: a centre of its own would hold the face that it is made
    from, and so rate a spoilt copy above it. Embeddings are centred first, since those of all
    people lie on one side.
    """
    every = _unit(embeddings - embeddings[:, 0].mean(axis=0))
    clean = every[:, 0]
    count = int(persons.max()) + 1
    sums = np.zeros((count, clean.shape[1]), np.float32)
    np.add.at(sums, persons, clean)
    cosines = clean @ _unit(sums).T
    cosines[np.arange(len(persons)), persons] = -np.inf
    own = (clean * _unit(sums[persons] - clean)).sum(axis=1)
    ratios = own / (cosines.max(axis=1) + 1)
    ratios[np.bincount(persons, minlength=count)[persons] == 1] = np.nan
    known = ratios[~np.isnan(ratios)]
    whole = np.where(np.isnan(ratios), known.mean() if len(known) else 1.0, ratios)
    left = (every[:, 1:] * clean[:, None]).sum(axis=2).clip(min=0)
    return np.column_stack((ratios, whole[:, None] * left)).astype(np.float32)


def ranked(ratios: np.ndarray, degraded: float) -> np.ndarray:
    """Ratios (n, V) as ranks in 0..1 among faces as they are (the first column) and their copies,
    as often as training draws them: ``degraded`` is the share of copies. NaN stays."""
    weights = np.full(ratios.shape, degraded / max(ratios.shape[1] - 1, 1))
    weights[:, 0] = 1 - degraded
    known = ~np.isnan(ratios)
    order = np.argsort(ratios[known], kind="stable")
    below = np.cumsum(weights[known][order])
    ranks = np.full(ratios.shape, np.nan, np.float32)
    ranks[known] = np.interp(ratios[known], ratios[known][order], below / below[-1])
    return ranks


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


class Samples(Dataset):
    """(crops uint8 (K, 3, 112, 112), person, embedding of the picture as it was, ratio) of the
    faces ``chosen``; what nobody teaches is NaN.

    In training a face is shown degraded with probability ``degraded``, in ``shown`` crops that are
    shifted and turned as much as alignments differ, each mirrored half the time; otherwise as it
    is, ``number`` naming the copy.
    """

    def __init__(
        self,
        crops: Crops,
        chosen: np.ndarray,
        persons: np.ndarray,
        embeddings: np.ndarray | None,
        ratios: np.ndarray | None,
        *,
        degraded: float = 0.0,
        variants: int = 0,
        jitters: bool = False,
        shown: int = 1,
    ):
        self.crops, self.chosen, self.persons = crops, chosen, persons
        self.embeddings, self.ratios = embeddings, ratios
        self.degraded, self.variants = degraded, variants
        self.jitters, self.shown = jitters, shown

    def __len__(self) -> int:
        return len(self.chosen) * (1 if self.jitters else 1 + self.variants)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor, float]:
        index, copy = int(self.chosen[number % len(self.chosen)]), number // len(self.chosen)
        random = np.random.default_rng(int(torch.randint(1 << 62, ())))
        if self.jitters:
            copy = 1 + int(random.integers(self.variants)) if random.random() < self.degraded else 0
        image = variant(self.crops, index, copy)
        if self.jitters:
            images = [jittered(image, random) for _ in range(self.shown)]
        else:
            images = [central(image)]
        taught = np.full(DIM, np.nan, np.float32)
        if self.embeddings is not None:
            taught = self.embeddings[index, 0]
        ratio = float("nan") if self.ratios is None else float(self.ratios[index, copy])
        pixels = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
        return pixels, int(self.persons[index]), torch.from_numpy(taught), ratio


def central(image: np.ndarray) -> np.ndarray:
    return image[MARGIN:-MARGIN, MARGIN:-MARGIN]


def jittered(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint8 (112, 112, 3) of (128, 128, 3), as another detector might have aligned it, or in a
    mirror."""
    angle, growth = random.normal(0, TURN), np.exp(random.normal(0, GROWTH))
    matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), angle, growth)
    matrix[:, 2] += random.normal(0, SHIFT, 2) - MARGIN
    if random.random() < 0.5:
        matrix[0] = np.array([0, 0, TEMPLATE_SIZE - 1]) - matrix[0]
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    image = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    levels = np.linspace(0, 1, 256) ** np.exp(random.normal(0, GAMMA))
    image = np.rint(255 * levels).astype(np.uint8)[image]
    if random.random() < GREY:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return image
