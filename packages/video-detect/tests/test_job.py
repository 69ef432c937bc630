"""Films to rows: every frame, its own time, the same answer however the film comes."""

from pathlib import Path

import numpy as np
import pytest

from video_detect import load
from video_detect.film.watch import View
from video_detect.result import Result
from vitrail.errors import UsageError
from vitrail.testing.media import write_clip, write_picture

from .fakes import LABELS, film, save_tiny


def watch(weights: Path, film: object, **options) -> Result:
    return load(str(weights), engine="eager", device="cpu", **options).predict(film)


def boxes_of(result: Result) -> list[list[tuple]]:
    return [[(one.label, *one.box) for one in frame.objects] for frame in result.frames]


def test_each_frame_has_a_row_at_its_time(weights, street):
    result = watch(weights, street)
    assert [frame.index for frame in result.frames] == list(range(12))
    assert [frame.time for frame in result.frames] == pytest.approx([n / 10 for n in range(12)])
    assert (result.width, result.height, result.fps) == (96, 64, 10)
    for frame in result.frames:
        for one in frame.objects:
            x, y, width, height = one.box
            assert x >= 0 and y >= 0 and x + width <= 96 + 1e-6 and y + height <= 64 + 1e-6
            assert one.label in LABELS and 0 < one.score < 1


def test_tracks_are_numbered_without_gaps(weights, street):
    numbers = [one.track for frame in watch(weights, street).frames for one in frame.objects]
    assert sorted(set(numbers)) == list(range(1, len(set(numbers)) + 1))
    assert list(dict.fromkeys(numbers)) == sorted(set(numbers))


@pytest.mark.parametrize("net", ["both", "transformer", "graph", "single"])
def test_frames_in_memory_in_a_folder_and_in_a_lossless_film_are_one(weights, tmp_path, net):
    frames = film(6)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        write_picture(tmp_path / "frames" / f"frame{number}.png", frame)
    clip = write_clip(tmp_path / "film.mkv", frames, codec="ffv1", pixel_format="bgr0")
    results = [
        watch(weights, one, net=net) for one in (np.stack(frames), tmp_path / "frames", clip)
    ]
    for other in results[1:]:
        for one, two in zip(boxes_of(results[0]), boxes_of(other), strict=True):
            assert len(one) == len(two)
            for a, b in zip(one, two, strict=True):
                assert a[0] == b[0] and a[1:] == pytest.approx(b[1:], abs=0.01)
    assert results[1].fps is None and results[1].frames[0].time is None


def test_frames_of_a_folder_come_in_the_order_people_count(weights, tmp_path):
    frames = film(11)
    for number, frame in enumerate(frames):
        write_picture(tmp_path / f"f{number}.png", frame)
    assert boxes_of(watch(weights, tmp_path)) == boxes_of(watch(weights, np.stack(frames)))


def test_online_looks_at_earlier_frames_alone(weights):
    frames = np.stack(film(8))
    whole = watch(weights, frames, online=True, track=False)
    short = watch(weights, frames[:5], online=True, track=False)
    for one, two in zip(boxes_of(whole)[:5], boxes_of(short), strict=True):
        assert [a[0] for a in one] == [b[0] for b in two]
        assert np.allclose([a[1:] for a in one], [b[1:] for b in two], atol=1e-3)
    assert boxes_of(watch(weights, frames, track=False)) != boxes_of(whole)


def test_memory_changes_what_is_found(weights):
    frames = np.stack(film(8))
    found = {net: boxes_of(watch(weights, frames, net=net, track=False)) for net in
             ("both", "transformer", "graph", "single")}  # fmt: skip
    assert len({str(one) for one in found.values()}) == 4


def test_every_third_frame_is_computed_and_the_film_keeps_its_length(weights, street):
    result = watch(weights, street, every=3)
    assert [frame.index for frame in result.frames] == list(range(12))
    assert [frame.computed for frame in result.frames].count(True) == 5
    assert result.to_dict()["computed"] == 5
    assert any("one frame in 3" in reason for reason in result.reasons)
    assert [frame.time for frame in result.frames] == pytest.approx([n / 10 for n in range(12)])


def test_times_are_the_files_own_at_a_variable_rate(weights, tmp_path):
    times = [0, 1, 2, 7, 8, 20]
    clip = write_clip(tmp_path / "film.mp4", film(6), fps=10, times=times)
    result = watch(weights, clip)
    assert [frame.time for frame in result.frames] == pytest.approx([t / 10 for t in times])


