"""What counts as a source, and the frames it gives."""

import json

import numpy as np
import pytest

from deepfake_detect.decide.frames import Arrays, find_sources, left_out, open_frames
from vitrail.errors import InputError
from vitrail.sources import expand_sources, open_folders
from vitrail.testing.media import pattern, write_clip, write_picture


def test_a_folder_of_pictures_is_one_sequence_in_the_order_people_count(tmp_path):
    for number in (10, 2, 1):
        write_picture(tmp_path / f"frame{number}.png", pattern(seed=number))
    assert find_sources(tmp_path) == [tmp_path]
    source = open_frames(tmp_path)
    assert source.frame_count == 3 and source.fps is None
    images = [frame.image for frame in source.frames([0, 1, 2])]
    assert all(
        np.array_equal(image, pattern(seed=number))
        for image, number in zip(images, (1, 2, 10), strict=True)
    )


def test_a_folder_with_videos_holds_one_source_each(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "stills").mkdir()
    clips = [write_clip(tmp_path / name) for name in ("b.mp4", "a.MKV")]
    nested = write_clip(tmp_path / "real" / "c.mp4")
    picture = write_picture(tmp_path / "poster.jpg")
    write_picture(tmp_path / "stills" / "1.png")
    (tmp_path / "notes.txt").write_text("not media")
    assert set(find_sources(tmp_path)) == {*clips, nested, picture, tmp_path / "stills"}


def test_a_source_named_twice_counts_once(tmp_path):
    clip = write_clip(tmp_path / "a.mp4")
    found = open_folders(expand_sources([str(clip), str(tmp_path), str(clip)]), find_sources)
    assert [source.path for source in found] == [clip]


def test_links_and_earlier_results_are_no_sources(tmp_path):
    """A link to the folder itself is walked once; a sequence stays one with its results in it."""
    write_picture(tmp_path / "1.png")
    write_picture(tmp_path / "2.png")
    (tmp_path / "again").symlink_to(".")
    result = tmp_path / "results" / "frames"
    result.mkdir(parents=True)
    keys = ("source", "sha256", "status", "model", "version")
    (result / "result.json").write_text(json.dumps(dict.fromkeys(keys, "x")))
    write_picture(result / "face.png")
    assert find_sources(tmp_path) == [tmp_path]
    assert left_out(tmp_path, [tmp_path]) == [result]


def test_an_empty_folder_is_named(tmp_path):
    assert find_sources(tmp_path) == [tmp_path]
    with pytest.raises(InputError, match="no image and no video"):
        open_frames(tmp_path)


def test_a_damaged_picture_of_a_sequence_is_skipped_and_told(tmp_path):
    write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    write_picture(tmp_path / "3.png")
    source = open_frames(tmp_path)
    assert [frame.index for frame in source.frames([0, 1, 2])] == [0, 2]
    assert len(source.damage) == 1 and "2.png" in source.damage[0]


def test_a_sequence_without_one_readable_picture_fails(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of its 3 images"):
        list(open_frames(tmp_path).frames([0, 1, 2]))


def test_one_picture_and_one_clip(tmp_path):
    picture = open_frames(write_picture(tmp_path / "a.webp", lossless=True))
    assert picture.frame_count == 1 and next(iter(picture.frames([0]))).image.shape == (64, 64, 3)
    clip = open_frames(write_clip(tmp_path / "a.mp4"))
    assert clip.frame_count == 20 and clip.fps == pytest.approx(25)


@pytest.mark.parametrize("name", ["photo", "photo.jfif", "photo.jpe", "photo.mp4"])
def test_an_image_is_told_by_its_bytes(tmp_path, name):
    for suffix in ("jpg", "png", "webp", "tif", "gif"):
        write_picture(tmp_path / f"a.{suffix}").rename(tmp_path / name)
        source = open_frames(tmp_path / name)
        assert source.fps is None and source.frame_count == 1
        assert next(iter(source.frames([0]))).image.shape == (64, 64, 3)


def test_what_a_folder_leaves_out(tmp_path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "stills").mkdir()
    write_picture(tmp_path / "stills" / "1.png")
    for name in ("notes.txt", "photo", ".hidden", "stills/2.jfif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    others = left_out(tmp_path, find_sources(tmp_path))
    assert [str(path.relative_to(tmp_path)) for path in others] == [
        "loop.mp4", "notes.txt", "photo", "stills/2.jfif",
    ]  # fmt: skip


def test_arrays_are_frames():
    stack = np.stack([pattern(seed=seed) for seed in range(3)])
    assert [frame.index for frame in Arrays(stack).frames([0, 2])] == [0, 2]
