"""Training: who is left out, samples, teachers, a short run."""

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from face_quality.data import Crops, Excluded, aligned_crops, find_photographs
from face_quality.records import HEADER, MAGIC
from face_quality.training.degrade import ALL, TESTED, degrade
from face_quality.training.samples import Samples, jittered, ranked, teacher_ratios, variant
from face_quality.training.task import held_out
from face_quality.training.teacher import Teacher, chips, read_teacher
from vitrail.errors import InputError
from vitrail.faces.find import Finder
from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call
from vitrail.testing.media import pattern, write_picture

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "pipelines/face-quality/small.yaml"


def write_people(folder: Path, people: int = 6, each: int = 3) -> Path:
    """A CSV of aligned crops, as face-quality's data set has it."""
    lines = ["path,identity"]
    for person in range(people):
        for number in range(each):
            path = folder / f"P{person}_000{number}.png"
            image = np.roll(pattern(112, 112, person), 3 * number, axis=1)
            lines.append(f"{write_picture(path, image).name},P{person}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return folder / "train.csv"


def crops_of(count: int = 6, people: int = 3) -> Crops:
    images = np.stack([pattern(128, 128, number) for number in range(count)])
    persons = np.arange(count) % people
    names = tuple(f"f{number}" for number in range(count))
    return Crops(images, np.arange(count), persons, tuple("abc"[:people]), names)


@needs(DATA / "face-quality", DATA / "deepfake")
def test_no_picture_of_a_test_person_is_trained_on():
    lists = [DATA / "face-quality/test.csv", DATA / "deepfake/kept_back.txt"]
    excluded = Excluded.of(lists)
    assert len([name for name in excluded.names if len(name) == 16]) > 200
    folders = [DATA / "deepfake/faces_real/train", DATA / "deepfake/faces_real/val"]
    paths = [DATA / "face-quality/train.csv", *folders]
    found = find_photographs(paths, lists)
    tested = {row.split(",")[1] for row in lists[0].read_text().splitlines()[1:]}
    assert len(tested) == 270 and not tested & {one.person for one in found}
    everybody = {one.person for one in find_photographs(paths)}
    assert len(tested & everybody) == 73
    assert "Laura_Bush" in excluded and not any(one.person in excluded for one in found)


def test_people_are_left_out_by_name_or_hash(tmp_path):
    import hashlib

    path = tmp_path / "out.txt"
    path.write_text("# note\n" + hashlib.sha256(b"P1").hexdigest()[:16] + "\nP2\n")
    people = {one.person for one in find_photographs([write_people(tmp_path)], [path])}
    assert people == {"P0", "P3", "P4", "P5"}


def test_folders_of_people_and_numbered_files(tmp_path):
    (tmp_path / "Ada").mkdir()
    write_picture(tmp_path / "Ada" / "one.png")
    write_picture(tmp_path / "Grace_Hopper_0002.png")
    found = {one.person: one.is_crop for one in find_photographs([tmp_path])}
    assert found == {"Ada": False, "Grace_Hopper": False}
    with pytest.raises(InputError):
        find_photographs([tmp_path / "nowhere"])


def test_people_may_have_pictures_of_one_name(tmp_path):
    """A folder for each person, in which files are called 1, 2, 3; a picture in two sources is
    taken once."""
    for person in ("Ada", "Grace"):
        (tmp_path / person).mkdir()
        for number in (1, 2):
            write_picture(tmp_path / person / f"{number}.png")
    found = find_photographs([tmp_path, tmp_path])
    assert sorted(one.person for one in found) == ["Ada", "Ada", "Grace", "Grace"]


def test_pictures_left_out_are_said_each_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    found = find_photographs([write_people(tmp_path)])
    found[0].path.write_bytes(b"no picture")
    finder = cast(Finder, SimpleNamespace(networks={}, predict=lambda _: []))
    for _ in range(2):
        assert len(aligned_crops(found, finder)) == 17
        assert "1 of 18 pictures cannot be read or show no face" in capsys.readouterr().err


def record(content: bytes, part: int = 0) -> bytes:
    head = struct.pack("<II", MAGIC, part << 29 | len(content))
    return head + content + bytes(-len(content) % 4)


def picture_record(label: list[float], picture: bytes) -> bytes:
    flag = len(label) if len(label) > 1 else 0
    labels = struct.pack(f"<{flag}f", *label) if flag else b""
    return record(HEADER.pack(flag, label[0], 1, 0) + labels + picture)


def test_recordio_is_read_without_mxnet(tmp_path, capsys):
    """As InsightFace writes it: a record about the set first, and one about each person last."""
    shown = [pattern(112, 112, number) for number in range(3)]
    pictures = [
        write_picture(tmp_path / f"{n}.png", one).read_bytes() for n, one in enumerate(shown)
    ]
    path = tmp_path / "train.rec"
    path.write_bytes(
        record(HEADER.pack(2, 0, 0, 0) + struct.pack("<2f", 4, 6))
        + picture_record([7.0], pictures[0])
        + picture_record([7.0, 1.0], pictures[1])
        + record(b"x" * 40, part=1)
        + record(b"x" * 40, part=3)
        + picture_record([12.0], pictures[2])
        + record(HEADER.pack(2, 0, 9, 0) + struct.pack("<2f", 1, 3))
    )
    (tmp_path / "out.txt").write_text("12")
    assert [one.person for one in find_photographs([path], [tmp_path / "out.txt"])] == ["7", "7"]
    found = find_photographs([path])
    assert "train.rec: 1 pictures stored in parts, left out" in capsys.readouterr().err
    crops = aligned_crops(found, cast(Finder, SimpleNamespace(networks={}, predict=lambda _: [])))
    assert crops.persons.tolist() == [0, 0, 1] and crops.people == ("7", "12")
    assert len(set(crops.names)) == 3
    for number, image in enumerate(shown):
        assert (crops.image(number)[8:-8, 8:-8] == image).all()
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="cut short"):
        find_photographs([path])
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is not recordio"):
        find_photographs([path])


