"""Measures that scikit-learn and torchmetrics lack; AUC, average precision and the like come
straight from those."""
