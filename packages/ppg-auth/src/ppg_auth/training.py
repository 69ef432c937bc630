"""How the network is trained: an angular margin between people, on people whom no test will see."""

import math
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import vitrine.recipes
import vitrine.training
from ppg_auth.augment import mask_scalogram
from ppg_auth.comparison import Attempts, Embeddings, Protected, Scorer, compare, halves, plain
from ppg_auth.data import TAKES_A_PERSON, Data, Take, TrainingWindows, good_items, load_takes, read_takes
from ppg_auth.model import ARCHITECTURE, EMBED_DIM, EXPERT_DIM, build_model
from ppg_auth.preprocess import SignalConfig, Windows
from ppg_auth.scoring import placement_mean
from vitrine.errors import UsageError
from vitrine.recipes import Section
from vitrine.samplers import Numbers

FALSE_MATCH_RATES = ("0.01", "0.05")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the beat expert, from which validation chooses
EMBED_BATCH = 64


class Signal(Section):
    """The signal chain's settings, as in ``preprocess.SignalConfig``."""

    grid: PositiveFloat = SignalConfig.grid
    drift: PositiveFloat = SignalConfig.drift
    motion: Literal["none", "ssa"] = SignalConfig.motion
    band: tuple[PositiveFloat, PositiveFloat] = SignalConfig.band
    rate: PositiveFloat = SignalConfig.rate
    window: PositiveFloat = SignalConfig.window
    hop: PositiveFloat = SignalConfig.hop
    context: PositiveFloat = SignalConfig.context
    normalise: Literal["minmax", "zscore"] = SignalConfig.normalise

    def config(self) -> SignalConfig:
        return SignalConfig(**self.model_dump())


class Recipe(vitrine.recipes.Recipe):
    """``model`` holds options of ``model.ModelConfig``; the window's size and rate follow from ``signal``.

    ``scale`` and ``margin`` (radians) are those of the angular margin; ``epoch`` is a number of batches.
    """

    data: Data
    signal: Signal = Signal()
    model: dict[str, Any] = Field(default_factory=dict)
    scale: PositiveFloat = 30.0
    margin: NonNegativeFloat = 0.2
    epoch: PositiveInt = 50


