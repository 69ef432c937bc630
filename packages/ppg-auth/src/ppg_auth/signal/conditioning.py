"""The steps from an even but raw signal to a clean pulse wave: pure functions on (n,) float64 at a
rate in Hz."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import maximum_filter1d, median_filter

from ppg_auth.signal import filters

PULSE_BAND = (0.7, 4.0)  # Hz; the fundamental of 42 to 240 beats per minute
HAMPEL_WINDOW, HAMPEL_LIMIT = 2.0, 4.0  # seconds, robust standard deviations
GAUSSIAN_MAD = 1.4826
USUAL_REACH = 1.5
LINE_WIDTH = 1.5  # of a Hann window, in cycles over its length
MIN_LEVEL = 1 / 255  # of the brightest channel's level; darker ones hold only noise
MIN_SHARE = 1e-3  # of the energy of all channels: what is less is what rounding leaves
WORTH_MIXING = 3.0  # dB by which a mixture of channels must beat the best single one
SSA_LAG, SSA_ENERGY = 1.5, 0.9  # seconds, share of the in-band energy


def upright_sign(x: NDArray) -> int:
    """1 where systole points up, else -1: the upstroke is the steeper flank, so it skews the first
    derivative."""
    slope = np.diff(x)
    return -1 if np.mean((slope - slope.mean()) ** 3) < 0 else 1


def detrend(x: NDArray, rate: float, cutoff: float) -> NDArray:
    """``x`` without its drift below ``cutoff`` Hz by smoothness priors.

    The regularisation is lambda = (rate / (2 pi cutoff))^2: 10 at 14 Hz for 0.7 Hz.
    Source: Tarvainen et al., "An advanced detrending method with application to HRV analysis",
    2002.
    """
    strength = (rate / (2 * np.pi * cutoff)) ** 4
    bands = np.zeros(
        (3, len(x))
    )  # I + lambda^2 D'D with D the second difference, its upper diagonals
    for offset, products in enumerate(((1.0, 4.0, 1.0), (-2.0, -2.0), (1.0,))):
        for shift, product in enumerate(products):
            bands[2 - offset, offset + shift : len(x) - 2 + offset + shift] += strength * product
    bands[2] += 1.0
    return x - solveh_banded(bands, x)


def clip_outliers(x: NDArray, rate: float) -> tuple[NDArray, NDArray[np.bool_]]:
    """``x`` clipped to 4 robust standard deviations around the running median of 2 s, and which
    samples were (Hampel).

    The bound is never less than 1.5 times what most windows of 2 s reach: a pulse with high narrow
    peaks has a small deviation, and its systoles are no outliers.
    """
    width = 2 * int(HAMPEL_WINDOW * rate / 2) + 1
    middle = median_filter(x, width, mode="reflect")
    distance = np.abs(x - middle)
    usual = USUAL_REACH * np.median(maximum_filter1d(distance, width))
    bound = np.maximum(
        HAMPEL_LIMIT * GAUSSIAN_MAD * median_filter(distance, width, mode="reflect"), usual
    )
    clipped = np.clip(x, middle - bound, middle + bound)
    return clipped, clipped != x


def band_pass(x: NDArray, rate: float, band: tuple[float, float]) -> NDArray:
    """Butterworth of order 2 between ``band`` Hz, forwards and backwards, so that no phase is
    shifted."""
    high = min(band[1], 0.45 * rate)
    return filters.band_pass(x, rate, (band[0], high), pad=min(len(x) - 1, int(3 * rate)))


def resample(x: NDArray, rate: float, new_rate: float) -> NDArray:
    """Fourier resampling; 2 s of reflection at both ends keep a signal that is not periodic from
    ringing there."""
    if rate == new_rate:
        return x
    pad = min(len(x) - 1, int(2 * rate))
    padded = np.pad(x, pad, mode="reflect", reflect_type="odd")
    dense = filters.resample(padded, round(len(padded) * new_rate / rate))
    start = round(pad * new_rate / rate)
    return dense[start : start + int(len(x) * new_rate / rate)]


def signal_to_noise(x: NDArray, rate: float) -> float:
    """Power near the pulse's spectral peak and its harmonic, over the rest of 0.7-4 Hz, in dB.

    Near is within 0.1 Hz, or for short signals within the width that their spectrum gives to a
    single tone.
    """
    frequency, power = _spectrum(x, rate)
    width = max(0.1, LINE_WIDTH * rate / len(x))
    peak = frequency[np.argmax(power)]
    near = (np.abs(frequency - peak) <= width) | (np.abs(frequency - 2 * peak) <= width)
    pulse, rest = power[near].sum(), power[~near].sum()
    return float(10 * np.log10(pulse / rest)) if pulse > 0 and rest > 0 else float("-inf")


def spectral_rate(x: NDArray, rate: float) -> float:
    """The strongest frequency of 0.7-4 Hz in beats per minute."""
    frequency, power = _spectrum(x, rate)
    return float(60 * frequency[np.argmax(power)])


def best_component(channels: NDArray, rate: float) -> tuple[NDArray, float]:
    """Of (n, channels >= 2): the principal component with the best pulse, and the share of energy
    that was left out.

    Each channel is standardised; the component is the one with the highest signal-to-noise ratio,
    not the first, of those that are more than what rounding leaves. Its sign is that of the
    channels' mean.
    """
    standard = (channels - channels.mean(axis=0)) / np.maximum(
        channels.std(axis=0), np.finfo(float).tiny
    )
    left, singular, _ = np.linalg.svd(standard, full_matrices=False)
    components, share = (left * singular).T, np.square(singular) / np.square(singular).sum()
    best = max(
        np.flatnonzero(share >= MIN_SHARE), key=lambda k: signal_to_noise(components[k], rate)
    )
    sign = 1.0 if components[best] @ standard.mean(axis=1) >= 0 else -1.0
    return sign * components[best], float(1 - share[best])


def choose_channel(channels: NDArray, rate: float) -> tuple[NDArray, float, int | None]:
    """The signal (n,) of (n, channels): the only one, or the one with the best pulse among all and
    their components.

    Also the share of energy that was left out, and which channel it is, None for a component.
    """
    if channels.shape[1] == 1:
        return channels[:, 0], 0.0, 0
    levels = np.abs(channels).mean(axis=0)
    alive = np.flatnonzero((channels.std(axis=0) > 0) & (levels > MIN_LEVEL * levels.max()))
    if not len(alive):
        return channels[:, 0], 0.0, 0
    component, removed = best_component(channels[:, alive], rate)
    best = max(alive, key=lambda index: signal_to_noise(channels[:, index], rate))
    if signal_to_noise(component, rate) > signal_to_noise(channels[:, best], rate) + WORTH_MIXING:
        return component, removed, None
    return channels[:, best], 0.0, int(best)


def pulse_subspace(x: NDArray, rate: float) -> tuple[NDArray, float]:
    """Singular spectrum analysis with lags of 1.5 s: ``x`` from its components of 0.7-4 Hz, and the
    energy left out.

    Components are taken by strength until they hold 90 % of the in-band energy.
    """
    lags = min(int(SSA_LAG * rate), len(x) // 2)
    rows = sliding_window_view(x, lags)
    energies, patterns = np.linalg.eigh(rows.T @ rows)
    energies, patterns = energies[::-1], patterns[:, ::-1]
    spectra = np.abs(np.fft.rfft(patterns, 4 * lags, axis=0))
    peaks = np.fft.rfftfreq(4 * lags, 1 / rate)[spectra.argmax(axis=0)]
    inside = np.flatnonzero((peaks >= PULSE_BAND[0]) & (peaks <= PULSE_BAND[1]))
    if not len(inside):
        return np.zeros_like(x), 1.0
    enough = (
        int(np.searchsorted(np.cumsum(energies[inside]) / energies[inside].sum(), SSA_ENERGY)) + 1
    )
    kept = patterns[:, inside[:enough]]
    projected = (rows @ kept) @ kept.T
    total, count = np.zeros_like(x), np.zeros_like(x)
    for lag in range(lags):
        total[lag : lag + len(projected)] += projected[:, lag]
        count[lag : lag + len(projected)] += 1
    clean = total / count
    energy = np.square(x).sum()
    return clean, float(np.square(x - clean).sum() / energy) if energy else 1.0


def _spectrum(x: NDArray, rate: float) -> tuple[NDArray, NDArray]:
    frequency, power = filters.periodogram(x, rate, max(len(x), int(20 * rate)), trend=True)
    inside = (frequency >= PULSE_BAND[0]) & (frequency <= PULSE_BAND[1])
    return frequency[inside], power[inside]
