"""From raw logits to probabilities that mean something, and to the limits of the three verdicts."""

from typing import Any

import numpy as np
from scipy.special import softmax

from deepfake_detect.model import FAKE
from vitrine.metrics.calibration import fit_temperature

WRONG = 0.1  # share of validation faces of one kind that may lie beyond the other's limit


def calibrate(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """``temperature`` and ``thresholds`` from validation logits (N, 2) and labels (N,) of 0 = fake, 1 = real.

    At most a tenth of the real faces score above ``fake_above``, at most a tenth of the fakes below ``real_below``.
    Where the two limits cross, the network separates better than that, and both become the value in their middle.
    """
    temperature = fit_temperature(logits, labels)
    fake = softmax(logits / temperature, axis=1)[:, FAKE]
    fake_above = float(np.quantile(fake[labels != FAKE], 1 - WRONG))
    real_below = float(np.quantile(fake[labels == FAKE], WRONG))
    if real_below > fake_above:
        real_below = fake_above = (real_below + fake_above) / 2
    return {"temperature": temperature, "thresholds": {"real_below": real_below, "fake_above": fake_above}}
