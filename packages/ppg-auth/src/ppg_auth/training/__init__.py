"""How the network is trained: an angular margin between people, on people whom no test will see."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import vitrail.training.loop
import vitrail.training.recipe
from ppg_auth.checkpoint import ARCHITECTURE
from ppg_auth.data import ClosedSet, Data, Take, load_takes
from ppg_auth.decide.decision import FMR, Impostors, threshold
from ppg_auth.measure.figures import Attempts, Placement, Scorer, compare, plain, protected
from ppg_auth.model import build_model
from ppg_auth.networks import embed
from ppg_auth.signal.windows import SignalConfig
from ppg_auth.training.augment import (
    TAKES_PER_PERSON,
    TrainingWindows,
    good_items,
    mask_scalogram,
)
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader
from vitrail.training.recipe import Section

ATTEMPT_WINDOWS = 7  # of 5 s, half overlapping: 20 s


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


class Recipe(vitrail.training.recipe.Recipe):
    """``model`` holds options of ``model.ModelConfig``; the window's size and rate follow from
    ``signal``.

    ``scale`` and ``margin`` (radians) are those of the angular margin; ``epoch`` is a number of
    batches; ``share`` is what the beat expert counts beside the branches, where there are both.
    """

    data: Data
    signal: Signal = Signal()
    model: dict[str, Any] = Field(default_factory=dict)
    scale: PositiveFloat = 30.0
    margin: NonNegativeFloat = 0.2
    epoch: PositiveInt = 50
    share: Annotated[float, Field(ge=0, le=1)] = 0.75


class Task(vitrail.training.loop.Task):
    """Learns to tell the training people apart; ``val/auc`` says how well that tells people apart
    whom it never saw.

    Of a recipe of closed-set data it makes the paper's experiment instead.

    A recipe that monitors ``val/steps`` keeps the last state: few validation people cannot tell
    which one is best.
    """

    recipe: Recipe

    def __new__(cls, recipe: Recipe):
        if isinstance(recipe.data, ClosedSet):
            from ppg_auth.training.paper import ClosedSetTask

            return ClosedSetTask(recipe)
        return super().__new__(cls)

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        _refuse_people_twice(recipe)
        self.signal = recipe.signal.config()
        sizes = {"samples": self.signal.samples, "rate": self.signal.rate}
        self.model = build_model(recipe.model | sizes)
        self.takes = {
            part: load_takes(recipe.data, recipe.data.people(part), self.signal)
            for part in ("train", "val")
        }
        if self.model.expert is not None:
            self._fit_expert()
        if self.model.expert is not None and self.model.fusion is not None:
            self.model.share.fill_(recipe.share)
        if self.model.fusion is not None:
            last = self.model.fusion[-1]
            assert isinstance(last, nn.Linear)
            dim = last.out_features
            self.directions = nn.Parameter(
                torch.randn(len(self.windows.people), dim) / math.sqrt(dim)
            )

    @cached_property
    def windows(self) -> TrainingWindows:
        return TrainingWindows(self.takes["train"], self.signal, self.recipe.seed)

    @property
    def measured(self) -> Sequence[str]:
        return "val/auc", "val/steps"

    def train_dataloader(self) -> DataLoader:
        size = max(TAKES_PER_PERSON, self.recipe.optim.batch_size)
        numbers = Numbers(self.recipe.epoch * size)
        return loader(self.windows, size, workers=1, sampler=numbers)

    def val_dataloader(self) -> DataLoader:
        return loader([torch.zeros(1)])  # one step: recordings are compared as wholes

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        items, people = batch
        wave = items[:, : self.signal.samples]
        rng = np.random.default_rng((self.recipe.seed, self.global_step))
        with torch.no_grad():
            scalogram = mask_scalogram(self.model.scalogram(wave), rng)
        logits = angular_margin(
            self.model.look(wave, scalogram), self.directions, people, self.recipe.margin
        )
        loss = F.cross_entropy(self.recipe.scale * logits, people)
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log("train/accuracy", (logits.argmax(dim=1) == people).float().mean())
        return loss

    def validation_step(self, batch: Tensor, number: int) -> None:
        attempts = _first_against_rest(self._embeddings("val"), plain)
        self.log(
            "val/auc", roc_auc_score(attempts.genuine, attempts.scores), prog_bar=True, batch_size=1
        )
        self.log("val/steps", float(self.global_step), batch_size=1)

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network, how wrong people score, and who was in training and in validation."""
        self.model.train(False)
        metadata = {
            "system": self.recipe.system,
            "architecture": ARCHITECTURE,
            "config": asdict(self.model.config),
            "signal": asdict(self.signal),
            "impostors": asdict(self._impostors()),
            "people": {part: self.recipe.data.people(part) for part in ("train", "val")},
        }
        return self.model.state_dict(), metadata

    def _impostors(self) -> Impostors:
        """How validation people score against each other, with the kind of sensor that makes them
        most alike."""
        embeddings, found = self._embeddings("val"), []
        for sensor in {take.sensor for take in embeddings}:
            of_one_kind = {take: rows for take, rows in embeddings.items() if take.sensor == sensor}
            attempts = _first_against_rest(of_one_kind, protected)
            scores = attempts.scores[~attempts.genuine]
            if len(scores) > 1:
                found.append(Impostors(float(scores.mean()), float(scores.std())))
        if not found:
            raise UsageError("data.val", "has no two people with good recordings", "give more")
        return max(
            found, key=lambda impostors: impostors.mean + threshold(FMR) * impostors.deviation
        )

    def _fit_expert(self) -> None:
        assert self.model.expert is not None
        everyone = sorted({take.person for take in self.takes["train"]})
        takes = [
            (everyone.index(take.person), windows) for take, windows in self.takes["train"].items()
        ]
        people = torch.tensor(
            [person for person, windows in takes for _ in range(windows.good.sum())]
        )
        beats = good_items(windows for _, windows in takes)[:, self.signal.samples :]
        whole = beats.abs().sum(dim=1) > 0
        self.model.expert.fit(beats[whole], people[whole])

    def _embeddings(self, part: str) -> dict[Take, np.ndarray]:
        return {take: embed(self.model, windows) for take, windows in self.takes[part].items()}