def test_frames_that_were_not_computed_have_their_own_times_too(weights, tmp_path):
    times = [0, 1, 2, 7, 8, 20]
    clip = write_clip(tmp_path / "film.mp4", film(6), fps=10, times=times)
    result = watch(weights, clip, every=5)
    assert [frame.time for frame in result.frames] == pytest.approx([t / 10 for t in times])


def test_a_frame_that_cannot_be_read_has_a_row(weights, tmp_path):
    for number, frame in enumerate(film(5)):
        write_picture(tmp_path / f"{number}.png", frame)
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    result = watch(weights, tmp_path)
    assert [frame.computed for frame in result.frames] == [True, True, False, True, True]
    assert len(result.damage) == 1 and "2.png" in result.damage[0]


def test_a_film_that_is_turned_by_its_flag(weights, tmp_path):
    clip = write_clip(tmp_path / "film.mp4", film(4), rotation=90)
    result = watch(weights, clip)
    assert (result.width, result.height) == (64, 96)


@pytest.mark.parametrize("shape", [(1, 64, 96), (3, 57, 101), (2, 101, 57), (1, 8, 8)])
def test_short_odd_upright_and_tiny_films(weights, shape):
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = watch(weights, images)
    assert len(result.frames) == shape[0]
    assert any("fewer than" in reason for reason in result.reasons)
    assert (min(shape[1:]) >= 64) == (not any("too little" in r for r in result.reasons))


def test_a_grey_film(weights, tmp_path):
    clip = write_clip(tmp_path / "grey.mkv", film(4), codec="ffv1", pixel_format="gray")
    assert len(watch(weights, clip).frames) == 4


def test_frames_of_several_sizes_are_told(weights, tmp_path):
    for number, frame in enumerate(film(4)):
        write_picture(tmp_path / f"{number}.png", frame if number < 2 else frame[:48])
    result = watch(weights, tmp_path)
    assert len(result.frames) == 4 and any("2 sizes" in reason for reason in result.reasons)
    for one in result.frames[3].objects:
        assert one.box[1] + one.box[3] <= 48 + 1e-6


def test_classes_and_score_choose(weights, street):
    some = watch(weights, street, classes=["car"], track=False)
    assert {one.label for frame in some.frames for one in frame.objects} <= {"car"}
    all_of_them = watch(weights, street, track=False)
    least = sorted(one.score for frame in all_of_them.frames for one in frame.objects)
    limit = least[len(least) // 2]
    fewer = watch(weights, street, score=limit, track=False)
    assert sum(len(frame.objects) for frame in fewer.frames) < len(least)


def test_labels_may_have_the_names_of_imagenet_vid(tmp_path, street):
    weights = save_tiny(tmp_path / "cat.safetensors", labels=["person", "cat", "dog"])
    wanted = ["domestic cat", "person"]
    job = load(str(weights), names="vid", score=0.0, track=False, classes=wanted)
    told = {one.label for frame in job.predict(street).frames for one in frame.objects}
    assert "domestic cat" in job.labels and "cat" not in job.labels
    assert told <= set(wanted) and job.options["names"] == "vid"
    with pytest.raises(UsageError, match="domestic cat"):
        load(str(weights), names="vid", classes=["cat"])
    with pytest.raises(UsageError, match="nobody's names"):
        load(str(weights), names="imagenet")


def test_what_does_not_go_together_is_refused(weights, tmp_path):
    with pytest.raises(UsageError, match="not a class"):
        load(str(weights), classes=["unicorn"])
    with pytest.raises(UsageError, match="not a net"):
        load(str(weights), net="all")
    image = save_tiny(tmp_path / "image.safetensors", stage="image")
    with pytest.raises(UsageError, match="not trained"):
        load(str(image), net="both")
    assert load(str(image)).settings.net == "single"


def test_the_view_keeps_the_shape_as_well_as_it_can():
    view = View(320)
    assert view.fit(np.zeros((480, 854, 3), np.uint8)).shape == (3, 192, 320)
    assert view.stretch == pytest.approx(1.067, abs=0.01)
    assert View(320).fit(np.zeros((1000, 10, 3), np.uint8)).shape == (3, 320, 32)
