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
        self.layers = nn.ModuleList(nn.Linear(config.width, 8) for _ in range(config.depth))
        self.share = 8 // config.width


KNOWN = {"layers": (Layers, Sizes)}


def test_options_left_out_are_the_defaults():
    assert build(KNOWN, "layers", {"depth": 3}).config == Sizes(width=4, depth=3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("layer", {}, "layer: no such architecture; use one of layers"),
        ("layers", None, "layers: has no table of options"),
        ("layers", {"widht": 8}, "layers: has no option widht; its options: width, depth"),
    ],
)
def test_what_does_not_exist_is_named(name, options, message):
    with pytest.raises(UsageError) as caught:
        build(KNOWN, name, options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"width": -4}, {"width": "wide"}, {"depth": None}, {"depth": [2]}],
)
def test_sizes_of_which_no_network_can_be_made(options):
    with pytest.raises(UsageError, match="layers: no network can be made of its options"):
        build(KNOWN, "layers", options)


@pytest.mark.parametrize("depth", [10**9, -(10**9), [2, 10**9], float("inf")])
def test_sizes_that_no_network_has(depth):
    with pytest.raises(UsageError, match="depth is above 65536"):
        build(KNOWN, "layers", {"depth": depth})