class Task(vitrine.training.Task):
    """Learns to tell the training people apart; ``val/auc`` says how well that tells people apart whom it never saw."""

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        _refuse_people_twice(recipe)
        self.signal = recipe.signal.config()
        sizes = {"samples": self.signal.samples, "rate": self.signal.rate}
        self.model = build_model(recipe.model | sizes)
        self.takes = {part: load_takes(recipe.data, recipe.data.people(part), self.signal) for part in ("train", "val")}
        if self.model.expert is not None:
            self._fit_expert()
        if self.model.fusion is not None:
            dim = self.model.fusion[-1].out_features
            self.directions = nn.Parameter(torch.randn(len(self.windows.people), dim) / math.sqrt(dim))

    @cached_property
    def windows(self) -> TrainingWindows:
        return TrainingWindows(self.takes["train"], self.signal, self.recipe.seed)

    def train_dataloader(self) -> DataLoader:
        size = max(TAKES_A_PERSON, self.recipe.optim.batch_size)
        return DataLoader(self.windows, size, sampler=Numbers(self.recipe.epoch * size), num_workers=1)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([torch.zeros(1)])  # one step: recordings are compared as wholes

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        items, people = batch
        wave = items[:, : self.signal.samples]
        rng = np.random.default_rng((self.recipe.seed, self.global_step))
        with torch.no_grad():
            scalogram = mask_scalogram(self.model.scalogram(wave), rng)
        logits = angular_margin(self.model.look(wave, scalogram), self.directions, people, self.recipe.margin)
        loss = F.cross_entropy(self.recipe.scale * logits, people)
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log("train/accuracy", (logits.argmax(dim=1) == people).float().mean())
        return loss

    def validation_step(self, batch: Tensor, number: int) -> None:
        attempts = _first_against_rest(self._embeddings("val"), plain)
        self.log("val/auc", roc_auc_score(attempts.genuine, attempts.scores), prog_bar=True, batch_size=1)

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network, its cohort of training people, thresholds from validation people, and who was in either."""
        self.model.train(False)
        if self.model.expert is not None and self.model.fusion is not None:
            self._choose_share()
        cohort = self._cohort()
        attempts = _first_against_rest(self._embeddings("val"), Protected(cohort))
        impostors = attempts.scores[~attempts.genuine]
        metadata = {
            "system": self.recipe.system,
            "architecture": ARCHITECTURE,
            "config": asdict(self.model.config),
            "signal": asdict(self.signal),
            "thresholds": {rate: float(np.quantile(impostors, 1 - float(rate))) for rate in FALSE_MATCH_RATES},
            "people": {part: self.recipe.data.people(part) for part in ("train", "val")},
        }
        return {**self.model.state_dict(), "cohort": torch.from_numpy(cohort)}, metadata

    def _cohort(self) -> np.ndarray:
        """Placement means (c, 128): of each training recording, and of each half of the strangers' recordings."""
        strangers = read_takes(self.recipe.data.strangers(), self.signal).values()
        placements = list(self._embeddings("train").values())
        placements += [half for windows in strangers for half in np.array_split(embed(self.model, windows), 2)]
        return np.stack([placement_mean(rows) for rows in placements if len(rows)])

    def _fit_expert(self) -> None:
        everyone = sorted({take.person for take in self.takes["train"]})
        takes = [(everyone.index(take.person), windows) for take, windows in self.takes["train"].items()]
        people = torch.tensor([person for person, windows in takes for _ in range(windows.good.sum())])
        beats = good_items(windows for _, windows in takes)[:, self.signal.samples :]
        whole = beats.abs().sum(dim=1) > 0
        self.model.expert.fit(beats[whole], people[whole])

    def _choose_share(self) -> None:
        embeddings = self._embeddings("val")
        dim, now = EXPERT_DIM, self.model.share.item()

        def auc(share: float) -> float:
            weights = np.repeat(np.sqrt([(1 - share) / (1 - now), share / now]), [EMBED_DIM - dim, dim])
            attempts = _first_against_rest({take: rows * weights for take, rows in embeddings.items()}, plain)
            return roc_auc_score(attempts.genuine, attempts.scores)

        self.model.share.fill_(max(SHARES, key=auc))

    def _embeddings(self, part: str) -> dict[Take, np.ndarray]:
        return {take: embed(self.model, windows) for take, windows in self.takes[part].items()}


def angular_margin(embeddings: Tensor, directions: Tensor, people: Tensor, margin: float) -> Tensor:
    """Cosines (B, P) of unit rows to people's directions, the own person's angle enlarged by ``margin`` radians.

    Source: Deng et al., "ArcFace", 2019, equation 3.
    """
    cosines = embeddings @ F.normalize(directions, dim=1).T
    own = F.one_hot(people, len(directions)).bool()
    angles = cosines.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return torch.where(own, (angles + margin).clamp(max=math.pi).cos(), cosines)


@torch.inference_mode()
def embed(model: nn.Module, windows: Windows) -> np.ndarray:
    """The unit embeddings (n, 128) float32 of a recording's good windows."""
    training = model.training
    model.train(False)
    items = torch.from_numpy(windows.items[windows.good])
    rows = [model(part) for part in items.split(EMBED_BATCH)] if len(items) else [torch.empty(0, 128)]
    model.train(training)
    return torch.cat(rows).numpy()


def _first_against_rest(embeddings: Embeddings, scorer: Scorer) -> Attempts:
    enrol, probe, embeddings = halves(embeddings)
    return compare(embeddings, enrol, probe, scorer)


def _refuse_people_twice(recipe: Recipe) -> None:
    seen: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for person in recipe.data.people(part):
            if person in seen:
                raise UsageError(f"data.{part}", f"{person} is in {seen[person]} too", "leave them out of one")
            seen[person] = part
