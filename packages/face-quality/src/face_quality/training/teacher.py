"""dlib's recognition network, read from its own file: a teacher for recipes and a matcher for
tables, never a part of the job.

Davis King put it into the public domain; its training data leave out the people of LFW. The layers
are those of dlib's example ``dnn_face_recognition_ex``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.errors import InputError
from vitrail.faces.align import TEMPLATE, warp_image

SIDE = 150  # pixels of a chip
DIM = 128
MEAN = (122.782, 117.001, 104.298)  # of RGB, as dlib's input layer subtracts it
# Where dlib's chip of margin 0.25 has the pupils, as a share of its side; by these alone a crop of
# the usual template becomes a chip.
PUPILS = np.array([[0.318, 0.314], [0.669, 0.314]])
MAX_VALUES = 1 << 22  # of one tensor
REMEDY = "take dlib_face_recognition_resnet_model_v1.dat out of the package face-recognition-models"
WIDTHS = (32, 32, 32, -64, 64, 64, 64, -128, 128, 128, -256, 256, 256, -256)  # below 0: halves


class Residual(nn.Module):
    """Two convolutions with a shortcut, which where the block halves is a mean over 2 x 2 pixels;
    what is smaller or has fewer channels is filled up with zeros."""

    def __init__(self, before: int, width: int, halves: bool):
        super().__init__()
        self.halves = halves
        first = nn.Conv2d(before, width, 3, 2, 0) if halves else nn.Conv2d(before, width, 3, 1, 1)
        self.body = nn.Sequential(
            first, Affine(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), Affine(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        x = F.avg_pool2d(x, 2) if self.halves else x
        shape = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
        return F.relu(_filled(x, shape) + _filled(y, shape))


class Affine(nn.Module):
    """A scale and a shift per channel: batch norm as it is after training."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Teacher(nn.Module):
    """Chips as RGB of 0..255 (B, 3, 150, 150) -> embeddings (B, 128), not normalised: people differ
    by a distance above 0.6."""

    mean: Tensor

    def __init__(self):
        super().__init__()
        blocks, before = [], 32
        for width in WIDTHS:
            blocks.append(Residual(before, abs(width), width < 0))
            before = abs(width)
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 7, 2), Affine(32), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, DIM, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)

    def forward(self, chips: Tensor) -> Tensor:
        x = self.blocks(self.stem((chips.float() - self.mean) / 256))
        return self.head(x.mean(dim=(2, 3)))


def read_teacher(path: Path | str) -> Teacher:
    """The network of dlib's file. InputError for any other file."""
    path = Path(path)
    try:
        found = list(_tensors(path.read_bytes()))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", REMEDY) from error
    except (ValueError, IndexError) as error:
        raise InputError(path, "does not hold dlib's recognition network", REMEDY) from error
    model = Teacher()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | Affine | nn.Linear)]
    if [len(values) for values in found] != [_size(layer) for layer in layers]:
        raise InputError(path, "does not hold dlib's recognition network", REMEDY)
    with torch.no_grad():
        for layer, values in zip(layers, found, strict=True):
            count = layer.weight.numel()
            if isinstance(layer, nn.Linear):  # dlib multiplies from the left
                layer.weight.copy_(values.reshape(256, DIM).T)
                continue
            layer.weight.copy_(values[:count].view_as(layer.weight))
            assert layer.bias is not None
            layer.bias.copy_(values[count:])
    return model.eval()


def chips(crops: np.ndarray, margin: int = 0) -> np.ndarray:
    """Chips uint8 (n, 3, 150, 150) of crops (n, S, S, 3) on the usual template, which leave
    ``margin`` pixels around its 112; what lies below a crop is mirrored."""
    eyes = TEMPLATE[:2] + margin
    scale = SIDE * (PUPILS[1, 0] - PUPILS[0, 0]) / (eyes[1, 0] - eyes[0, 0])
    x, y = SIDE * PUPILS.mean(axis=0) - scale * eyes.mean(axis=0)
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    warped = [warp_image(crop, matrix, (SIDE, SIDE)) for crop in crops]
    return np.stack(warped).transpose(0, 3, 1, 2)


def _size(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _filled(x: Tensor, shape: list[int]) -> Tensor:
    channels, height, width = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


def _tensors(data: bytes) -> Iterator[Tensor]:
    """The parameters of each layer in dlib's stream, in which a layer's input comes first."""
    for name in re.finditer(rb"\x05con_4|\x07affine_|\x04fc_2", data):
        at = name.end()
        if name[0].endswith(b"fc_2"):  # the numbers of outputs and inputs come before
            _, at = _integer(data, _integer(data, at)[1])
        version, at = _integer(data, at)
        shape = []
        for _ in range(4):
            size, at = _integer(data, at)
            shape.append(size)
        if version != 2 or not 0 < np.prod(shape) <= MAX_VALUES:
            raise ValueError(f"a tensor of shape {shape} and version {version}")
        values = np.frombuffer(data, "<f4", int(np.prod(shape)), at)
        yield torch.from_numpy(values.copy())


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A number of dlib's stream and where it ends: a byte that counts those to come, and these,
    the lowest first."""
    count = data[at] & 0x0F
    return int.from_bytes(data[at + 1 : at + 1 + count], "little"), at + 1 + count
