"""The scalogram of one window as people see it: in NumPy, equal to the network's own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrail.preprocess.wavelets import Wavelet, apply_spectra, filter_spectra, geometric_bands

WAVELET = "cmor1.5-1.0"


def scalogram(wave: NDArray, config: Mapping[str, Any]) -> NDArray[np.float32]:
    """Log magnitudes (frequencies, columns) of a wave (samples,), low frequencies first.

    ``config`` is the network's, as its weights file has it: ``model.Scalogram`` says what it means.
    """
    rate = config["rate"]
    bands = geometric_bands(
        config["low"], min(config["high"], 0.45 * rate), int(config["frequencies"])
    )
    scales = Wavelet.of(WAVELET).scales(bands, rate)
    real, imaginary = np.split(
        apply_spectra(wave, filter_spectra(WAVELET, scales.tolist(), len(wave))), 2
    )
    magnitude = _columns(np.sqrt(real**2 + imaginary**2 + 1e-12), int(config["columns"]))
    ranked = np.sort(magnitude, axis=None)
    return np.log1p(magnitude / ranked[(ranked.size - 1) // 2]).astype(np.float32)


def _columns(rows: NDArray, count: int) -> NDArray:
    """Rows (R, N) averaged to (R, count), as adaptive average pooling does."""
    edges = np.arange(count + 1) * rows.shape[1] / count
    starts, stops = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    parts = [rows[:, start:stop].mean(axis=1) for start, stop in zip(starts, stops, strict=True)]
    return np.stack(parts, axis=1)
