"""Tracks held against true ones."""

from pathlib import Path

import numpy as np
import pytest

from video_detect.measure.tracking import read_mot, tally
from vitrail.errors import InputError
from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call
from vitrail.testing.media import write_picture

from .fakes import film, save_tiny

RECIPE = Path(__file__).parents[3] / "pipelines" / "video-detect" / "tgbformer.yaml"
MOT = DATA / "video-detection" / "mot15_eval"
BOX = np.array([0.0, 0, 10, 10])


def track(number: int, frames: range, x: float = 0.0) -> dict:
    return {frame: (np.array([number]), BOX[None] + (x, 0, x, 0)) for frame in frames}


def test_what_is_followed_without_a_fault():
    one = tally(track(7, range(1, 9)), track(3, range(1, 9)))
    assert (one.mota, one.idf1, one.hota) == (1, 1, 1) and one.switches == 0


def test_a_number_that_changes_in_the_middle():
    told = track(1, range(1, 5)) | track(2, range(5, 9))
    one = tally(track(7, range(1, 9)), told)
    assert one.switches == 1 and one.mota == pytest.approx(1 - 1 / 8)
    assert one.idf1 == pytest.approx(0.5) and one.hota == pytest.approx(0.5**0.5)


def test_what_is_lost_and_what_is_not_there():
    one = tally(track(7, range(1, 9)), track(1, range(1, 5)) | track(1, range(5, 9), x=100))
    assert one.mota == pytest.approx(0) and one.idf1 == pytest.approx(0.5)
    nothing = tally(track(7, range(1, 9)), {})
    assert (nothing.mota, nothing.idf1, nothing.hota) == (0, 0, 0)


def test_films_add_up():
    one = tally(track(7, range(1, 9)), track(3, range(1, 9)))
    other = tally(track(7, range(1, 9)), {})
    assert (one + other).mota == pytest.approx(0.5)


def test_rows_that_do_not_count_are_left_out(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,4,1,2,3,4,1,-1,-1\n1,5,1,2,3,4,0,-1,-1\n")
    ((ids, corners),) = read_mot(path).values()
    assert ids.tolist() == [4] and corners.tolist() == [[1, 2, 4, 6]]
    path.write_text("no film\n")
    with pytest.raises(InputError, match="no MOT file"):
        read_mot(path)


@pytest.fixture
def folder(tmp_path):
    """One film of a square that moves, and its truth."""
    place = tmp_path / "mot" / "square"
    for part in ("gt", "img1"):
        (place / part).mkdir(parents=True)
    lines = []
    for number, image in enumerate(film(8), start=1):
        write_picture(place / "img1" / f"{number:06d}.png", image)
        lines.append(f"{number},1,{1 + 4 * number},21,24,24,1,-1,-1,-1\n")
    (place / "gt" / "gt.txt").write_text("".join(lines))
    return tmp_path / "mot"


def test_the_command_measures_what_others_tell(folder, tmp_path, monkeypatch):
    pytest.importorskip("lightning")
    monkeypatch.setenv("VITRAIL_DATA", str(tmp_path))
    (tmp_path / "results").mkdir()
    words = ("vitrail", "evaluate", RECIPE, "--set", f"data.mot={folder}",
             "--set", f"data.mot_results={tmp_path / 'results'}")  # fmt: skip
    assert "square.txt" in call(*words).stderr
    truth = (folder / "square/gt/gt.txt").read_text()
    (tmp_path / "results" / "square.txt").write_text(truth.replace(",1,", ",9,", 1))
    outcome = call(*words)
    assert outcome.status == 0 and "MOTA" in outcome.stdout, outcome.stderr


def test_the_network_is_measured_on_the_frames(folder, tmp_path):
    pytest.importorskip("lightning")
    from video_detect.evaluation import tracks_table
    from video_detect.training.recipe import Data

    data = Data(coco=tmp_path, mot=folder, mot_class="car")
    table = tracks_table(data, str(save_tiny(tmp_path / "tiny.safetensors")))
    assert [row[0] for row in table.rows] == ["square", "all"]
    with pytest.raises(InputError, match="no film"):
        tracks_table(Data(coco=tmp_path, mot=tmp_path), "tgbformer")


@needs(MOT)
def test_the_figures_that_another_evaluator_gives():
    """Those that the data's PROVENANCE.md tells, of both films together."""
    first, second = (
        tally(read_mot(MOT / name / "gt/gt.txt"), read_mot(MOT / "results" / f"{name}.txt"))
        for name in ("TUD-Campus", "TUD-Stadtmitte")
    )
    both = first + second
    assert (round(both.idf1, 3), round(both.mota, 3), round(both.hota, 3)) == (0.624, 0.555, 0.4)
    assert both.switches == 14 and round(both.same_id / both.found, 3) == 0.799
