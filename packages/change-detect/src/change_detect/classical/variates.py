"""IR-MAD: what two dates' bands do not have in common, weighed anew until it settles (Nielsen,
"The regularized iteratively reweighted MAD method", IEEE TIP 2007)."""

import numpy as np

from change_detect.classical.vectors import otsu, strips
from change_detect.scene.scene import Scene
from vitrail.errors import InputError

MAX_ROUNDS = 50
SETTLED = 1e-4  # change of the largest canonical correlation
MAX_SAMPLES = 1_000_000
RIDGE = 1e-6  # of the mean variance, so that equal bands do no harm
MIN_BANDS = 2
CHANCE = 1e-3  # of unchanged pixels may be called changed


class Variates:
    """The sum of squares of the standardised MAD variates, which is chi-squared distributed where
    nothing changed.

    ``rounds`` of weighing were made. Raises InputError for fewer than two bands, and where too few
    pixels hold data on both dates.
    """

    name = "iteratively reweighted MAD"

    def __init__(self, scene: Scene, numbers: tuple[int, int]):
        sample = _sample(scene, numbers)
        bands = sample.shape[1]
        if bands < MIN_BANDS:
            raise InputError(scene.paths[0], "has one band", "take --method cva")
        if sample.shape[2] < 10 * bands:
            problem = f"shares {sample.shape[2]} pixels with data with {scene.paths[0].name}"
            raise InputError(scene.paths[numbers[1]], problem, "give dates that overlap")
        from scipy.stats import chi2

        weights, before = np.ones(sample.shape[2]), np.zeros(bands)
        for self.rounds in range(1, MAX_ROUNDS + 1):
            correlations = self._fit(sample, weights)
            weights = chi2.sf(self._squares(sample), bands)
            if np.abs(correlations - before).max() < SETTLED:
                break
            before = correlations
        # Where nothing changed there are no two groups to part.
        by_chance = float(np.sqrt(chi2.isf(CHANCE, bands)))
        self.limit = max(otsu(np.sqrt(self._squares(sample))), by_chance)

    def _fit(self, sample: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Canonical variates of the weighted sample; their correlations (bands,)."""
        total, bands = weights.sum(), sample.shape[1]
        self.mean = (sample * weights).sum(axis=2) / total
        stacked = (sample - self.mean[..., None]).reshape(2 * bands, -1)
        covariance = (stacked * weights) @ stacked.T / total
        covariance += RIDGE * np.trace(covariance) / (2 * bands) * np.eye(2 * bands)
        first, second = covariance[:bands, :bands], covariance[bands:, bands:]
        roots = [_inverse_root(part) for part in (first, second)]
        left, correlations, right = np.linalg.svd(roots[0] @ covariance[:bands, bands:] @ roots[1])
        self.axes = np.stack([roots[0] @ left, roots[1] @ right.T])
        self.variances = 2 * (1 - np.minimum(correlations, 1 - 1e-9))
        return correlations

    def _squares(self, dates: np.ndarray) -> np.ndarray:
        moved = dates - self.mean.reshape(*self.mean.shape, *[1] * (dates.ndim - 2))
        first, second = (
            np.tensordot(axes.T, one, 1) for axes, one in zip(self.axes, moved, strict=True)
        )
        variances = self.variances.reshape(-1, *[1] * (dates.ndim - 2))
        return ((first - second) ** 2 / variances).sum(axis=0)

    def probability(self, dates: np.ndarray) -> np.ndarray:
        """(2, bands, …) to numbers in 0..1 that are one half at the threshold."""
        lengths = np.sqrt(self._squares(dates))
        return lengths / (lengths + self.limit)


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors / np.sqrt(values) @ vectors.T


def _sample(scene: Scene, numbers: tuple[int, int]) -> np.ndarray:
    """(2, bands, N) of pixels that hold data on both dates, spread over the scene."""
    step = 1 + scene.shape[0] * scene.shape[1] // MAX_SAMPLES
    return np.concatenate(
        [dates[:, :, valid][:, :, ::step] for _, dates, valid in strips(scene, numbers)], axis=2
    )
