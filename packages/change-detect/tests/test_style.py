"""The style for QGIS, by what its reader asks of a file: classes, symbols by number, properties."""

from importlib.resources import files
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from change_detect.polygons import FIELDS

STYLE = ElementTree.fromstring(files("change_detect.show").joinpath("change.qml").read_text())
COLOURS = ("color", "outline_color")


def test_classes_cover_every_probability():
    renderer = STYLE.find("renderer-v2")
    assert STYLE.tag == "qgis" and renderer is not None
    assert renderer.get("type") == "graduatedSymbol" and renderer.get("attr") in FIELDS
    ranges = [(float(one.get("lower")), float(one.get("upper"))) for one in renderer.iter("range")]
    assert ranges[0][0] == 0 and ranges[-1][1] == 1
    assert all(one[1] == other[0] for one, other in pairwise(ranges))
    named = {one.get("symbol") for one in renderer.iter("range")}
    assert named == {one.get("name") for one in renderer.iter("symbol")}


@pytest.mark.parametrize("layer", STYLE.iter("layer"))
def test_old_and_new_readers_find_the_same_properties(layer):
    """``Option`` since QGIS 3.18, ``prop`` before; QGIS wrote both up to 3.26."""
    assert layer.get("class") == "SimpleFill"
    new = {one.get("name"): one.get("value") for one in layer.findall("Option/Option")}
    old = {one.get("k"): one.get("v") for one in layer.findall("prop")}
    assert new == old and new["outline_width_unit"] == "MM"
    for name in COLOURS:
        assert all(0 <= int(part) <= 255 for part in new[name].split(","))
