"""How well templates under different keys can be told to be of one person."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

_POINTS = 200


def system_unlinkability(mated: NDArray, non_mated: NDArray) -> float:
    """D_sys in 0..1 from scores of pairs of one person (n,) and of two people (m,), each template
    under its own key.

    0: such pairs look alike, nothing can be linked; 1: all can. Densities are estimated by Gaussian
    kernels of Scott's width, and both kinds of pairs count as equally likely. Source: Gomez-Barrero
    et al., "General framework to evaluate unlinkability in biometric template protection systems",
    2018, equations 4 to 6.
    """
    everything = np.concatenate([mated, non_mated])
    margin = 3 * everything.std()
    points = np.linspace(everything.min() - margin, everything.max() + margin, _POINTS)
    of_one, of_two = gaussian_kde(mated)(points), gaussian_kde(non_mated)(points)
    local = np.clip((of_one - of_two) / np.maximum(of_one + of_two, np.finfo(float).tiny), 0, 1)
    return float(np.trapezoid(of_one * local, points))
