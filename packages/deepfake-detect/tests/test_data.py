"""From images and lists to samples: which faces, whose, and that a sample can be made again."""

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_detect.data import Pairs, detect_regions, read_regions
from deepfake_detect.data.labelled import LabelledCrops, extract_faces, read_labelled, split
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.model import FAKE, REAL
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image
from vitrail.testing.media import write_clip, write_picture

RULE = CropRule(img_size=64, box="detector", margin=0.2)


def test_regions_hold_the_face_where_the_mesh_says(faces, region):
    regions = read_regions(faces / "train", faces / "mesh.json")
    assert len(regions) == 2
    x0, y0, x1, y1 = regions[0].face.box
    side = np.sqrt((x1 - x0) * (y1 - y0))
    assert side / 224 == pytest.approx(1 / 2.2, abs=0.02)
    assert (x0 + x1) / 2 == pytest.approx(112, abs=2) and (y0 + y1) / 2 == pytest.approx(112, abs=2)


def test_a_folder_without_known_pictures_is_named(faces):
    (faces / "other").mkdir()
    with pytest.raises(InputError, match=r"mesh\.json"):
        read_regions(faces / "other", faces / "mesh.json")


@pytest.mark.parametrize("content", ["no json", "{}", '{"file": "gone.npz", "groups": {}}'])
def test_a_damaged_mesh_is_one_sentence(faces, content):
    (faces / "mesh.json").write_text(content)
    with pytest.raises(InputError, match="is not a face mesh"):
        read_regions(faces / "train", faces / "mesh.json")


def test_without_a_mesh_the_detector_finds_the_faces(faces, middle_face):
    write_picture(faces / "train" / "tiny.png", np.zeros((20, 20, 3), np.uint8))
    assert len(detect_regions(faces / "train", middle_face)) == 3
    with pytest.raises(InputError, match="shows a face"):
        (faces / "empty").mkdir()
        detect_regions(faces / "empty", middle_face)


@pytest.mark.parametrize("train", [True, False])
def test_a_pair_can_be_made_again(region, train):
    pairs, same, other = (Pairs([region], RULE, seed=seed, train=train) for seed in (0, 0, 1))
    sample = pairs[7]
    assert sample["images"].shape == (2, 3, 64, 64) and sample["images"].dtype == torch.uint8
    assert sample["labels"].tolist() == [FAKE, REAL]
    assert all(torch.equal(sample[part], same[7][part]) for part in sample)
    assert not torch.equal(sample["images"], pairs[8]["images"])
    assert not torch.equal(sample["images"], other[7]["images"])


def test_the_blend_map_shows_where_the_pictures_differ(region):
    pairs = Pairs([region], RULE, seed=0, train=False, change=lambda images, rng: images)
    for number in range(8):
        sample = pairs[number]
        fake, real = sample["images"].float()
        boundary, inside = sample["blend"]
        changed = torch.nn.functional.max_pool2d((fake - real).abs().amax(0)[None], 8)[
            0
        ]  # of each 8 x 8 pixels
        assert sample["blend"].shape == (2, 8, 8)
        assert 0 < inside.max() < 1 + 1e-6 and 0 < boundary.max() < 1 + 1e-6
        assert changed[inside == 0].max() <= 2  # the resized image's edge of a cell
        assert inside[changed > 20].min() > 0


def test_some_training_pictures_end_close_to_the_face(region):
    """Their margin is filled with repeated pixels, in fake and real alike."""
    pairs = Pairs([region], RULE, seed=0, train=True, change=lambda images, rng: images)
    edges = [pairs[number]["images"][..., :3].float() for number in range(120)]
    repeated = [(edge.std(dim=3).amax((1, 2)) < 1e-3).tolist() for edge in edges]
    assert all(fake == real for fake, real in repeated)
    assert 1 <= sum(fake for fake, _ in repeated) <= 30


def test_the_real_half_of_an_unchanged_validation_pair_is_the_plain_crop(region):
    """What the network sees in training is what the command shows it."""
    pairs = Pairs([region], RULE, seed=0, train=False, change=lambda images, rng: images)
    crops = [pairs[number]["images"][1] for number in range(8)]
    plain = torch.from_numpy(RULE.cut(region.image, region.face)).permute(2, 0, 1)
    assert any(torch.equal(crop, plain) for crop in crops)


