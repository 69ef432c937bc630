"""Embeddings as files, and the search among them."""

import csv

import numpy as np
import pytest

from audio_classify.pipeline import AudioPipeline, Options
from audio_classify.search import check_target, nearest, write_embeddings
from audio_classify.testing import hiss, silence, small_network, tone
from vitrail.errors import InputError, UsageError


@pytest.fixture
def results():
    job = AudioPipeline(small_network(), Options(embed=True), engine="eager", device="cpu")
    sounds = [tone(200, 2), tone(5000, 2), silence(1), hiss(1)]
    found = [job.predict(sound) for sound in sounds]
    return [
        type(one)(**{**vars(one), "source": f"{number}.wav"}) for number, one in enumerate(found)
    ]


def test_the_clip_itself_is_nearest(results):
    rows = nearest(results[1], results, 3)
    assert rows[0]["source"] == "1.wav" and rows[0]["similarity"] > 0.99
    assert [row["similarity"] for row in rows] == sorted(
        (row["similarity"] for row in rows), reverse=True
    )
    assert "2.wav" not in {row["source"] for row in rows}


def test_silence_cannot_be_searched_for(results):
    with pytest.raises(InputError, match="is silence"):
        nearest(results[2], results, 3)


def test_a_row_a_window(results, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    write_embeddings(tmp_path / "a.npy", results)
    write_embeddings(tmp_path / "a.parquet", results)
    vectors = np.load(tmp_path / "a.npy")
    expected = np.concatenate([one.embeddings for one in results if one.embeddings is not None])
    assert np.array_equal(vectors, expected)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["source"] for row in rows] == [row["source"] for row in table]
    assert np.allclose([row["embedding"] for row in table], expected)


def test_only_silence_gives_no_file(results, tmp_path):
    with pytest.raises(InputError, match="nothing to embed"):
        write_embeddings(tmp_path / "a.npy", [results[2]])
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.npy or \.parquet"):
        check_target(tmp_path / "a.txt")
