"""Clips of a list: which are read, what is cut out of them once, and what pairs they give."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_detect.data import Pairs
from deepfake_detect.data.clip_pairs import ClipPairs, Joined, Mixed
from deepfake_detect.data.clips import FACES, cut_clips, read_clips
from deepfake_detect.data.pseudo_fakes import face_swap
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.model import FAKE, REAL
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image
from vitrail.testing.media import write_clip

RULE = CropRule(img_size=64, box="detector", margin=0.2)
PARTS = ("a", "b", "c", "test")
HEAD = "repository,path,label,generator,person,part\n"


@pytest.fixture
def listed(tmp_path):
    """Dark real clips of Ann and Bob, bright fakes of two makers, one clip that is not there."""
    rows = []
    for number, (label, maker, person) in enumerate(
        (("real", "", "ann"), ("real", "", "bob"), ("fake", "one", "cy"), ("fake", "two", "dan"))
    ):
        (tmp_path / "clips" / "o" / "r").mkdir(parents=True, exist_ok=True)
        shade = 40 if label == "real" else 200
        frames = (np.full((150, 150, 3), shade + n, np.uint8) for n in range(20))
        write_clip(tmp_path / "clips" / "o" / "r" / f"{number}.mp4", frames)
        rows.append(f"o/r,{number}.mp4,{label},{maker},{person},train\n")
    rows.append("o/r,gone.mp4,real,,eve,train\no/r,0.mp4,real,,ann,test\n")
    path = tmp_path / "list.csv"
    path.write_text(HEAD + "".join(rows))
    return path


def cut(listed, finder, frames=3):
    folder = listed.parent / "clips"
    clips = read_clips(listed, folder, ["train"])
    return cut_clips(clips, folder, listed.parent / "cut", finder, frames)


def test_a_list_tells_label_maker_and_person_of_one_part(listed, capsys):
    clips = read_clips(listed, listed.parent / "clips", ["train"])
    assert [(clip.label, clip.kind, clip.group) for clip in clips] == [
        (REAL, "", "ann"),
        (REAL, "", "bob"),
        (FAKE, "one", "cy"),
        (FAKE, "two", "dan"),
    ]
    assert "left out: 1 of 5 clips of list.csv" in capsys.readouterr().err


def test_a_part_without_one_label_is_explained(listed):
    with pytest.raises(InputError, match=r"no fake clip of list\.csv"):
        read_clips(listed, listed.parent / "clips", ["test"])


@pytest.mark.parametrize(
    "text", ["path,label\na.mp4,real\n", HEAD + "o/r,a.mp4,maybe,,ann,train\n"]
)
def test_another_list_is_explained(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match="is no list of clips"):
        read_clips(tmp_path / "list.csv", tmp_path, ["train"])


def test_faces_are_cut_once_with_their_landmarks(listed, middle_face, capsys):
    (listed.parent / "clips/o/r/1.mp4").write_bytes(b"no video")
    found = cut(listed, middle_face)
    assert [len(faces) for _, faces in found] == [3, 3, 3]
    assert "1.mp4" in capsys.readouterr().err
    face = found[0][1][0]
    region = face.region()
    x0, y0, x1, y1 = region.face.box
    assert region.image.shape == (224, 224, 3)
    assert (x0 + x1) / 2 == pytest.approx(112, abs=20) and (y0 + y1) / 2 == pytest.approx(
        112, abs=20
    )
    face.path.write_bytes(b"")  # it is not cut again
    assert cut(listed, middle_face)[0][1][0].path.stat().st_size == 0
    assert (face.path.parent / FACES).is_file()


def test_pairs_hold_a_fake_and_a_real_face(listed, middle_face):
    found = cut(listed, middle_face)
    pairs = ClipPairs(found, RULE, seed=0, train=False)
    assert len(pairs) == 6
    for number in range(6):
        sample = pairs[number]
        fake, real = sample["images"].float().mean((1, 2, 3)).tolist()
        assert fake > 150 > 100 > real and sample["labels"].tolist() == [FAKE, REAL]
        assert [found[clip][0].label for clip in sample["clips"]] == [FAKE, REAL]


def test_what_a_pair_shows_is_what_the_command_sees(listed, middle_face):
    pairs = ClipPairs(cut(listed, middle_face), RULE, seed=0, train=False)
    assert pairs[0]["images"].shape == (2, 3, 64, 64)
    face = pairs.faces[REAL][0][1]
    image = read_image(face.path)
    marked = image.copy()
    side = image.shape[0]
    marked[: round(side * 0.17)] = 255  # beyond the network's margin
    Image.fromarray(marked).save(face.path)
    assert torch.equal(pairs[0]["images"][1], torch.full((3, 64, 64), int(image[0, 0, 0])).byte())


def test_training_draws_makers_equally_and_can_be_made_again(listed, middle_face):
    found = cut(listed, middle_face)
    twice = [*found, (found[2][0], found[2][1])]  # maker "one" has two clips
    pairs = ClipPairs(twice, RULE, seed=0, train=True)
    makers = [twice[clip][0].kind for n in range(300) for clip in pairs[n]["clips"][:1].tolist()]
    made = [maker for maker in makers if maker]
    assert 0.4 < made.count("one") / len(made) < 0.6
    assert 0.3 < makers.count("") / len(makers) < 0.5  # made of the real face itself
    again = ClipPairs(twice, RULE, seed=0, train=True)[7]
    assert all(torch.equal(again[key], pairs[7][key]) for key in again)


def test_photographs_stand_beside_clips(listed, middle_face, region):
    photographs = Pairs([region], RULE, seed=0, train=True)
    clips = ClipPairs(cut(listed, middle_face), RULE, seed=0, train=True)
    mixed = Mixed(photographs, clips, share=0.5)
    of_clips = sum(int(mixed[number]["clips"][1] >= 0) for number in range(60))
    assert 20 < of_clips < 40
    joined = Joined(photographs, 2, ClipPairs(clips.clips, RULE, seed=0, train=False))
    assert len(joined) == 2 + 6
    assert [int(joined[number]["clips"][0]) >= 0 for number in range(4)] == [False] * 2 + [True] * 2


def test_a_swapped_face_lies_where_the_face_was_in_its_colours(region):
    other = np.random.default_rng(0).integers(0, 120, region.image.shape, dtype=np.uint8)
    fake, mask = face_swap(
        region.image, region.points, other, region.points, np.random.default_rng(1)
    )
    changed = np.abs(fake.astype(int) - region.image).max(-1)
    assert changed[mask == 0].max() == 0 and changed[mask > 0.9].mean() > 5
    inside = mask > 0.9
    assert abs(fake[inside].mean() - region.image[inside].mean()) < 12


def test_nobody_and_no_maker_is_in_two_parts_of_the_shipped_list():
    pipelines = Path(__file__).parents[3] / "pipelines" / "deepfake-detect"
    with (pipelines / "clips_from_elsewhere.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["sha256"] for row in rows}) == len(rows)
    for column in ("person", "generator"):
        parts = [{row[column] for row in rows if row["part"] == part} - {""} for part in PARTS]
        assert all(parts) and sum(map(len, parts)) == len(set.union(*parts))
