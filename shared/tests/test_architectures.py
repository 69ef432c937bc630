from dataclasses import dataclass

import pytest
from torch import nn

from vitrail.architectures import build
from vitrail.errors import UsageError


@dataclass(frozen=True)
class Sizes:
    width: int = 4
    depth: int = 1


class Layers(nn.Module):
    def __init__(self, config: Sizes):
        super().__init__()
        self.config = config


KNOWN = {"layers": (Layers, Sizes)}


def test_options_left_out_are_the_defaults():
    assert build(KNOWN, "layers", {"depth": 3}).config == Sizes(width=4, depth=3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("layer", {}, "layer: no such architecture; use one of layers"),
        ("layers", {"widht": 8}, "layers: has no option widht; its options: width, depth"),
    ],
)
def test_what_does_not_exist_is_named(name, options, message):
    with pytest.raises(UsageError) as caught:
        build(KNOWN, name, options)
    assert str(caught.value) == message
