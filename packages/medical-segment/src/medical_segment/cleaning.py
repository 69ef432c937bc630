"""What may be done to a structure's mask after the network: keep its largest piece, fill its
holes."""

import numpy as np
from scipy import ndimage


def clean(mask: np.ndarray, *, largest: bool = False, fill: bool = False) -> np.ndarray:
    """A bool mask (spatial…): only its largest piece (touching by faces), then without holes in
    it."""
    if largest and mask.any():
        pieces, _ = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = pieces == sizes.argmax()
    return ndimage.binary_fill_holes(mask) if fill else mask


def clean_labels(labels: np.ndarray, *, largest: bool = False, fill: bool = False) -> np.ndarray:
    """The same for each number above 0 of a label map; a filled hole takes nothing from other
    labels."""
    if not (largest or fill):
        return labels
    cleaned = np.zeros_like(labels)
    for value in np.unique(labels[labels > 0]):
        cleaned[clean(labels == value, largest=largest) & (cleaned == 0)] = value
    if fill:
        for value in np.unique(cleaned[cleaned > 0]):
            holes = clean(cleaned == value, fill=True) & (cleaned == 0)
            cleaned[holes] = value
    return cleaned
