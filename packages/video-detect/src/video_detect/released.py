"""The released image detectors as detectors of others: frame by frame, without our memory, whose
branches were never trained for them."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from video_detect import official
from video_detect.models import build_model
from vitrail.engine import choose_device
from vitrail.errors import InputError
from vitrail.sources import sha256
from vitrail.weights.files import load_into, read_state

PARTS = ("backbone", "project", "encoder", "decoder")
SIDES = {True: (800, 1333), False: (600, 1000)}  # shorter, longer: of COCO's files, of VID's


class Released:
    """A checkpoint of Deformable DETR or TransVOD: images uint8 RGB (H, W, 3) to rows (n, 6) of x,
    y, width, height, score and label, of each query its best class."""

    name = "eager"

    def __init__(self, path: Path, device: str):
        state, _ = read_state(path, allowed=(argparse.Namespace,))
        if not official.is_official(state):
            problem = "is no checkpoint of Deformable DETR or TransVOD"
            raise InputError(path, problem, "give --weights what 'vitrail train' wrote")
        config = official.read_config(state)
        self.model = build_model("tgbformer", config).eval()
        parts = nn.ModuleDict({name: getattr(self.model, name) for name in PARTS})
        load_into(parts, official.convert(state, refine=config["refine"]), subject=path)
        self.labels = official.class_names(config["num_classes"])
        self.sides = SIDES[self.labels == official.COCO_NUMBERED]
        self.device = choose_device(device)
        self.model.to(self.device)
        self.weights = sha256(path)
        self._mean, self._std = (
            torch.tensor(values, device=self.device)[:, None, None] * 255
            for values in (official.MEAN, official.STD)
        )

    @torch.inference_mode()
    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        (images,) = batch
        return [self._search(image) for image in images]

    def _search(self, image: np.ndarray) -> np.ndarray:
        seen = torch.from_numpy(fitted(image, *self.sides)).to(self.device).permute(2, 0, 1)
        pixels = (seen.float() - self._mean) / self._std
        found = self.model.decoder(self.model.encode(self.model.features(pixels[None])))
        scores, labels = found.logits[-1, 0].sigmoid().max(dim=1)
        height, width = image.shape[:2]
        scale = torch.tensor((width, height, width, height), device=self.device)
        boxes = found.boxes[-1, 0] * scale
        rows = torch.column_stack((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:], scores, labels))
        return rows[scores.argsort(descending=True)].double().cpu().numpy()


def fitted(image: np.ndarray, shorter: int, longer: int) -> np.ndarray:
    """As the releases bring images to size: the shorter side to ``shorter``, unless the longer one
    then exceeds ``longer``."""
    height, width = image.shape[:2]
    scale = min(shorter / min(height, width), longer / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
