"""Principal components of a scene, fitted strip by strip: a scene of any length fits in memory."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vitrail.errors import InputError

MIN_STD = 1e-9  # of a band, as a share of the largest


@dataclass(frozen=True)
class Components:
    """A spectrum (bands,) to its components (K,): ``(spectrum - mean) @ axes``.

    ``axes`` (bands, K) float32 hold all scaling. ``explained`` (K,) is each one's share of the
    variance.
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: np.ndarray

    def project(self, spectra: np.ndarray) -> np.ndarray:
        """(..., bands) -> (..., K) float32."""
        return (np.asarray(spectra, np.float32) - self.mean) @ self.axes


@dataclass(frozen=True)
class Moments:
    """Mean (bands,) and covariance (bands, bands) of ``count`` spectra, float64."""

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, strips: Iterable[np.ndarray]) -> "Moments":
        """Of spectra that come as (N, bands) each. InputError where there are fewer than two."""
        count, shift, total, products = 0, None, None, None
        for strip in strips:
            if not len(strip):
                continue
            strip = np.asarray(strip, np.float64)
            if shift is None:  # near the mean, so that no digits cancel
                shift = strip.mean(0)
                total, products = np.zeros_like(shift), np.zeros((len(shift), len(shift)))
            strip = strip - shift
            total += strip.sum(0)
            products += strip.T @ strip
            count += len(strip)
        if shift is None or total is None or products is None or count < 2:
            raise InputError("cube", "has no two pixels with data", "give the scene itself")
        mean = total / count
        covariance = (products - count * np.outer(mean, mean)) / (count - 1)
        return cls(count, shift + mean, covariance)

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.covariance), 0))


def fit_components(
    moments: Moments, count: int, *, whitening: float = 1.0, standardise: bool = False
) -> Components:
    """The ``count`` first principal components, scaled by their deviation to the power
    ``-whitening``: 1 gives each a variance of one (the release's way, which lifts the noise of the
    last ones too), 0 leaves them as they are, all divided by one number.

    ``standardise`` gives each band a variance of one before. Signs are such that each axis's
    largest entry is positive. InputError for more components than bands or pixels.
    """
    bands = len(moments.mean)
    if count > min(bands, moments.count):
        problem = f"{count} components from {bands} bands and {moments.count} pixels"
        raise InputError("cube", problem, f"ask for {min(bands, moments.count)} at most")
    std = moments.std
    scale = np.ones(bands)
    if standardise:
        scale = 1 / np.maximum(std, MIN_STD * max(std.max(), 1e-30))
    values, vectors = np.linalg.eigh(moments.covariance * np.outer(scale, scale))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(count)])
    total = float((np.diag(moments.covariance) * scale**2).sum())
    values = np.maximum(values, 1e-12 * max(total, 1e-30))
    weights = values ** (-whitening / 2)
    # One number for all, so that together they have the variance of as many whitened ones.
    weights /= np.sqrt((values * weights**2).mean())
    axes = scale[:, None] * vectors * (signs * weights)
    return Components(
        moments.mean.astype(np.float32), axes.astype(np.float32), values / max(total, 1e-30)
    )