def angular_margin(embeddings: Tensor, directions: Tensor, people: Tensor, margin: float) -> Tensor:
    """Cosines (B, P) of unit rows to people's directions, the own person's angle enlarged by
    ``margin`` radians.

    Source: Deng et al., "ArcFace", 2019, equation 3.
    """
    cosines = embeddings @ F.normalize(directions, dim=1).T
    own = F.one_hot(people, len(directions)).bool()
    angles = cosines.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return torch.where(own, (angles + margin).clamp(max=math.pi).cos(), cosines)


def _first_against_rest(embeddings: Mapping[Take, np.ndarray], scorer: Scorer) -> Attempts:
    """Attempts of a usual length on each person's first recording, or of an only recording's end on
    its beginning.

    Between beginning and end one window is left out.
    """
    enrolled, attempts = [], []
    people: dict[str, list[Take]] = defaultdict(list)
    for take, rows in embeddings.items():
        if len(rows):
            people[take.person].append(take)
    for person, (first, *others) in people.items():
        rows = embeddings[first]
        cut = len(rows) if others else int(0.6 * len(rows))
        enrolled.append(Placement(person, first.sensor, rows[:cut]))
        for tried in [embeddings[take] for take in others] or [rows[cut + 1 :]]:
            starts = range(0, len(tried) - ATTEMPT_WINDOWS + 1, ATTEMPT_WINDOWS)
            attempts += [
                Placement(person, first.sensor, tried[at : at + ATTEMPT_WINDOWS]) for at in starts
            ]
    return compare(enrolled, attempts, scorer)


def _refuse_people_twice(recipe: Recipe) -> None:
    seen: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for person in recipe.data.people(part):
            if person in seen:
                raise UsageError(
                    f"data.{part}", f"{person} is in {seen[person]} too", "leave them out of one"
                )
            seen[person] = part
