"""What simple statistics of the spectrogram can tell: the figure that a network has to beat."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

NAME = "log-mel statistics, logistic regression"


def fit(clips: Sequence[Tensor], labels: Sequence[str]) -> Pipeline:
    """A logistic regression on the statistics of raw filterbanks (frames, 128)."""
    return fit_linear(statistics(clips), labels)


def fit_linear(vectors: np.ndarray, labels: Sequence[str]) -> Pipeline:
    """A logistic regression on vectors (n, dim), scaled."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(vectors, labels)


def statistics(clips: Sequence[Tensor]) -> np.ndarray:
    """(n, 384): mean, standard deviation and 90th percentile of each band."""
    arrays = [clip.numpy() for clip in clips]
    return np.array(
        [np.concatenate([a.mean(0), a.std(0), np.percentile(a, 90, axis=0)]) for a in arrays]
    )
