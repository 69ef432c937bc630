"""From raw logits to probabilities that mean something, and to the limits of the three verdicts."""

from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import softmax

from deepfake_detect.decide.verdict import Thresholds
from deepfake_detect.model import FAKE
from vitrail.metrics.calibration import fit_temperature

WRONG = 0.1  # share of validation faces of one kind that may lie beyond the other's limit


def calibrate(
    logits: np.ndarray, labels: np.ndarray, clips: np.ndarray | None = None
) -> dict[str, Any]:
    """``temperature`` and ``thresholds`` from validation logits (N, 2) and labels (N,) of 0 = fake,
    1 = real.

    ``clips`` (N,) numbers the clip that a face is of, -1 for photographs. A clip counts once, by
    the mean score of its faces, as the verdict does; the limits are the wider ones, so that they
    hold for clips and for photographs.
    """
    temperature = fit_temperature(logits, labels)
    scores, fake = softmax(logits / temperature, axis=1)[:, FAKE], labels == FAKE
    clips = np.full(len(labels), -1) if clips is None else clips
    single = clips < 0
    found = [limits(scores[single], fake[single], WRONG)] if single.any() else []
    if not single.all():
        numbers = np.unique(clips[~single])
        means = np.array([scores[clips == number].mean() for number in numbers])
        kinds = np.array([fake[clips == number][0] for number in numbers])
        found.append(limits(means, kinds, WRONG))
    real_below = min(one.real_below for one in found)
    fake_above = max(one.fake_above for one in found)
    return {
        "temperature": temperature,
        "thresholds": asdict(Thresholds(real_below, fake_above)),
    }


def limits(scores: np.ndarray, fake: np.ndarray, allowed: float) -> Thresholds:
    """Limits beyond which at most the share ``allowed`` of the other kind lies, from P(fake) (N,).

    Where the two would cross, the scores separate better than that, and both become the value in
    their middle.
    """
    fake_above = float(np.quantile(scores[~fake], 1 - allowed))
    real_below = float(np.quantile(scores[fake], allowed))
    if real_below > fake_above:
        real_below = fake_above = (real_below + fake_above) / 2
    return Thresholds(real_below, fake_above)
