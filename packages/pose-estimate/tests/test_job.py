"""The job: images and films in, people and joints out, on networks with fresh weights."""

import numpy as np
import pytest
from PIL import Image

from pose_estimate import load
from pose_estimate.job import PoseJob
from pose_estimate.people.follow import OneEuro, Tracker, between
from pose_estimate.people.turn import Turn
from pose_estimate.result import FramePeople, Person, Spool
from vitrail.errors import InputError, UsageError
from vitrail.runner import run
from vitrail.sources import Source
from vitrail.testing.media import pattern, write_clip, write_picture

from .fakes import boxes_csv, finder_weights, moving_box, photograph, pose_weights

BOX = np.array([[10.0, 5, 60, 80]])


def job(folder, architecture="evitpose", **options) -> PoseJob:
    options = {"whole_image": True, "engine": "eager"} | options
    return load(str(pose_weights(folder, architecture)), **options)


def joints(result):
    return np.stack([person.joints for person in result.people])


def test_somebody_in_a_box_has_joints_in_the_image(tmp_path):
    result = job(tmp_path).predict(pattern(120, 90), BOX)
    (person,) = result.people
    assert person.joints.shape == (17, 3) and person.box == (10, 5, 60, 80)
    assert (person.joints[:, :2] > -40).all() and (person.joints[:, :2] < 160).all()
    assert ((person.joints[:, 2] >= 0) & (person.joints[:, 2] <= 1)).all()
    assert result.to_dict()["joints"][0] == "nose"


def test_an_array_and_its_file_are_the_same(tmp_path):
    one = job(tmp_path)
    path = photograph(tmp_path)
    np.testing.assert_allclose(joints(one.predict(path)), joints(one.predict(pattern(120, 90))))


@pytest.mark.parametrize("head", ["heatmap", "token", "regression"])
def test_each_head_answers(tmp_path, head):
    assert joints(job(tmp_path, head=head).predict(pattern(120, 90))).shape == (1, 17, 3)


@pytest.mark.parametrize("head", ["heatmap", "regression"])
def test_mirrored_images_have_mirrored_answers_where_both_are_looked_at(tmp_path, head):
    """With ``flip`` the network sees both, so that its answers mirror each other, but for crops
    whose pixels are rounded and which an untrained network's flat maps magnify here and there."""
    one = job(tmp_path, head=head, flip=True)
    image = pattern(120, 90)
    # Official crops are centred on x + width / 2 as if it were the index of a pixel.
    other = np.array([[119 - 10 - 60.0, 5, 60, 80]])
    mirrored = one.predict(np.ascontiguousarray(image[:, ::-1]), other).people[0].joints
    order = np.arange(17)
    for left, right in one.network.skeleton.pairs:
        order[[left, right]] = right, left
    expected = one.predict(image, BOX).people[0].joints[order].copy()
    expected[:, 0] = 119 - expected[:, 0]
    np.testing.assert_allclose(mirrored[:, 2], expected[:, 2], atol=0.01)
    off = np.linalg.norm(mirrored[:, :2] - expected[:, :2], axis=1)
    assert np.median(off) < 0.5 and off.max() < 6


def test_the_kept_patches_lie_in_the_crop(tmp_path):
    result = job(tmp_path, keep=0.5).predict(pattern(120, 90), BOX)
    kept = result.people[0].kept
    assert kept is not None and kept.shape == (6, 4, 2)
    assert result.gmacs is not None
    assert job(tmp_path).predict(pattern(120, 90)).people[0].kept is None


def test_less_is_kept_for_less(tmp_path):
    whole, half = (job(tmp_path, keep=keep).network.gmacs for keep in (1.0, 0.5))
    budget = job(tmp_path, budget_gmacs=(whole + half) / 2)
    assert half < budget.network.gmacs <= (whole + half) / 2
    with pytest.raises(UsageError, match="give at least"):
        job(tmp_path, budget_gmacs=1e-9)


@pytest.mark.parametrize("select", ["joints", "skeleton"])
def test_patches_are_ranked_by_the_frame_before(tmp_path, select):
    clip = write_clip(tmp_path / "clip.mp4")
    one = job(tmp_path, keep=0.4, select=select)
    frames = list(one.predict(clip).frames)
    assert len(frames) == 20 and all(len(frame.people) == 1 for frame in frames)


