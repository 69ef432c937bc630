"""Whether P(fake) means what it says, and what it costs to leave the doubtful ones UNDECIDED."""

import numpy as np
import torch
from scipy.special import logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from deepfake_detect.measure.figures import VERDICTS, verdicts
from deepfake_detect.measure.held_out import Faces, score
from deepfake_detect.model import FAKE
from deepfake_detect.networks import FakeNetwork
from deepfake_detect.training.calibration import limits
from vitrail.report import Chart, Series, Table

BINS = 10
ALLOWED = (0.01, 0.02, 0.05, 0.1, 0.2)


def calibration_parts(
    network: FakeNetwork, scores: np.ndarray, fake: np.ndarray
) -> list[Table | Chart]:
    """Calibration error and Brier score of P(fake) (N,) with the network's temperature and without,
    and the chart."""
    hot = 1 / (1 + np.exp(-logit(np.clip(scores, 1e-7, 1 - 1e-7)) * network.temperature))
    kinds = {f"temperature {network.temperature:.2f}": scores, "without temperature": hot}
    rows = [
        (name, _calibration_error(p, fake), float(brier_score_loss(fake, p)))
        for name, p in kinds.items()
    ]
    lines = [_curve(name, p, fake) for name, p in kinds.items()]
    title = "Calibration: share of fakes against P(fake)"
    return [
        Table(
            "Calibration of P(fake)", ("scores", "expected calibration error", "Brier score"), rows
        ),
        Chart(
            title,
            [*lines, Series("exact", (0, 1), (0, 1))],
            "share of fakes",
            "P(fake)",
            y_range=(0, 1),
        ),
    ]


def _curve(name: str, scores: np.ndarray, fake: np.ndarray) -> Series:
    share, mean = calibration_curve(fake, scores, n_bins=BINS, strategy="quantile")
    return Series(name, mean, share)


def _calibration_error(scores: np.ndarray, fake: np.ndarray) -> float:
    return float(
        binary_calibration_error(
            torch.from_numpy(scores), torch.from_numpy(fake.astype(int)), n_bins=BINS
        )
    )


def undecided_table(
    network: FakeNetwork, chosen_on: Faces, scores: np.ndarray, labels: np.ndarray
) -> Table:
    """Limits that leave ever more UNDECIDED, chosen on ``chosen_on``, and how often the rest is
    wrong in ``scores``."""
    known = score(network, chosen_on.images)
    rows = []
    for allowed in ALLOWED:
        thresholds = limits(known, chosen_on.labels == FAKE, allowed)
        rows.append(
            (
                allowed,
                thresholds.real_below,
                thresholds.fake_above,
                *verdicts(scores, labels, thresholds),
            )
        )
    columns = ("allowed beyond each limit", "REAL up to", "FAKE from", *VERDICTS)
    return Table(
        "UNDECIDED against errors: limits chosen on validation people, measured on the test people",
        columns,
        rows,
    )
