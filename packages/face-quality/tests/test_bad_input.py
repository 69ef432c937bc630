"""Hundreds of damaged inputs: a result or one sentence, never a traceback, never a stray file."""

import io
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from face_quality.commands.rules import read_rules
from face_quality.job import QualityJob
from face_quality.networks import load_network
from face_quality.pairs import read_embeddings, read_scores
from face_quality.records import HEADER, MAGIC, records_of
from face_quality.scale import read_calibration
from face_quality.shots import BestShotJob, Wanted
from face_quality.writing import write, write_shots
from vitrail.errors import InputError, VitrailError
from vitrail.testing.commands import call
from vitrail.testing.media import write_clip
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants
from vitrail.weights.files import save

from .fakes import SCALE, SMALL, Seen, face_at, portrait, small_network, write_weights

VARIANTS = 200
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF"}
FORMATS |= {".gif": "GIF", ".ppm": "PPM"}


@pytest.fixture
def job(tmp_path):
    place = tmp_path / "weights"
    place.mkdir()
    seen = Seen(face_at(0, 0, 0.5))
    return QualityJob(small_network(place), seen, engine="eager", device="cpu")


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_variants(job, suffix, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.argv", ["face-quality"])
    data = io.BytesIO()
    Image.fromarray(portrait()[::5, ::5]).save(data, FORMATS[suffix])
    mutants = list(mutate_bytes(data.getvalue(), seed=7, count=VARIANTS))
    rows = rows_of_mutants("face-quality", job, write, mutants, tmp_path, suffix, capfd)
    for row in rows:  # what is judged is what Pillow, too, reads whole
        if row["status"] == "done":
            with Image.open(row["source"]) as image:
                image.load()
                assert sorted(image.size) == sorted((row["width"], row["height"]))


def test_damaged_variants_of_a_film(job, tmp_path, capfd, monkeypatch):
    """Of a film without damage as many frames are searched as a decoder, called here, finds."""
    import av

    monkeypatch.setattr("sys.argv", ["face-quality"])
    frames = (np.roll(portrait()[:80:2, :80:2], n, axis=1) for n in range(12))
    data = write_clip(tmp_path / "film.mp4", frames, fps=6).read_bytes()
    (tmp_path / "in").mkdir()
    mutants = list(mutate_bytes(data, seed=7, count=VARIANTS))
    shots = BestShotJob(job, Wanted(1, 3, 0.5))
    place = tmp_path / "in"
    rows = rows_of_mutants("face-quality", shots, write_shots, mutants, place, ".mp4", capfd)
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) < len(rows)
    for row in done:
        if not row["damage"]:
            with av.open(row["source"], metadata_errors="ignore") as film:
                count = sum(1 for _ in film.decode(video=0))
            assert row["searched"] == len(range(0, count, 3))


RULES = b"min_score: 30\none_face: true\nmeasures:\n  approx_Sharpness: {score: 20}\n"
SCORES = b"source,score\n" + b"".join(b"p%d/a.jpg,%d\n" % (n, 3 * n) for n in range(30))
ROWS = b"".join(
    b'{"source": "%d", "main": 0, "faces": [{"embedding": [0.5, %d]}]}\n' % (n, n) for n in range(9)
)
RECORDS = b"".join(
    struct.pack("<II", MAGIC, 64) + HEADER.pack(0, n, 1, 0) + bytes(40) for n in range(9)
)


@pytest.mark.parametrize(
    ("name", "data", "read"),
    [
        ("rules.yaml", RULES, read_rules),
        ("scores.csv", SCORES, read_scores),
        ("rows.jsonl", ROWS, read_embeddings),
        ("scale.json", json.dumps(SCALE.to_dict()).encode(), read_calibration),
        ("faces.rec", RECORDS, lambda path: list(records_of(path))),
    ],
)
def test_damaged_variants_of_tables_and_settings(tmp_path, name, data, read):
    """Read, or refused in one sentence; what is changed after it was sealed is always refused."""
    path = tmp_path / name
    path.write_bytes(data)
    whole, refused = read(path), 0
    for mutant in mutate_bytes(data, seed=7, count=VARIANTS):
        path.write_bytes(mutant)
        try:
            found = read(path)
        except VitrailError as error:
            refused += 1
            assert len(str(error)) <= 200 and "\n" not in str(error)
        else:
            assert name != "scale.json" or found == whole
    assert refused


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_kinds_of_pixels_are_read(job, mode, tmp_path):
    grey = Image.fromarray(portrait()).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode != "LA" else grey.convert("LA")
    image.save(tmp_path / "a.tif")
    raw = job.predict(tmp_path / "a.tif").main_face.raw
    if mode not in ("1", "P"):
        expected = job.predict(np.repeat(np.asarray(grey)[..., None], 3, axis=2)).main_face.raw
        assert raw == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2)])
def test_tiny_pictures(tmp_path, size):
    from vitrail.faces.detector import load_finder

    job = QualityJob(small_network(tmp_path), load_finder(engine="eager"), engine="eager")
    assert job.predict(np.zeros((*size, 3), np.uint8)).main is None


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8)])
def test_arrays_of_another_kind(job, array):
    with pytest.raises(InputError):
        job.predict(array)


def test_weights_of_another_kind(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, {"conv.weight": torch.zeros(3)}, {}, dtype=torch.float32)
    with pytest.raises(InputError, match="no ViT-FIQA"):
        load_network(str(path))


@pytest.mark.parametrize(
    "facts",
    [
        {"config": {"colour": 1}},
        {"config": None},
        {},
        {"config": SMALL, "calibration": {"raw": [1]}},
        {"config": SMALL, "calibration": 3},
    ],
)
def test_weights_whose_description_does_not_fit(facts, tmp_path):
    path = tmp_path / "a.safetensors"
    state = {"qs_token": torch.zeros(1, 1, 32)}
    save(path, state, {"architecture": "vit-fiqa"} | facts, dtype=torch.float32)
    with pytest.raises(InputError):
        load_network(str(path))


def test_weights_that_lack_a_tensor_which_scoring_does_not_need(tmp_path):
    from vitrail.weights.files import read_state

    state, facts = read_state(write_weights(tmp_path / "a.safetensors"))
    del state["feature.0.weight"]
    save(tmp_path / "b.safetensors", state, facts, dtype=torch.float32)
    with pytest.raises(InputError, match="does not fit ViT-FIQA in 1 tensors"):
        _ = load_network(str(tmp_path / "b.safetensors")).module


@pytest.mark.parametrize("table", ["", "a,b\n", "a,b\n1,2\n", "source,score\nx,many\n", "\0\0"])
def test_tables_that_are_none(tmp_path, table):
    (tmp_path / "s.csv").write_text(table)
    (tmp_path / "p.csv").write_text("path_a,path_b,same,similarity\nx,y,1,0.5\n")
    for scores, pairs in (("s.csv", "p.csv"), ("p.csv", "s.csv")):
        arguments = ("--scores", tmp_path / scores, "--pairs", tmp_path / pairs)
        outcome = call("face_quality", "edc", *arguments)
        assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1, outcome.stderr
        assert "unexpected" not in outcome.stderr and not outcome.stdout
