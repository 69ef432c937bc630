"""What every way of classifying pixels has in common, and the classical ones."""

from typing import Any, Protocol

import numpy as np

from hsi_classify.scene.scene import REACH, Block, Scene

MEANS = (5, 9)  # pixels on a side
C = 100.0
SHARPNESS = 20.0  # of the angle, in 1 / rad: 0.05 rad farther is a third as likely


class Method(Protocol):
    """``features`` takes pixels of a block by row and column within it; ``fit`` takes those of the
    labelled pixels and their targets 0..K-1; ``probabilities`` gives (N, K)."""

    name: str

    def features(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> np.ndarray: ...
    def fit(self, features: np.ndarray, targets: np.ndarray) -> None: ...
    def probabilities(self, features: np.ndarray) -> np.ndarray: ...


class Svm:
    """A support vector machine with a radial kernel on standardised spectra; with ``means`` on the
    means of 5 x 5 and 9 x 9 pixels too."""

    def __init__(self, scene: Scene, *, means: bool = False):
        self.name = "svm-mean" if means else "svm"
        self.std, self.means = scene.std, means
        self._machine: Any = None
        self._smooth: tuple[Block, list[np.ndarray]] | None = None

    def features(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        spectra = block.spectra
        parts = [spectra[rows + REACH, columns + REACH]]
        if self.means:
            parts += [one[rows + REACH, columns + REACH] for one in self._means(block)]
        return np.concatenate([part / self.std for part in parts], axis=1)

    def _means(self, block: Block) -> list[np.ndarray]:
        """Of a whole block, kept while its pixels are asked for some at a time."""
        if self._smooth is None or self._smooth[0] is not block:
            found = [mean_of(block.spectra, block.valid, size) for size in MEANS]
            self._smooth = block, found
        return self._smooth[1]

    def fit(self, features: np.ndarray, targets: np.ndarray) -> None:
        from sklearn.svm import SVC

        self._machine = SVC(C=C, gamma="scale", decision_function_shape="ovr", break_ties=True)
        self._machine.fit(features, targets)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The softmax of the votes: an order of likelihood, not calibrated."""
        votes = self._machine.decision_function(features)
        votes = np.stack([-votes, votes], 1) if votes.ndim == 1 else votes
        return softmax(votes)


class Angle:
    """The spectral angle to each class's mean spectrum (Kruse et al. 1993): brightness does not
    count."""

    name = "angle"

    def __init__(self, scene: Scene):
        self.mean = scene.moments.mean.astype(np.float32)
        self._centres = np.empty(0)

    def features(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return block.spectra[rows + REACH, columns + REACH] + self.mean

    def fit(self, features: np.ndarray, targets: np.ndarray) -> None:
        centres = [features[targets == n].mean(0) for n in range(int(targets.max()) + 1)]
        self._centres = _unit(np.stack(centres))

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        cosine = np.clip(_unit(features) @ self._centres.T, -1, 1)
        return softmax(-SHARPNESS * np.arccos(cosine))


def mean_of(spectra: np.ndarray, valid: np.ndarray, size: int) -> np.ndarray:
    """(rows, columns, bands) -> the mean over ``size`` x ``size`` pixels, of those with data."""
    from scipy.ndimage import uniform_filter

    # The stubs know a single size only.
    sizes: Any = (size, size, 1)
    total = uniform_filter(spectra, sizes, mode="constant")
    share = uniform_filter(valid.astype(np.float32), size, mode="constant")
    return total / np.maximum(share, 0.5 / size**2)[:, :, None]


def gather(scene: Scene, method: Method, pixels: np.ndarray) -> np.ndarray:
    """A method's features of flat pixel numbers (N,), in their order."""
    rows, columns = np.unravel_index(pixels, scene.size)
    found: np.ndarray | None = None
    for block in scene.blocks():
        inside = (rows >= block.top) & (rows < block.top + block.inner.shape[0])
        if inside.any():
            part = method.features(block, rows[inside] - block.top, columns[inside])
            if found is None:
                found = np.empty((len(pixels), *part.shape[1:]), part.dtype)
            found[inside] = part
    assert found is not None
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