def test_of_each_person_the_first_pictures_are_kept():
    few = crops_of(6, 3).at_most(1)
    assert len(few) == 3 and few.names == ("f0", "f1", "f2")
    assert (few.image(2) == pattern(128, 128, 2)).all()


def test_a_copy_is_the_same_at_each_call():
    crops = crops_of()
    assert (variant(crops, 1, 1) == variant(crops, 1, 1)).all()
    assert (variant(crops, 1, 0) == crops.images[1]).all()
    assert (variant(crops, 1, 1) != variant(crops, 1, 2)).any()


@pytest.mark.parametrize("name", ALL)
def test_a_degradation_grows_with_its_strength(name):
    image = pattern(112, 112, 3)
    off = []
    for strength in (0.1, 0.5, 1.0):
        spoilt = ALL[name](image, strength, np.random.default_rng(0))
        assert spoilt.shape == image.shape and spoilt.dtype == np.uint8
        off.append(np.abs(spoilt.astype(int) - image).mean())
    assert off[0] < off[-1]
    assert degrade(image, np.random.default_rng(1), TESTED).shape == image.shape


def test_jitter_without_turn_and_shift_is_the_centre(monkeypatch):
    class Still:
        def normal(self, mean, deviation, size=None):
            return np.zeros(size) if size else 0.0  # a gamma of 1

        def random(self):
            return 0.9

    image = pattern(128, 128, 5)
    assert (jittered(image, Still()) == image[8:-8, 8:-8]).all()


def test_a_sample_keeps_its_teachers_words_for_the_picture_as_it_was():
    crops = crops_of()
    embeddings = np.random.default_rng(0).normal(size=(6, 2, 128)).astype(np.float32)
    ratios = teacher_ratios(embeddings, crops.persons)
    assert ratios.shape == (6, 2) and np.isfinite(ratios).all()
    samples = Samples(crops, np.arange(6), crops.persons, embeddings, ratios, variants=1)
    pixels, person, taught, ratio = samples[7]  # the degraded copy of the second face
    assert len(samples) == 12 and pixels.shape == (1, 3, 112, 112) and person == 1
    np.testing.assert_array_equal(taught.numpy(), embeddings[1, 0])
    assert ratio == pytest.approx(float(ratios[1, 1]))


