"""What simple image statistics can tell: the figure that a network has to beat."""

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from deepfake_detect.model import FAKE

NAME = "sharpness and colour statistics, logistic regression"
FACE = 0.35  # half axes of the ellipse that is taken for the face, in sides of the crop


def fit(images: np.ndarray, labels: np.ndarray) -> Pipeline:
    """A logistic regression on the statistics of crops uint8 (N, S, S, 3)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(statistics(images), labels)


def score(model: Pipeline, images: np.ndarray) -> np.ndarray:
    """P(fake) (N,)."""
    return model.predict_proba(statistics(images))[:, list(model.classes_).index(FAKE)]


def statistics(images: np.ndarray) -> np.ndarray:
    """(N, 13): of the face, of what surrounds it, and of their difference, sharpness and grain;
    mean colours' distance and spread."""
    side = images.shape[1]
    y, x = np.mgrid[:side, :side] / (side - 1) - 0.5
    face = x**2 + y**2 < FACE**2
    return np.array([_statistics(image, face) for image in images])


def _statistics(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    light = lab[..., 0]
    edges = np.abs(cv2.Laplacian(light, cv2.CV_32F))
    grain = np.abs(light - cv2.medianBlur(light, 3))
    texture = np.log1p([[kind[face].mean(), kind[~face].mean()] for kind in (edges, grain)])
    inner, outer = lab[face], lab[~face]
    distance, spread = inner.mean(0) - outer.mean(0), inner.std(0)
    excess = texture[:, 0] - texture[:, 1]
    return np.concatenate([texture.ravel(), excess, distance, spread, [light.std()]])
