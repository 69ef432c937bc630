"""What a network has to beat: a logistic regression on the statistics of log-mel bands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from audio_classify.data import Clip, excerpt, spectrograms
from audio_classify.networks import AudioNetwork
from audio_classify.sound.features import Features

SIMPLE = "log-mel statistics, logistic regression"


@dataclass(frozen=True)
class Statistics:
    """The regression, and on windows of the same clips another for what happens when.

    ``features`` are raw log energies of any length at the network's rate and bands.
    """

    features: Features
    clips: Pipeline
    windows: Pipeline

    @classmethod
    def learned(cls, clips: Sequence[Clip], network: AudioNetwork) -> "Statistics":
        own = network.features
        features = Features(own.sample_rate, 0.0, 0.5, own.num_frames, own.kept_bins)
        raw = spectrograms([clip.path for clip in clips], features)
        labels = [clip.label for clip in clips]
        loudest = [excerpt(one, own.num_frames) for one in raw]
        return cls(
            features,
            *(linear(np.array([*map(statistics, part)]), labels) for part in (raw, loudest)),
        )

    def guesses(self, clips: Sequence[Clip]) -> np.ndarray:
        """The label of each clip."""
        raw = spectrograms([clip.path for clip in clips], self.features)
        return self.clips.predict(np.array([statistics(one) for one in raw]))

    def network(self, like: AudioNetwork) -> AudioNetwork:
        """The regression on windows in the place of a network."""
        return replace(
            like,
            name="simple",
            build=lambda: Regression(self.windows),
            features=self.features,
            labels=tuple(self.windows.classes_.tolist()),
            weights=None,
        )


class Regression(nn.Module):
    """Log energies (B, frames, bins) to logits (B, classes)."""

    def __init__(self, pipeline: Pipeline):
        super().__init__()
        self.pipeline = pipeline

    def forward(self, spectrogram: Tensor) -> Tensor:
        rows = np.array([statistics(one) for one in spectrogram])
        return torch.from_numpy(self.pipeline.predict_log_proba(rows).astype(np.float32))


def linear(vectors: np.ndarray, labels: Sequence[str]) -> Pipeline:
    """A logistic regression on vectors (n, dim), scaled."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(vectors, labels)


def statistics(spectrogram: Tensor) -> np.ndarray:
    """(frames, bins) -> (3 * bins): mean, standard deviation and 90th percentile of each band."""
    bands = spectrogram.numpy()
    return np.concatenate([bands.mean(0), bands.std(0), np.percentile(bands, 90, axis=0)])
