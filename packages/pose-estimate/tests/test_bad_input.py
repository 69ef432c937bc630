"""Damaged inputs and weights: a result or one sentence, never a traceback, never a stray file."""

import numpy as np
import pytest
import torch
from PIL import Image

from pose_estimate import load
from pose_estimate.networks import load_network
from pose_estimate.writing import write
from vitrail.errors import InputError, VitrailError
from vitrail.preprocess.image import read_image
from vitrail.testing.media import pattern, write_clip, write_picture
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants
from vitrail.weights.files import save

from .fakes import pose_weights

VARIANTS = 200


@pytest.fixture
def job(tmp_path_factory):
    weights = pose_weights(tmp_path_factory.mktemp("weights"))
    return load(str(weights), whole_image=True, engine="eager")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_damaged_images(job, suffix, tmp_path, capfd, monkeypatch):
    """Each is what Pillow reads of it, or a reason."""
    monkeypatch.setattr("sys.argv", ["pose-estimate"])
    data = write_picture(tmp_path / f"good{suffix}", pattern(24, 24)).read_bytes()
    mutants = list(mutate_bytes(data, seed=3, count=VARIANTS))
    rows = rows_of_mutants("pose-estimate", job, write, mutants, tmp_path, suffix, capfd)
    for row in rows:
        if row["status"] == "done":
            size = read_image(row["source"]).shape[1::-1]
            assert (row["width"], row["height"]) == size


def test_damaged_films(job, tmp_path):
    data = write_clip(tmp_path / "good.mp4", (pattern(32, 32) for _ in range(6))).read_bytes()
    done = 0
    for number, damaged in enumerate(mutate_bytes(data, seed=4, count=40)):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(damaged)
        try:
            result = job.predict(path)
        except VitrailError as error:
            assert len(str(error)) <= 200
            continue
        done += 1
        assert len(result.frames) == 6 or result.damage
    assert done


def test_of_an_animation_it_says_that_the_first_frame_was_looked_at(job, tmp_path):
    frames = [Image.fromarray(pattern(40, 40, seed=seed)) for seed in range(3)]
    path = tmp_path / "wave.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    result = job.predict(path)
    assert "it holds 3 frames or pages" in result.damage[0] and len(result.people) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (4000, 3)])
def test_images_of_odd_sizes(job, size, tmp_path):
    result = job.predict(write_picture(tmp_path / "odd.png", pattern(*size)))
    assert len(result.people) == (1 if min(size) > 1 else 0)
    assert bool(result.damage) == (min(size) <= 1)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "I;16"])
def test_kinds_of_pixels(job, mode, tmp_path):
    path = tmp_path / "a.tif"
    if mode == "I;16":
        Image.fromarray(pattern(48, 64)[..., 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(pattern(48, 64)).convert(mode).save(path)
    assert len(job.predict(path).people) == 1


def test_a_film_whose_size_changes(job, tmp_path):
    """Two films in one transport stream, one after the other."""
    parts = [write_clip(tmp_path / f"{n}.ts", (pattern(*size) for _ in range(4)))
             for n, size in enumerate(((64, 48), (96, 80)))]  # fmt: skip
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    try:
        result = job.predict(joined)
    except InputError as error:
        assert len(str(error)) <= 200
        return
    assert result.damage, "a film that is not one is told"
    write(result, tmp_path)
    assert (tmp_path / "overlay.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    "changes",
    [{"skeleton": None}, {"skeleton": {"joints": ["nose"]}}, {"config": {"depth": 2}},
     {"config": 3}, {"architecture": "resnet"}, {"calibration": {"height": 1}},
     {"config": {"img_size": [10, 10]}}],
)  # fmt: skip
def test_weights_whose_description_does_not_fit(changes, tmp_path):
    path = pose_weights(tmp_path, **changes)
    with pytest.raises(VitrailError) as caught:
        load_network(str(path)).module.eval()
    assert len(str(caught.value)) <= 200


def test_weights_of_another_kind(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, {"conv.weight": torch.zeros(3)}, {}, torch.float32)
    with pytest.raises(InputError, match="holds no ViTPose"):
        load_network(str(path))


def test_a_pickle_with_code_in_it_runs_nothing(tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "evil.pth"

    class Evil:
        def __reduce__(self):
            return canary.touch, ()

    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(InputError):
        load_network(str(path))
    assert not canary.exists()
