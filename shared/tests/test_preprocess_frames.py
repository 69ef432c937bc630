"""What counts as a source, and the frames it gives."""

import json

import numpy as np
import pytest
from PIL import Image

from vitrail.errors import InputError
from vitrail.preprocess.frames import Arrays, find_sources, left_out, open_frames
from vitrail.preprocess.kinds import Kind, kind_of
from vitrail.sources import expand_sources, open_folders
from vitrail.testing.media import (
    moving_pattern,
    pattern,
    write_clip,
    write_damaged_jpeg,
    write_picture,
)


def test_a_folder_of_pictures_is_one_sequence_in_the_order_people_count(tmp_path):
    slid = dict(zip((1, 2, 10), moving_pattern(3), strict=True))
    for number in (10, 2, 1):
        write_picture(tmp_path / f"frame{number}.png", slid[number])
    assert find_sources(tmp_path) == [tmp_path]
    source = open_frames(tmp_path)
    assert source.frame_count == 3 and source.fps is None
    images = [frame.image for frame in source.frames([0, 1, 2])]
    assert all(
        np.array_equal(image, slid[number])
        for image, number in zip(images, (1, 2, 10), strict=True)
    )


def test_photographs_of_different_people_are_no_sequence(tmp_path):
    """Linked by place, they would be one person with the mean of all scores."""
    photographs = [
        write_picture(tmp_path / f"IMG_{number}.png", pattern(seed=number)) for number in range(4)
    ]
    assert find_sources(tmp_path) == photographs


def test_what_an_image_is_besides_its_pixels_is_told(tmp_path):
    motion = write_picture(tmp_path / "motion.jpg")
    film = write_clip(tmp_path / "film.mp4").read_bytes()
    motion.write_bytes(motion.read_bytes() + film)
    write_damaged_jpeg(tmp_path / "broken.jpg", pattern())
    source = open_frames(motion)
    list(source.frames([0]))
    assert source.damage == ["it is a motion photo, of whose film nothing was looked at"]
    source = open_frames(tmp_path)
    list(source.frames([0, 1]))
    broken, moving = source.damage
    assert broken.startswith("broken.jpg: part of the image is damaged")
    assert moving.startswith("motion.jpg: it is a motion photo")


def test_frames_of_several_sizes_are_no_sequence(tmp_path):
    pictures = [
        write_picture(tmp_path / f"{side}.png", pattern(side, side)) for side in (64, 96, 128)
    ]
    assert find_sources(tmp_path) == pictures


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_an_animation_is_a_sequence(tmp_path, suffix):
    """Of which the first frame alone was looked at."""
    path = tmp_path / f"a.{suffix}"
    first, *others = map(Image.fromarray, moving_pattern(4))
    lossless = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=others, **lossless)
    source = open_frames(path)
    assert source.frame_count == 4 and source.fps is None
    frames = list(source.frames([0, 3]))
    assert [frame.index for frame in frames] == [0, 3]
    if suffix != "gif":  # whose colours are few
        for frame, shown in zip(frames, (first, others[-1]), strict=True):
            assert np.array_equal(frame.image, np.asarray(shown))
    assert find_sources(tmp_path) == [path]


def test_a_cut_animation_says_so(tmp_path):
    path = tmp_path / "a.tif"
    first, *others = map(Image.fromarray, moving_pattern(4))
    first.save(path, save_all=True, append_images=others)
    data = bytearray(path.read_bytes())
    data[data.rindex(np.asarray(others[-1]).tobytes()[:64]) :] = b""
    path.write_bytes(data)
    source = open_frames(path)
    read = [frame.index for frame in source.frames(range(source.frame_count))]
    assert read == list(range(len(read))) and (len(read) == 4 or source.damage)


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


@pytest.mark.parametrize("name", ["clip", "clip.jpg", "clip.png", "clip.dat"])
def test_a_video_is_told_by_its_bytes(tmp_path, name):
    for suffix in ("mp4", "mkv", "avi", "ts", "mpg", "flv", "mxf"):
        codec = "mpeg2video" if suffix in ("mpg", "mxf") else "libx264"
        write_clip(tmp_path / f"a.{suffix}", codec=codec).rename(tmp_path / name)
        assert kind_of(tmp_path / name) is Kind.VIDEO, suffix
        assert open_frames(tmp_path / name).frame_count == 20, suffix


def test_a_folder_gives_whatever_is_media_by_its_bytes(tmp_path):
    write_clip(tmp_path / "a.mp4").rename(tmp_path / "clip")
    for name in ("photo", "photo.jfif", "photo.jpe"):
        write_picture(tmp_path / "a.jpg").rename(tmp_path / name)
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(200))
    (tmp_path / "notes").write_text("not media")
    found = find_sources(tmp_path)
    assert [path.name for path in found] == ["clip", "photo", "photo.jfif", "photo.jpe"]
    assert [path.name for path in left_out(tmp_path, found)] == ["notes", "song.m4a"]


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
