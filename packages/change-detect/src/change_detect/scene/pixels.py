"""Numbers of pixels as the network takes them."""

import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet's, of the channels in 0..1
STD = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(image: np.ndarray) -> np.ndarray:
    """uint8 RGB (3, H, W) to float32 of the same shape, about zero."""
    scaled = image.astype(np.float32) / 255
    return (scaled - MEAN[:, None, None]) / STD[:, None, None]
