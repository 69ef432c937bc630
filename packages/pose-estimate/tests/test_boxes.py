"""Lists of boxes, good and bad ones."""

import json

import numpy as np
import pytest

from pose_estimate.people.boxes import read_boxes, usable
from vitrail.errors import InputError
from vitrail.testing.beside import DATA, needs

POSE = DATA / "pose"


def written(tmp_path, text, name="boxes.txt"):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_cocos_results_are_found_by_the_number_in_a_name(tmp_path):
    rows = [{"image_id": 785, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
            {"image_id": 785, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.9}]  # fmt: skip
    found = read_boxes(written(tmp_path, rows)).of_image(tmp_path / "000000000785.jpg")
    assert found is not None and found.rows == [(1, 2, 3, 4, 0.5)] and found.image_id == 785


def test_ids_may_be_texts(tmp_path):
    content = {"images": [{"id": "7", "file_name": "a/b.jpg"}],
               "annotations": [{"image_id": "7", "bbox": [1, 2, 3, 4]},
                               {"image_id": 7, "bbox": [1, 2, 3, 5]},
                               {"image_id": 7, "bbox": [1, 2, 3, 5], "iscrowd": 1}]}  # fmt: skip
    found = read_boxes(written(tmp_path, content)).of_image(tmp_path / "b.jpg")
    assert found is not None and len(found.rows) == 2


def test_mot_counts_frames_from_one(tmp_path):
    path = written(tmp_path, "1,1,10,20,30,40,0.9,-1,-1,-1\n\n3,1,11,20,30,40,-1\n")
    listed = read_boxes(path)
    assert listed.of_frame(0).rows == [(10, 20, 30, 40, 0.9)]
    assert listed.of_frame(2).rows[0][4] == 1.0 and listed.of_frame(1).rows == []


def test_csv_names_its_columns(tmp_path):
    path = written(tmp_path, "\ufeffFrame, X,y,width,height\n5,1,2,3,4\n")
    assert read_boxes(path).of_frame(5).rows == [(1, 2, 3, 4, 1.0)]


@needs(POSE)
def test_real_files():
    folder = POSE / "mmpose_samples/coco"
    results = read_boxes(folder / "test_coco_det_AP_H_56.json")
    labels = read_boxes(folder / "test_coco.json")
    image = folder / "000000000785.jpg"
    assert len(results.of_image(image).rows) > len(labels.of_image(image).rows) >= 1


@pytest.mark.parametrize(
    "text",
    ["", " ", "hello", "1,2,3", "[1, 2]", "{", "[" * 100_000, '{"annotations": []}',
     '{"images": 3}', '{"images": [{}], "annotations": []}', '[{"image_id": 1, "bbox": [1, 2]}]',
     '[{"image_id": true, "bbox": [1, 2, 3, 4]}]', '[{"image_id": 1, "bbox": "1234"}]',
     '{"images": [], "annotations": {}}', "image,x,y,width\na,1,2,3", "x,y,width,height\n1,2,3,4",
     "image,x,y,width,height\na,1,2,three,4", "frame,x,y,width,height\nsix,1,2,3,4",
     "-3,1,1,1,1,1,1", "1e999,1,1,1,1,1,1",
     '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2}]}'],
)  # fmt: skip
def test_what_is_no_list_of_boxes(tmp_path, text):
    with pytest.raises(InputError) as caught:
        read_boxes(written(tmp_path, text))
    assert len(str(caught.value)) <= 200


def test_bytes_are_no_list(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="is no text"):
        read_boxes(path)


def test_boxes_at_the_border_are_kept_and_those_outside_told():
    rows = np.array([[-5.0, -5, 20, 20, 1], [95, 95, 10, 10, 1], [101, 0, 10, 10, 1],
                     [0, 0, np.inf, 10, 1]])  # fmt: skip
    kept, remarks = usable(rows, (100, 100))
    assert len(kept) == 2 and len(remarks) == 2
    assert usable(np.zeros((0, 5)), (10, 10))[1] == []
