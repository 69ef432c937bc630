"""Round numbers along an axis."""

import math
from collections.abc import Sequence

_CLOCK_FROM = 90  # seconds; longer spans read better in minutes
_CLOCK_STEPS = (10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


def finite_range(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest finite value, apart from each other; (0, 1) where there is
    none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within [low, high], at most about ``most``, in steps of 1, 2 or 5 times a power
    of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return _multiples(low, high, power * factor)


def time_ticks(low: float, high: float) -> list[float]:
    """Seconds within [low, high] that read well on a clock."""
    if high - low < _CLOCK_FROM:
        return ticks(low, high, 10)
    step = next((step for step in _CLOCK_STEPS if step * 10 >= high - low), (high - low) / 10)
    return _multiples(low, high, step)


def clock(seconds: float, span: float) -> str:
    """``seconds`` as they stand on an axis of ``span`` seconds."""
    if span < _CLOCK_FROM:
        return f"{seconds:.4g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def time_label(span: float) -> str:
    return "time in seconds" if span < _CLOCK_FROM else "time (minutes:seconds)"


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * number for number in range(first, last + 1)]
