"""The job on pictures: one face, none, several, crops, and what the row says."""

import json

import cv2
import numpy as np
import pytest

from face_quality.crops import aligned, main_face
from face_quality.job import Options, QualityJob
from face_quality.official import LICENCE
from face_quality.scale import Calibration
from vitrail.errors import InputError, UsageError
from vitrail.faces.align import align
from vitrail.faces.detector import load_finder

from .fakes import PORTRAIT, Seen, face_at, portrait, small_network, write_weights


@pytest.fixture(scope="module")
def finder():
    return load_finder(engine="eager")


@pytest.fixture
def network(tmp_path):
    return small_network(tmp_path)


def job_of(network, finder, **options) -> QualityJob:
    return QualityJob(network, finder, Options(**options), engine="eager", device="cpu")


def test_a_photograph_has_a_face_with_a_score_and_reasons(network, finder):
    result = job_of(network, finder).predict(PORTRAIT)
    (face,) = result.faces
    assert result.main == 0 and face.crop.shape == (112, 112, 3)
    assert 0 <= face.score <= 100 and face.word in ("low", "middle", "high")
    assert any("between the eyes" in reason for reason in face.reasons)
    row = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert row["score"] == row["faces"][0]["score"] and "embedding" not in row["faces"][0]
    assert row["calibration"] == network.calibration.sha256


def test_no_face_and_several_faces_are_results(network, finder):
    empty = job_of(network, finder).predict(np.full((90, 120, 3), 128, np.uint8))
    assert empty.main is None and empty.to_dict()["reasons"] == ["No face is found in this picture"]
    seen = Seen(face_at(0, 0, 0.8), face_at(200, 100, 1.6))
    result = job_of(network, seen).predict(np.zeros((400, 560, 3), np.uint8))
    assert len(result.faces) == 2 and result.main == 1
    assert result.faces[0].components["SingleFacePresent"].raw == pytest.approx(0.25, abs=0.01)


def test_the_main_face_is_the_largest_near_the_centre():
    shape = (400, 400, 3)
    assert main_face(shape, [face_at(0, 0, 1.2), face_at(144, 144, 1.0)]) == 1
    assert main_face(shape, [face_at(0, 0, 2.5), face_at(144, 144, 1.0)]) == 0
    assert main_face(shape, []) is None


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_on_its_side_is_searched_too(network, finder, quarters):
    """The same face is found, judged upright, and the reason says how it lies."""
    job = job_of(network, finder)
    upright = job.predict(PORTRAIT).main_face
    result = job.predict(np.ascontiguousarray(np.rot90(portrait(), quarters)))
    face = result.main_face
    assert face.raw == pytest.approx(upright.raw, abs=0.02)
    assert abs(face.crop.astype(int) - upright.crop).mean() < 2
    turn = abs(face.components["approx_HeadPoseRoll"].raw)
    assert turn == pytest.approx(180 if quarters == 2 else 90, abs=12)
    assert face.reasons[0].startswith("The head is turned by")


def test_alone_and_in_a_batch_agree(network, finder):
    job = job_of(network, finder)
    crops = [np.roll(aligned(portrait(), face_at(120, 60).landmarks), n, axis=1) for n in range(5)]
    together = job.networks[network.name](np.stack(crops).transpose(0, 3, 1, 2))
    alone = [job.networks[network.name](crop.transpose(2, 0, 1)[None])[0] for crop in crops]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_engines_agree_within_one_of_a_hundred(network, finder):
    scores = [
        QualityJob(network, finder, engine=engine, device="cpu").predict(PORTRAIT).main_face.score
        for engine in ("eager", "openvino")
    ]
    assert abs(scores[0] - scores[1]) < 1


def test_turned_by_exif_is_the_same_picture(network, finder, tmp_path):
    from PIL import Image

    job = job_of(network, finder)
    upright = job.predict(PORTRAIT).main_face.raw
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    Image.fromarray(np.rot90(portrait())).save(turned, exif=exif)
    assert job.predict(turned).main_face.raw == pytest.approx(upright, abs=1e-3)


