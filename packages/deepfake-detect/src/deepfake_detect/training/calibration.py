"""From raw logits to probabilities that mean something, and to the limits of the three verdicts."""

from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import softmax

from deepfake_detect.decide.verdict import Thresholds
from deepfake_detect.model import FAKE
from vitrail.metrics.calibration import fit_temperature

WRONG = 0.1  # share of validation faces of one kind that may lie beyond the other's limit


def calibrate(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """``temperature`` and ``thresholds`` from validation logits (N, 2) and labels (N,) of 0 = fake,
    1 = real."""
    temperature = fit_temperature(logits, labels)
    scores = softmax(logits / temperature, axis=1)[:, FAKE]
    return {"temperature": temperature, "thresholds": asdict(limits(scores, labels == FAKE, WRONG))}


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