def labelled_folder(folder, videos=("a", "b", "c"), crops=2):
    for kind, shade in (("real", 40), ("fake", 200)):
        for video in videos:
            (folder / kind / video).mkdir(parents=True)
            for number in range(crops):
                image = np.full((70, 64, 3), shade + number, np.uint8)
                Image.fromarray(image).save(folder / kind / video / f"{number}.png")
    return folder


def test_labels_and_groups_come_from_the_folders(tmp_path):
    files = read_labelled(labelled_folder(tmp_path))
    assert len(files) == 12
    assert {(file.label, file.group) for file in files} == {
        (label, group) for label in (FAKE, REAL) for group in "abc"
    }


def test_a_list_names_paths_beside_it(tmp_path):
    (tmp_path / "list.csv").write_text("\ufeffpath,label\nx.mp4,FAKE\nsub/y.mp4, real \n")
    files = read_labelled(tmp_path / "list.csv")
    assert [(file.path, file.label) for file in files] == [
        (tmp_path / "x.mp4", FAKE),
        (tmp_path / "sub/y.mp4", REAL),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\nx.mp4,maybe\n", "line 2"),
        ("file;label\nx.mp4;fake\n", "line 2"),
        ("path,label\nx.mp4,fake\n", "no real"),
        ("", "no fake"),
    ],
)
def test_a_faulty_list_is_explained(tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_labelled(tmp_path / "list.csv")


def test_a_missing_list_is_explained(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_labelled(tmp_path / "gone.csv")


def test_no_video_is_on_both_sides_of_a_split(tmp_path):
    files = read_labelled(labelled_folder(tmp_path, videos=[f"person{n}" for n in range(10)]))
    train, val = split(files, share=0.3)
    assert {file.group for file in train} & {file.group for file in val} == set()
    assert len(train) + len(val) == len(files)
    assert len({file.group for file in val}) == 3
    assert {file.label for file in val} == {FAKE, REAL}


def test_a_split_needs_two_groups(tmp_path):
    with pytest.raises(InputError, match="two videos"):
        split(read_labelled(labelled_folder(tmp_path, videos=["only"])), share=0.2)


def test_crops_carry_their_own_label(tmp_path):
    files = read_labelled(labelled_folder(tmp_path))
    for train in (True, False):
        crops = LabelledCrops(files, RULE, seed=0, train=train)
        for number in range(12):
            sample = crops[number]
            assert sample["images"].shape == (1, 3, 64, 64)
            assert (sample["images"].float().mean() > 120) == (sample["labels"].item() == FAKE)


def test_training_draws_both_labels_equally(tmp_path):
    folder = labelled_folder(tmp_path)
    for number in range(40):
        Image.fromarray(np.full((64, 64, 3), 40, np.uint8)).save(
            folder / "real" / "a" / f"more{number}.png"
        )
    crops = LabelledCrops(read_labelled(folder), RULE, seed=0, train=True)
    fakes = sum(crops[number]["labels"].item() == FAKE for number in range(80))
    assert 25 < fakes < 55


def test_the_largest_face_of_each_frame_is_cut_once(tmp_path, middle_face):
    clip = write_clip(
        tmp_path / "clip.mp4",
        (np.full((100, 100, 3), shade, np.uint8) for shade in range(0, 200, 10)),
    )
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    folders = {
        clip: tmp_path / "crops/clip.mp4",
        tmp_path / "broken.mp4": tmp_path / "crops/broken.mp4",
    }
    found = dict(extract_faces(folders, middle_face, RULE, frames=4))
    names = sorted(path.name for path in (tmp_path / "crops/clip.mp4").iterdir())
    assert names == ["000000.png", "000006.png", "000012.png", "000019.png"]
    assert found[clip] == 4 and isinstance(found[tmp_path / "broken.mp4"], InputError)
    side = np.sqrt(40 * 60) * 1.4
    assert read_image(tmp_path / "crops/clip.mp4/000000.png").shape[0] == pytest.approx(side, abs=1)
    (tmp_path / "crops/clip.mp4/000000.png").unlink()  # a user throws away what is no face
    assert dict(extract_faces(folders, middle_face, RULE, frames=4))[clip] == 3