def test_a_spoilt_copy_is_never_rated_above_its_face():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(5, 3, 8)).astype(np.float32)
    embeddings[:, 1] = embeddings[:, 0]  # a copy that lost nothing
    ratios = teacher_ratios(embeddings, np.array([0, 0, 1, 1, 2]))
    several = ratios[:4]
    np.testing.assert_allclose(several[:, 1], several[:, 0], rtol=1e-5)
    assert (np.abs(several[:, 2]) <= np.abs(several[:, 0])).all()
    # Somebody with one face: nothing to measure it by, and its copies as those of a usual face.
    assert np.isnan(ratios[4, 0])
    assert ratios[4, 1] == pytest.approx(several[:, 0].mean(), rel=1e-5)


def test_ranks_are_those_among_what_training_draws():
    """Half of what is drawn is degraded: two copies of each picture count as one."""
    ratios = np.array([[0.8, 0.1, 0.2], [0.9, 0.3, 0.4], [np.nan, 0.5, 0.6]], np.float32)
    ranks = ranked(ratios, 0.5)
    assert np.isnan(ranks[2, 0]) and np.nanmax(ranks) == 1
    known = ~np.isnan(ratios)
    assert (np.argsort(ranks[known]) == np.argsort(ratios[known])).all()
    # Six copies weigh a quarter each, two pictures as they are a half each.
    assert ranks[2, 2] == pytest.approx(6 * 0.25 / 2.5) and ranks[0, 0] == pytest.approx(0.8)


def test_a_face_is_shown_as_two_detectors_align_it():
    crops = crops_of()
    samples = Samples(crops, np.arange(6), crops.persons, None, None, jitters=True, shown=2)
    pixels = samples[0][0]
    assert len(samples) == 6 and pixels.shape == (2, 3, 112, 112)
    assert (pixels[0] != pixels[1]).any()


def test_those_who_validate_are_always_the_same():
    crops = crops_of(12, 3)
    four = Crops(crops.images, crops.places, np.arange(12) % 4, tuple("abcd"), crops.names)
    assert held_out(four, 0.5) == held_out(four, 0.5) and len(held_out(four, 0.5)) == 2
    with pytest.raises(InputError):
        held_out(crops, 0.5)


def test_what_is_not_dlibs_file(tmp_path):
    path = tmp_path / "model.dat"
    for content in (b"", b"\x05con_4\x01\x02", b"\x05con_4" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="recognition network"):
            read_teacher(path)


def test_chips_of_crops_feed_the_teacher():
    torch.manual_seed(0)
    made = chips(np.stack([pattern(112, 112)]))
    assert made.shape == (1, 3, 150, 150) and made.dtype == np.uint8
    # Eyes of a crop lie where dlib's own chips have them, whatever the margin.
    wide = chips(np.pad(pattern(112, 112)[None], ((0, 0), (8, 8), (8, 8), (0, 0)), "reflect"), 8)
    assert np.abs(made.astype(int) - wide)[:, :, 5:130, 5:-5].max() <= 2
    with torch.inference_mode():
        assert Teacher().eval()(torch.from_numpy(made)).shape == (1, 128)


@pytest.mark.parametrize("alignments", [0, 3])
def test_a_short_run_gives_weights_with_a_calibration(alignments, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    people = write_people(tmp_path)
    sizes = "embed_dim: 16, depth: 1, num_heads: 1, embedding_dim: 8"
    settings = [
        "budget={steps: 2}",
        "optim.batch_size=4",
        "teacher.path=null",
        "data.leave_out=[]",
        "data.val_share=0.4",
        f'data.paths=["{people}"]',
        f"model.config={{stem: conv, stem_widths: [4, 8, 16], {sizes}}}",
        "mask=patches",
        f"loss.alignments={alignments}",
    ]
    sets = [word for setting in settings for word in ("--set", setting)]
    outcome = call("vitrail", "train", RECIPE, "-o", tmp_path / "run", *sets)
    assert outcome.status == 0, outcome.stderr
    from face_quality.networks import load_network

    network = load_network(outcome.stdout.strip())
    assert network.config.embed_dim == 16 and network.calibration.reference.startswith("6 pictures")
    assert network.calibration.score(network.calibration.raw[0]) <= 5