def test_a_large_face_is_shrunk_before_it_is_looked_at():
    large = cv2.resize(portrait(), None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    five = face_at(115, 40, 1.1).landmarks
    small = align(portrait(), five).astype(int)
    from_large = aligned(large, (five + 0.5) * 6 - 0.5).astype(int)
    assert np.abs(small - from_large).mean() < 4


def test_crops_are_said_to_be_off_the_template(network):
    crop = np.zeros((112, 112, 3), np.uint8)
    there = job_of(network, Seen(face_at(0, 0)), aligned=True).predict(crop)
    assert there.remarks == ("Eye distance, head size and margins are those of the crop",)
    off = job_of(network, Seen(face_at(9, 0)), aligned=True).predict(crop)
    assert "off the template" in off.remarks[1] and "--realign" in off.remarks[1]
    assert (off.faces[0].crop == crop).all()
    none = job_of(network, Seen(), aligned=True).predict(crop)
    assert none.remarks[1] == "No face is found in this crop: it is judged as it is"
    assert len(none.faces) == 1 and none.seen == 0


def test_a_crop_says_what_its_landmarks_cannot_tell(network):
    """Its size, how far away the face was, and other faces in it."""
    job = job_of(network, Seen(face_at(0, 0), face_at(150, 40, 0.4)), aligned=True)
    result = job.predict(np.zeros((112, 224, 3), np.uint8))
    (face,) = result.faces
    assert "The crop has 224 x 112 pixels: stretched to 112 x 112" in result.remarks
    assert "2 faces are seen in this crop: the main one is judged" in result.remarks
    assert face.components["SingleFacePresent"].raw > 0 and result.seen == 2
    assert not any("move closer" in said or "edge" in said for said in face.reasons)
    even = job_of(network, Seen(face_at(0, 0, 2)), aligned=True)
    said = even.predict(np.zeros((224, 224, 3), np.uint8)).remarks
    assert "The crop has 224 x 224 pixels: scaled to 112 x 112" in said


def test_faces_without_landmarks_are_counted(network):
    lost = face_at(0, 0)
    lost.landmarks[:] = np.nan
    some = job_of(network, Seen(face_at(200, 100), lost)).predict(np.zeros((400, 560, 3), np.uint8))
    assert len(some.faces) == 1 and some.seen == 2
    assert some.remarks == ("Of 1 faces the landmarks are unknown: not judged",)
    none = job_of(network, Seen(lost)).predict(np.zeros((400, 560, 3), np.uint8))
    assert none.reasons == ["No face can be judged"] and "not judged" in none.cells()["reasons"]


def test_a_detector_without_landmarks_is_refused():
    from face_quality import load

    with pytest.raises(UsageError, match="no landmarks"):
        load(detector="dlib")


def test_what_lies_behind_the_first_picture_is_said(network, tmp_path):
    from PIL import Image

    frames = [Image.fromarray(portrait()[::4, ::4]).point(lambda v, n=n: v + n) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    film = b"\0\0\0\x18ftypmp42" + bytes(64)
    (tmp_path / "b.jpg").write_bytes(PORTRAIT.read_bytes() + film)
    job = job_of(network, Seen(face_at(0, 0, 0.5)))
    assert job.predict(tmp_path / "a.gif").remarks == (
        "Only the first of its 3 frames or pages is judged",
    )
    assert job.predict(tmp_path / "b.jpg").remarks == (
        "It is a motion photo, whose film is not judged",
    )


def test_an_enlarged_picture_wins_no_score(network, finder):
    """Bicubic enlargement adds pixels and no detail: what the network sees is the same."""
    small = cv2.resize(portrait(), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    scores = [load_job_score(image, finder) for image in (small, large)]
    assert scores[1] < scores[0] + 5


def load_job_score(image, finder):
    """By the bundled network."""
    from face_quality.networks import load_network

    return job_of(load_network(), finder).predict(image).main_face.score


def test_realigned_crops_are_moved(network):
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[:, 60:] = 255
    job = job_of(network, Seen(face_at(9, 0)), aligned=True, realign=True)
    result = job.predict(crop)
    assert "aligned anew" in result.remarks[1]
    assert result.faces[0].crop[56, 55].tolist() == [255, 255, 255]
    with pytest.raises(UsageError):
        job_of(network, Seen(), realign=True)


def test_embeddings_only_on_request(tmp_path, finder):
    network = small_network(tmp_path, embeds=True)
    face = job_of(network, finder, embed=True).predict(PORTRAIT).main_face
    assert face.embedding.shape == (16,) and np.linalg.norm(face.embedding) == pytest.approx(1)
    assert len(face.to_dict()["embedding"]) == 16


def test_weights_without_a_calibration_give_raw_numbers(tmp_path, finder):
    from face_quality.networks import load_network

    path = write_weights(tmp_path / "w.safetensors", calibration=None)
    result = job_of(load_network(str(path)), finder).predict(PORTRAIT)
    assert result.main_face.score is None and "no calibration" in result.remarks[0]
    assert result.cells()["score"].startswith("raw")


def test_a_calibration_of_other_weights_is_refused(tmp_path):
    from face_quality import load

    weights = write_weights(tmp_path / "w.safetensors")
    other = tmp_path / "c.json"
    other.write_text(json.dumps(Calibration((0, 1), (0, 1), "made", "f" * 64).to_dict()))
    with pytest.raises(InputError, match="other weights"):
        load(str(weights), calibration=other, engine="eager")
    sha256 = small_network(tmp_path).weights.sha256
    other.write_text(json.dumps(Calibration((0, 1), (0, 1), "made", sha256).to_dict()))
    weights = str(tmp_path / "small.safetensors")
    assert load(weights, calibration=other, engine="eager").calibration.weights == sha256
    with pytest.raises(InputError, match="another --exit-block"):
        load(weights, calibration=other, engine="eager", exit_block=1)


def test_the_licence_of_released_weights_is_said(tmp_path, capsys):
    import torch

    from face_quality import load
    from face_quality.models import build_model

    model = build_model({"img_size": 40, "embed_dim": 64, "depth": 1, "num_heads": 1})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    job = load(str(tmp_path / "model.pt"), engine="eager")
    assert LICENCE in capsys.readouterr().err
    assert job.network.config.mode == "token" and job.network.calibration is None
