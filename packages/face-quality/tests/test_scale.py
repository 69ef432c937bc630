"""What a raw quality means."""

import json

import numpy as np
import pytest

from face_quality.scale import Calibration, read_calibration
from vitrail.errors import InputError


def scale() -> Calibration:
    random = np.random.default_rng(0)
    usual = random.normal(0.5, 0.1, 300)
    return Calibration.of(np.concatenate((usual, usual - 0.4)), usual, "made")


def test_the_score_is_a_rank_that_never_falls():
    known = scale()
    raws = np.linspace(-1, 2, 200)
    scores = [known.score(raw) for raw in raws]
    assert (np.diff(scores) >= 0).all() and scores[0] == 0 and scores[-1] == 100
    assert known.score(known.raw_of(63)) == pytest.approx(63, abs=0.1)
    assert known.percentile(float(np.median(known.usual))) == pytest.approx(50, abs=1)
    assert [known.word(value) for value in (0, 39.9, 40, 69.9, 70)] == [
        "low",
        "low",
        "middle",
        "middle",
        "high",
    ]


def test_a_file_tells_when_it_was_changed(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(scale().to_dict()))
    assert read_calibration(path) == Calibration(**vars(scale()))
    path.write_text(path.read_text().replace('"low": 40.0', '"low": 10.0'))
    with pytest.raises(InputError, match="changed"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"raw": [1, 0]}', "[" * 100_000])
def test_what_is_no_calibration(text, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_calibration(path)
