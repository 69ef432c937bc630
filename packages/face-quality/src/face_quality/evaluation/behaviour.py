"""How the score behaves: its spread, ladders of single degradations, light, alignment, and the best
shot."""

from pathlib import Path

import cv2
import numpy as np

from face_quality.crops import aligned, main_face
from face_quality.evaluation.gain import spearman
from face_quality.evaluation.matchers import rows_of
from face_quality.evaluation.rivals import detector_scores, sharpness
from face_quality.evaluation.sets import TestSet, degraded_copies, read_photographs
from face_quality.networks import QualityNetwork
from face_quality.training.degrade import TESTED, rotation
from vitrail.faces.detector import load_finder
from vitrail.report import Table

STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
RUNGS = ("blur", "jpeg", "scale", "dark", "noise", "occlusion")
LADDER_FACES = 100
WELL_EXPOSED = (0.35, 0.65)  # mean luminance
GAMMAS = (0.8, 0.9, 1.1, 1.25)
PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def scores_of(network: QualityNetwork, raw: np.ndarray) -> np.ndarray:
    """0..100 of raw qualities; without a calibration these themselves."""
    scale = network.calibration
    return raw if scale is None else np.array([scale.score(float(one)) for one in raw])


def spread(network: QualityNetwork, usual: np.ndarray, degraded: np.ndarray) -> Table:
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    rows = [
        (name, *np.quantile(scores_of(network, raw), shares).tolist())
        for name, raw in (("(a) as they are", usual), ("(b) a quarter degraded", degraded))
    ]
    return Table("Scores", ("set", *(f"{share:.0%}" for share in shares)), rows)


def percentiles(network: QualityNetwork) -> Table | None:
    """Raw value and score at percentiles of the reference pictures as they were taken; None without
    a calibration."""
    scale = network.calibration
    if scale is None:
        return None
    raws = np.interp(PERCENTILES, np.linspace(0, 100, len(scale.usual)), scale.usual).tolist()
    rows = [(p, raw, scale.score(raw)) for p, raw in zip(PERCENTILES, raws, strict=True)]
    return Table("Percentiles of " + scale.reference, ("percentile", "raw", "score"), rows)


def alignments(network: QualityNetwork, folder: Path) -> Table:
    """How much the score differs between a crop by the landmarks of others and one by the core's,
    on the photographs of a data set."""
    photographs = read_photographs(folder)
    found = load_finder(engine="openvino").predict([image for image, _ in photographs])
    both = [
        (aligned(image, landmarks), aligned(image, faces[main].landmarks))
        for (image, landmarks), faces in zip(photographs, found, strict=True)
        if (main := main_face(image.shape, faces)) is not None
    ]
    theirs, ours = (
        scores_of(network, rows_of(network, np.stack(crops))[:, 0])
        for crops in zip(*both, strict=True)
    )
    off = ours - theirs
    row = (len(both), len(photographs) - len(both), float(off.mean()), float(np.abs(off).mean()))
    columns = ("faces", "not found", "mean change", "mean size of it", "largest")
    title = "Alignment by the core's landmarks instead of YuNet's: change of the score"
    return Table(title, columns, [(*row, float(np.abs(off).max()))])


def ladders(network: QualityNetwork, test: TestSet) -> Table:
    """Mean scores by strength, and the share of faces whose own scores fall along the steps."""
    step = max(1, len(test.crops) // LADDER_FACES)
    crops = test.crops[::step]
    rows = []
    for name in (*RUNGS, "rotation"):
        kind = rotation if name == "rotation" else TESTED[name]
        # The same draw at each step: a cover grows in its place, a smear along its direction.
        raws = [
            rows_of(
                network,
                np.stack(
                    [
                        kind(crop, strength, np.random.default_rng(number)) if strength else crop
                        for number, crop in enumerate(crops)
                    ]
                ),
            )[:, 0]
            for strength in STEPS
        ]
        scores = np.stack([scores_of(network, raw) for raw in raws])
        falls = [spearman(np.array(STEPS), one) < -0.5 for one in np.stack(raws).T]
        rows.append((name, *scores.mean(axis=1).tolist(), float(np.mean(falls))))
    columns = ("ladder", *(f"{strength:g}" for strength in STEPS), "faces that fall")
    return Table(f"Mean score of {len(crops)} faces by strength", columns, rows)


def gammas(network: QualityNetwork, test: TestSet) -> Table:
    """How much the score moves when the light changes on well exposed faces."""
    means = np.array([crop[20:100, 24:88].mean() / 255 for crop in test.crops])
    chosen = test.crops[(means > WELL_EXPOSED[0]) & (means < WELL_EXPOSED[1])]
    before = scores_of(network, rows_of(network, chosen)[:, 0])
    rows = []
    for gamma in GAMMAS:
        table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
        moved = scores_of(network, rows_of(network, cv2.LUT(chosen, table))[:, 0]) - before
        row = (float(moved.mean()), float(np.abs(moved).mean()), float(np.abs(moved).max()))
        rows.append((gamma, *row, len(chosen)))
    columns = ("gamma", "mean change", "mean size of it", "largest", "faces")
    return Table("Light on well exposed faces: change of the score", columns, rows)


def best_shot(network: QualityNetwork, test: TestSet, detected: np.ndarray) -> Table:
    """Of how many people the best of all pictures, one degraded copy of each beside them, is one as
    taken; ``detected`` (n,) are the detector's scores of those."""
    copies = degraded_copies(test)

    def ours(crops: np.ndarray) -> np.ndarray:
        return rows_of(network, crops)[:, 0]

    def sharp(crops: np.ndarray) -> np.ndarray:
        return np.array([sharpness(crop) for crop in crops])

    rows = []
    for name, usual, spoilt in (
        ("ours", ours(test.crops), ours(copies)),
        ("detector score", detected, detector_scores(copies)),
        ("sharpness", sharp(test.crops), sharp(copies)),
    ):
        wins = [
            usual[test.people == one].max() > spoilt[test.people == one].max()
            for one in np.unique(test.people)
        ]
        rows.append((name, float(np.mean(wins)), len(wins)))
    return Table("Best shot: it is a picture as taken", ("quality", "share", "people"), rows)
