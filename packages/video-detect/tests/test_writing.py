"""What lies in the folder of a film."""

import csv
import json

import numpy as np

from video_detect.result import FrameRow, Object, Result
from video_detect.writing import write
from vitrail.preprocess.video import open_video

FRAMES = (
    FrameRow(0, 0.0, (Object((10, 20, 30, 40), "car", 0.9, 1),)),
    FrameRow(1, 0.04, (), computed=False),
    FrameRow(
        2, 0.08, (Object((12, 20, 30, 40), "car", 0.8, 1), Object((0, 0, 5, 5), "dog", 0.7, 2))
    ),
)


def result(**changes) -> Result:
    facts = {"name": "a.mp4", "frames": FRAMES, "width": 96, "height": 64, "fps": 25.0}
    return Result(**(facts | {"labels": ("person", "car", "dog")} | changes))


def test_rows_tables_and_the_forms_of_others(tmp_path):
    write(result(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [0, 1, 2]
    assert rows[0]["objects"] == [
        {"box": [10, 20, 30, 40], "label": "car", "score": 0.9, "track": 1}
    ]
    assert rows[1] == {"frame": 1, "time": 0.04, "objects": [], "computed": False}
    with (tmp_path / "detections.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 and table[2]["label"] == "dog" and table[2]["frame"] == "2"
    mot = [line.split(",") for line in (tmp_path / "mot.txt").read_text().splitlines()]
    assert mot[0][:6] == ["1", "1", "11.00", "21.00", "30.00", "40.00"]
    assert mot[2][:2] == ["3", "2"] and mot[2][7] == "3"
    info = (tmp_path / "seqinfo.ini").read_text()
    assert "seqLength=3" in info and "imWidth=96" in info and "frameRate=25" in info
    coco = json.loads((tmp_path / "coco_vid.json").read_text())
    assert [image["frame_id"] for image in coco["images"]] == [0, 1, 2]
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == ["car", "car", "dog"]
    assert {one["name"]: one["vid_category_id"] for one in coco["categories"]} == {
        "person": None, "car": 7, "dog": 9,
    }  # fmt: skip


def test_tracks_are_summed_up():
    (car, dog) = result().to_dict()["tracks"]
    assert car == {"track": 1, "label": "car", "first": 0, "last": 2, "frames": 2, "score": 0.9}
    assert dog["first"] == 2
    assert result().cells()["objects"] == "1 car, 1 dog"


def test_the_film_keeps_its_length_its_times_and_shows_the_boxes(street, tmp_path):
    frames = tuple(
        FrameRow(n, n / 10, (Object((20, 10, 40, 40), "car", 0.9, 1),)) for n in range(12)
    )
    write(result(frames=frames, path=street, fps=10.0), tmp_path)
    drawn, plain = open_video(tmp_path / "annotated.mp4"), open_video(street)
    assert (drawn.frame_count, drawn.width, drawn.height) == (12, 96, 64)
    for a, b in zip(drawn.frames(range(12)), plain.frames(range(12)), strict=True):
        assert abs(a.time - b.time) < 1e-3
        assert np.abs(a.image.astype(int) - b.image).max() > 60


def test_a_film_that_is_cut_short_still_plays(street, tmp_path):
    """It is written in fragments: what is there can be seen."""
    frames = tuple(FrameRow(n, n / 10) for n in range(12))
    write(result(frames=frames, path=street, fps=10.0), tmp_path)
    whole = (tmp_path / "annotated.mp4").read_bytes()
    assert whole.count(b"moof") >= 1 and whole.index(b"moov") < whole.index(b"moof")