def test_other_joints_are_told_in_their_order(tmp_path):
    coco, aic = (job(tmp_path, skeleton=name).predict(pattern(120, 90)) for name in ("coco", "aic"))
    assert len(aic.skeleton) == 14
    told = aic.people[0].joints
    np.testing.assert_allclose(told[0], coco.people[0].joints[6])
    assert (told[12:] == 0).all() and not aic.people[0].visible[12:].any()


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_camera_on_its_side_tells_of_the_file_as_it_is(tmp_path, rotate):
    image = pattern(120, 90)
    turned = np.ascontiguousarray(np.rot90(image, rotate // 90))
    turn = Turn(rotate, turned.shape[:2])
    assert np.array_equal(turn.image(turned), image)
    upright = job(tmp_path).predict(image, BOX).people[0]
    (box,) = turn.boxes_back(BOX)
    person = job(tmp_path, rotate=rotate).predict(turned, box[None]).people[0]
    np.testing.assert_allclose(
        turn.points_back(upright.joints[:, :2]), person.joints[:, :2], atol=1e-6
    )
    np.testing.assert_allclose(turn.boxes(np.array([person.box])), BOX, atol=1e-9)


def test_exif_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored rows are the upright image's columns
    upright = pattern(120, 90)
    path = write_picture(tmp_path / "turned.png", np.rot90(upright, 1), exif=exif)
    one = job(tmp_path)
    np.testing.assert_allclose(joints(one.predict(path)), joints(one.predict(upright)))


def test_one_person_is_one_result(tmp_path):
    boxes = np.array([[10.0, 5, 60, 80, 0.9], [10.2, 5, 60, 80, 0.8], [70, 5, 30, 50, 0.7]])
    assert len(job(tmp_path).predict(pattern(120, 90), boxes).people) == 2
    assert len(job(tmp_path, keep_all=True).predict(pattern(120, 90), boxes).people) == 3


def test_unusable_boxes_are_told(tmp_path):
    boxes = np.array(
        [[10.0, 5, 60, 80], [np.nan, 0, 10, 10], [5, 5, 1, 1], [500, 500, 20, 20], [5, 5, -9, 20]]
    )
    result = job(tmp_path).predict(pattern(120, 90), boxes)
    assert len(result.people) == 1
    assert len(result.damage) == 3 and all("of 5 boxes" in line for line in result.damage)


def test_two_thousand_boxes_are_done_and_more_are_told(tmp_path):
    boxes = np.tile(BOX, (2001, 1)) + np.arange(2001)[:, None] * [1e-3, 0, 0, 0]
    one = job(tmp_path, keep=0.1)
    result = one.predict(pattern(32, 32), boxes)
    assert len(result.people) >= 1
    assert "2000 best" in result.damage[0]


def test_an_image_without_people_is_an_empty_list(tmp_path):
    finder = str(finder_weights(tmp_path, score=-20.0))
    result = job(tmp_path, whole_image=False, detector=finder).predict(photograph(tmp_path))
    assert result.people == () and result.to_dict()["persons"] == []


def test_found_people_lie_in_the_image(tmp_path):
    finder = str(finder_weights(tmp_path, score=3.0))
    result = job(tmp_path, whole_image=False, detector=finder).predict(pattern(120, 90))
    assert result.people
    assert [p.score for p in result.people] == sorted(
        (p.score for p in result.people), reverse=True
    )


def test_a_film_has_a_line_for_each_frame_and_a_number_for_each_person(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", (pattern(160, 120) for _ in range(9)), fps=5)
    rows = "".join(f"{n},{b[0]},{b[1]},{b[2]},{b[3]}\n" for n, b in enumerate(moving_box(9)))
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("frame,x,y,width,height\n" + rows)
    result = job(tmp_path, whole_image=False, boxes=boxes).predict(clip)
    frames = list(result.frames)
    assert [frame.index for frame in frames] == list(range(9))
    assert frames[5].time == pytest.approx(1.0)
    assert {frame.people[0].number for frame in frames} == {1} and result.numbers == 1


def test_batches_are_filled_across_frames_and_sources(tmp_path):
    one = job(tmp_path)
    sizes = []
    engine = one.networks["pose"]
    one.networks = {"pose": lambda *batch: sizes.append(len(batch[0])) or engine(*batch)}
    names = [photograph(tmp_path, f"{n}.png") for n in range(6)]
    list(run(one, [Source.of(path) for path in names], batch_size=4))
    assert sizes == [4, 2]
    sizes.clear()
    clip = write_clip(tmp_path / "clip.mp4")
    list(run(one, [Source.of(clip)], batch_size=16))
    assert sizes == [16, 4]


def test_a_batch_gives_what_single_images_give(tmp_path):
    one = job(tmp_path, keep=0.5)
    boxes = np.array([[10.0, 5, 60, 80], [40, 10, 50, 60], [0, 0, 120, 90]])
    together = one.predict(pattern(120, 90), boxes)
    for box in boxes:
        alone = one.predict(pattern(120, 90), box[None]).people[0]
        same = next(person for person in together.people if person.box == alone.box)
        np.testing.assert_allclose(same.joints, alone.joints, atol=1e-3)


def test_unitranspose_does_the_same_and_drops_nothing(tmp_path):
    result = job(tmp_path, "unitranspose", head="regression").predict(pattern(120, 90))
    assert joints(result).shape == (1, 17, 3)
    with pytest.raises(UsageError, match="drops no patches"):
        job(tmp_path, "unitranspose", keep=0.5)


@pytest.mark.parametrize(
    "options",
    [{"keep": 0.0}, {"keep": 1.5}, {"rotate": 45}, {"detect_every": 0}, {"budget_gmacs": 0.0},
     {"skeleton": "octopus"}, {"head": "mouth"}, {"dataset": "coco"}, {"select": "luck"},
     {"keep": 0.5, "budget_gmacs": 1.0}],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        job(tmp_path, **options)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_image_are_refused(tmp_path, array):
    with pytest.raises(InputError):
        job(tmp_path).predict(array)


def test_a_finder_is_no_pose_network_and_the_other_way_round(tmp_path):
    with pytest.raises(InputError, match="knows no joints"):
        load(str(finder_weights(tmp_path)), whole_image=True)
    with pytest.raises(InputError, match="no finder of people"):
        load(str(pose_weights(tmp_path)), detector=str(pose_weights(tmp_path)))


def test_numbers_are_never_given_twice():
    tracker = Tracker(patience=1.0)
    near, far = np.array([[0.0, 0, 20, 40]]), np.array([[500.0, 0, 20, 40]])
    assert tracker.link(near, 0.0) == [1]
    assert tracker.link(far, 0.1) == [2]
    assert tracker.link(near, 0.2) == [1]
    assert tracker.link(near, 5.0) == [3], "after a long time it is somebody else"


def test_people_who_pass_each_other_keep_their_numbers():
    tracker = Tracker()
    for n in range(40):
        boxes = np.array([[10.0 + 8 * n, 50, 40, 90], [330.0 - 8 * n, 58, 40, 90]])
        assert tracker.link(boxes, n / 25) == [1, 2], n


def test_fast_runners_are_followed_by_their_velocity():
    tracker = Tracker()
    for n in range(10):
        assert tracker.link(np.array([[30.0 * n, 50, 25, 90]]), n / 10) == [1]


def test_between_two_searches_boxes_are_on_the_way():
    first, last = np.array([0.0, 0, 10, 10, 1]), np.array([8.0, 4, 10, 12, 1])
    ((number, box),) = between([(1, first)], [(1, last)], 0.25)
    assert number == 1 and box.tolist() == [2, 1, 10, 10.5, 1]
    assert [n for n, _ in between([(1, first)], [(2, last)], 0.25)] == [1]
    assert [n for n, _ in between([(1, first)], [(2, last)], 0.75)] == [2]


def test_still_joints_stop_trembling_and_fast_ones_do_not_lag():
    rng, still, fast = np.random.default_rng(0), OneEuro(), OneEuro()
    place, times = np.full((17, 2), 100.0), np.arange(60) / 25
    noisy = [place + rng.normal(0, 2, (17, 2)) for _ in times]
    smooth = [still.smooth(1, one, 200, t) for one, t in zip(noisy, times, strict=True)]
    assert np.std(smooth[20:]) < 0.6 * np.std(noisy[20:])
    for t in times:  # two body lengths a second
        moved = place + t * 400
        answer = fast.smooth(1, moved, 200, t)
    assert np.abs(answer - moved).max() < 16, "less than one frame's way"


def test_a_spool_gives_back_what_went_in():
    spool = Spool()
    person = Person((1, 2, 3, 4), 0.5, np.full((2, 3), 0.25), np.array([True, False]), 7)
    for n in range(3):
        spool.append(FramePeople(n, n / 10, (person,) if n else ()))
    assert len(spool) == 3
    for _ in range(2):
        frames = list(spool)
        assert [frame.index for frame in frames] == [0, 1, 2] and frames[0].people == ()
        assert frames[2].people[0].to_dict() == person.to_dict()


def test_a_list_that_lacks_an_image_fails_that_image_alone(tmp_path):
    other = photograph(tmp_path, "other.png")
    one = job(tmp_path, whole_image=False, boxes=boxes_csv(tmp_path))
    sources = [Source.of(other), Source.of(photograph(tmp_path))]
    (_, bad), (_, good) = run(one, sources, batch_size=4)
    assert "not in the list of boxes" in bad.reason and len(good.people) == 1
