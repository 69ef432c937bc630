"""Overlays and heat maps: in the right place, readable on any ground, safe on odd input."""

import itertools

import numpy as np
import pytest

from vitrail.report import HeatMap, Overlay, Span, class_colours
from vitrail.report.palette import BACKGROUND, colour, heat, ink_on


def luminance(colours) -> np.ndarray:
    encoded = np.asarray(colours, float) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return light @ [0.2126, 0.7152, 0.0722]


def contrast(one, other) -> float:
    high, low = sorted(map(float, luminance([one, other])), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_are_told_apart_and_text_on_them_is_readable():
    colours = np.array([colour(number) for number in range(24)], int)
    for one, other in itertools.combinations(colours, 2):
        assert np.abs(one - other).sum() > 25
    assert all(contrast(ink_on(tuple(one)), one) >= 4.5 for one in colours.tolist())
    assert len({colour(number) for number in range(100)}) == 100


def test_a_class_has_one_colour_in_every_map():
    assert class_colours([0, 1, 13]) == {0: BACKGROUND, 1: colour(0), 13: colour(12)}
    assert class_colours([13])[13] == class_colours(range(20))[13]


def test_heat_grows_lighter_all_the_way():
    colours = heat(np.linspace(0, 1, 256))
    assert (np.diff(luminance(colours)) >= 0).all()
    assert luminance(colours[0]) < 0.01 and luminance(colours[-1]) > 0.8
    assert heat(np.array([np.nan, -5, 7])).tolist() == [
        list(BACKGROUND),
        colours[0].tolist(),
        colours[-1].tolist(),
    ]


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3), (60, 80, 4)])
def test_the_image_itself_stays_as_it_was(shape):
    image = np.full(shape, 90, np.uint8)
    overlay = Overlay(image)
    assert np.array_equal(overlay.image(), np.full((60, 80, 3), 90))
    overlay.box(10, 10, 40, 40, "a face")
    overlay.mask(np.ones((60, 80), np.uint8))
    assert (image == 90).all() and overlay.image().shape == (60, 80, 3)


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("ground", [0, 60, 128, 190, 255])
def test_strokes_show_on_any_ground(number, ground):
    overlay = Overlay(np.full((200, 200, 3), ground, np.uint8))
    overlay.line([(20, 50), (180, 50)], number)
    overlay.points([(100, 120)], number)
    drawn = overlay.image()
    for column in (drawn[40:60, 100], drawn[110:130, 100]):
        assert max(contrast(pixel, [ground] * 3) for pixel in column) >= 2
    assert (drawn[70:100] == ground).all()


def test_boxes_are_where_they_belong():
    overlay = Overlay(np.zeros((300, 300, 3), np.uint8))
    overlay.box(100, 120, 200, 220)
    rows, columns = np.nonzero(overlay.image().any(axis=-1))
    assert rows.min() == pytest.approx(120, abs=4) and rows.max() == pytest.approx(220, abs=4)
    assert columns.min() == pytest.approx(100, abs=4) and columns.max() == pytest.approx(200, abs=4)
    assert not overlay.image()[130:210, 110:190].any()


def test_a_mask_tints_its_pixels_alone():
    labels = np.zeros((100, 100), np.uint8)
    labels[20:60, 30:70] = 3
    overlay = Overlay(np.full((100, 100, 3), 100, np.uint8))
    overlay.mask(labels, {3: "water", 9: "nowhere"}, opacity=0.5)
    drawn = overlay.image()
    assert (drawn[:100][labels == 0] == 100).all() and len(drawn) > 100
    assert drawn[40, 50].tolist() == np.rint(50 + np.array(colour(2)) / 2).tolist()
    assert drawn[20, 50].tolist() == list(colour(2))
    assert (drawn[100:].reshape(-1, 3) == colour(2)).all(axis=1).any()
    assert not (drawn[100:].reshape(-1, 3) == colour(8)).all(axis=1).any()
    with pytest.raises(ValueError, match="a mask of"):
        overlay.mask(labels[1:])


def test_odd_input_is_drawn_without_complaint():
    overlay = Overlay(np.zeros((7, 5), np.uint8))
    overlay.box(-1e9, -1e9, 1e9, np.inf, "\x1b[31m\u202e" * 900, 10**6)
    overlay.line([])
    overlay.line([(np.nan, 1), (2, 2)])
    overlay.points([(np.nan, np.nan), (-1e30, 5)])
    overlay.legend({1: "x" * 500, 2: "\x00"})
    assert overlay.image().shape[1:] == (5, 3)


def test_a_heat_map_shows_each_cell_from_below():
    values = np.array([[0.0, 1.0], [np.nan, 0.5]])
    drawn = HeatMap("m", values, (0, 2), x_label="class").to_image(400, 300)
    assert drawn.shape == (300, 400, 3) and drawn.dtype == np.uint8
    left, right, top, bottom = drawn[:, 100], drawn[:, 260], slice(60, 140), slice(170, 250)
    for column, place, value in [(left, bottom, 0), (right, bottom, 1), (right, top, 0.5)]:
        assert (column[place] == heat(np.array(value))).all()
    assert (left[top] == BACKGROUND).all()


def test_spans_lie_over_their_time():
    values = np.zeros((4, 50))
    plain = HeatMap("m", values, (0, 10), value_range=(0, 1)).to_image()
    spans = [Span(2, 4, "rooster"), Span(9, 30, "beyond"), Span(-5, -2, "before")]
    drawn = HeatMap("m", values, (0, 10), value_range=(0, 1), spans=spans).to_image()
    columns = np.nonzero((drawn[50:64] == colour(0)).all(axis=-1).any(axis=0))[0]
    share = (columns - 62) / (1000 - 62 - 92)
    assert share.min() == pytest.approx(0.2, abs=0.01) and share.max() == pytest.approx(
        0.4, abs=0.01
    )
    assert np.array_equal(drawn[:, 915:], plain[:, 915:])


@pytest.mark.parametrize(
    "values", [np.zeros((1, 1)), np.full((3, 4), np.nan), np.full((2, 5000), -np.inf)]
)
def test_odd_matrices_are_drawn(values):
    assert HeatMap("\x00", values, (0, 4000)).to_image(300, 200).shape == (200, 300, 3)
