"""The figures by which detectors of fakes are compared."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from deepfake_detect.decide.verdict import Thresholds
from deepfake_detect.model import FAKE
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.metrics.verification import eer

MEASURES = ("AUC", "from", "to", "average precision", "EER", "accuracy at 0.5")
VERDICTS = ("UNDECIDED", "wrong among the decided", "real called FAKE", "fake called REAL")


def measures(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, ...]:
    """The ``MEASURES`` of P(fake) (N,) and labels (N,); the AUC's interval comes from drawing
    ``groups`` (N,).

    All are NaN where one label is missing.
    """
    fake = labels == FAKE
    if fake.all() or not fake.any():
        return (float("nan"),) * len(MEASURES)
    return (
        auc(fake, scores),
        *bootstrap_interval(auc, fake, scores, groups=groups),
        float(average_precision_score(fake, scores)),
        eer(scores, fake.astype(int)).rate,
        float(np.mean((scores >= 0.5) == fake)),
    )


def auc(fake: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of a fake and a real in which the fake scores higher (a tie counts half);
    NaN without pairs.

    By ranks (Mann and Whitney, 1947): a bootstrap asks for it a thousand times, and scikit-learn's
    takes ten times as long.
    """
    pairs = fake.sum() * (~fake).sum()
    won = rankdata(scores)[fake].sum() - fake.sum() * (fake.sum() + 1) / 2
    return float(won / pairs) if pairs else float("nan")


def verdicts(scores: np.ndarray, labels: np.ndarray, thresholds: Thresholds) -> tuple[float, ...]:
    """The ``VERDICTS`` as shares; a score that is NaN is UNDECIDED."""
    fake = labels == FAKE
    called_fake, called_real = scores >= thresholds.fake_above, scores <= thresholds.real_below
    decided = called_fake | called_real
    wrong = (called_fake & ~fake) | (called_real & fake)
    return (
        float(np.mean(~decided)),
        _share(wrong, decided),
        _share(called_fake, ~fake),
        _share(called_real, fake),
    )


def _share(of: np.ndarray, among: np.ndarray) -> float:
    return float(of[among].mean()) if among.any() else float("nan")
