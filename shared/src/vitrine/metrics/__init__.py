"""Measures that scikit-learn and torchmetrics lack; AUC, average precision and the like come straight from those."""

from vitrine.metrics.bootstrap import bootstrap_interval
from vitrine.metrics.calibration import fit_temperature
from vitrine.metrics.verification import EqualError, det_points, eer

__all__ = ["EqualError", "bootstrap_interval", "det_points", "eer", "fit_temperature"]
