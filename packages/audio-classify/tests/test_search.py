"""Embeddings as files, and the search among them."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from audio_classify.job import AudioJob, Options
from audio_classify.result import nearest
from audio_classify.writing import check_target, write_embeddings
from vitrail.errors import InputError, UsageError

from .fakes import hiss, silence, small_network, tone


@pytest.fixture
def results():
    job = AudioJob(small_network(), Options(embed=True), engine="eager", device="cpu")
    sounds = [tone(200, 2), tone(5000, 2), silence(1), hiss(1)]
    found = [job.predict(sound) for sound in sounds]
    return [
        replace(one, embeddings=one.embeddings and replace(one.embeddings, source=f"{number}.wav"))
        for number, one in enumerate(found)
    ]


@pytest.fixture
def embeddings(results):
    return [result.embeddings for result in results if result.embeddings is not None]


def test_the_clip_itself_is_nearest(results, embeddings):
    rows = nearest(results[1], embeddings, 3)
    assert rows[0]["source"] == "1.wav" and rows[0]["similarity"] > 0.99
    assert [row["similarity"] for row in rows] == sorted(
        (row["similarity"] for row in rows), reverse=True
    )
    assert "2.wav" not in {row["source"] for row in rows}


def test_silence_cannot_be_searched_for(results, embeddings):
    with pytest.raises(InputError, match="is silence"):
        nearest(results[2], embeddings, 3)


def test_a_row_per_window(embeddings, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    write_embeddings(tmp_path / "a.npy", embeddings)
    write_embeddings(tmp_path / "a.parquet", embeddings)
    vectors = np.load(tmp_path / "a.npy")
    expected = np.concatenate([one.vectors for one in embeddings])
    assert np.array_equal(vectors, expected)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["source"] for row in rows] == [row["source"] for row in table]
    assert np.allclose([row["embedding"] for row in table], expected)


def test_only_silence_gives_no_file(tmp_path):
    with pytest.raises(InputError, match="nothing to embed"):
        write_embeddings(tmp_path / "a.npy", [])
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.npy or \.parquet"):
        check_target(tmp_path / "a.txt")
