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
    assert not there.remarks
    off = job_of(network, Seen(face_at(9, 0)), aligned=True).predict(crop)
    assert "off the template" in off.remarks[0] and "--realign" in off.remarks[0]
    assert (off.faces[0].crop == crop).all()
    none = job_of(network, Seen(), aligned=True).predict(crop)
    assert none.remarks == ("No face is found in this crop; it is judged as it is",)
    assert len(none.faces) == 1


def test_realigned_crops_are_moved(network):
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[:, 60:] = 255
    job = job_of(network, Seen(face_at(9, 0)), aligned=True, realign=True)
    result = job.predict(crop)
    assert "aligned anew" in result.remarks[0]
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


def test_the_licence_of_released_weights_is_said(tmp_path, capsys):
    import torch

    from face_quality import load
    from face_quality.models import build_model

    model = build_model({"img_size": 40, "embed_dim": 64, "depth": 1, "num_heads": 1})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    job = load(str(tmp_path / "model.pt"), engine="eager")
    assert LICENCE in capsys.readouterr().err
    assert job.network.config.mode == "token" and job.network.calibration is None
