"""The job on real frames, with small networks whose numbers can be computed by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepfake_detect.official import official_score
from deepfake_detect.pipeline import DeepfakePipeline, Options
from deepfake_detect.verdict import Label
from vitrail.errors import InputError, UsageError
from vitrail.pipeline import Failure, run
from vitrail.testing.media import write_clip, write_picture


def pipeline(networks, **settings) -> DeepfakePipeline:
    return DeepfakePipeline(networks, Options(**settings), engine="eager", device="cpu")


def test_a_portrait_gets_one_person_in_every_frame(networks, portrait):
    result = pipeline(networks, frames=5).predict(portrait)
    assert result.frames == result.frames_with_face == 5
    assert [seen.person for seen in result.observations] == [0] * 5
    assert [seen.frame for seen in result.observations] == [0, 18, 37, 55, 74]
    assert len(result.verdict.persons) == 1
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict() | {
        "persons": [p.to_dict() | {"interval": list(p.interval)} for p in result.verdict.persons]
    }


def test_scores_are_the_networks_own(networks, portrait):
    """Each score equals the plain network on the plain crop."""
    job = pipeline(networks, frames=3)
    sample = job.read(portrait)
    items = torch.stack(list(job.items(sample)))
    result = pipeline(networks, frames=3).predict(portrait)
    for network in networks:
        with torch.inference_mode():
            expected = network.module(items).softmax(1)[:, 0].tolist()
        assert [seen.scores[network.name] for seen in result.observations] == pytest.approx(
            expected, abs=1e-5
        )


def test_a_source_scores_the_same_alone_and_in_a_crowd(networks, portrait, tmp_path):
    """Batches across sources change nothing."""
    still = write_picture(
        tmp_path / "still.png", next(pipeline(networks).read(portrait).reader.frames([30])).image
    )
    together = dict(
        run(
            pipeline(networks, frames=4),
            [portrait, still, portrait.parent / "portrait.mp4"],
            batch_size=3,
        )
    )
    alone = pipeline(networks, frames=4).predict(portrait)
    assert together[portrait].verdict.score == pytest.approx(alone.verdict.score, abs=1e-6)
    assert together[still].frames == 1


def test_no_face_is_undecided(networks, tmp_path):
    clip = write_clip(tmp_path / "pattern.mp4")
    result = pipeline(networks).predict(clip)
    assert result.verdict.label is Label.UNDECIDED
    assert result.reasons[0] == "no face in 15 of 15 frames"


def test_no_face_is_fake_by_the_official_rule_only(networks, tmp_path):
    clip = write_clip(tmp_path / "pattern.mp4")
    verdict = pipeline(networks, scoring="official").predict(clip).verdict
    assert (verdict.label, verdict.score) == (Label.FAKE, 0.5)


def test_official_scoring_pools_all_faces(networks, portrait):
    job = pipeline(networks, frames=4, scoring="official")
    items = torch.stack(list(job.items(job.read(portrait))))
    with torch.inference_mode():
        logits = torch.cat([network.module(items[:4]) for network in networks])
    verdict = job.predict(portrait).verdict
    assert verdict.score == pytest.approx(official_score(logits).value, abs=1e-5)
    assert verdict.label.value == official_score(logits).label


def test_a_threshold_leaves_nothing_undecided(networks, portrait):
    score = pipeline(networks, frames=3).predict(portrait).verdict.score
    for threshold, label in ((score - 0.01, Label.FAKE), (score + 0.01, Label.REAL)):
        assert (
            pipeline(networks, frames=3, threshold=threshold).predict(portrait).verdict.label
            is label
        )


def test_the_cascade_asks_network_b_only_where_a_is_unsure(networks, portrait):
    sure = replace(networks[0], temperature=1e-6)  # every probability becomes 0 or 1
    scores = pipeline([sure, networks[1]], frames=3, cascade=True).predict(portrait).observations
    assert all(set(seen.scores) == {"ed"} for seen in scores)
    unsure = replace(networks[0], temperature=1e6)  # every probability becomes 0.5
    scores = pipeline([unsure, networks[1]], frames=3, cascade=True).predict(portrait).observations
    assert all(set(seen.scores) == {"ed", "vae"} for seen in scores)
    with pytest.raises(UsageError, match="cascade"):
        pipeline(networks[:1], cascade=True)


def test_noise_is_off_by_default_and_repeatable_when_seeded(networks, portrait_frame):
    def score(**settings) -> float:
        return pipeline(networks, **settings).predict(portrait_frame).observations[0].scores["vae"]

    assert score() == score()
    assert (
        score(noise="seeded", seed=1)
        == score(noise="seeded", seed=1)
        != score(noise="seeded", seed=2)
    )
    assert score(noise="official") != score(noise="official")


def test_arrays_in_memory_give_what_the_file_gives(networks, portrait):
    job = pipeline(networks, frames=3)
    frames = np.stack([frame.image for frame in job.read(portrait).reader.frames([0, 37, 74])])
    assert job.predict(frames).verdict.score == pytest.approx(
        job.predict(portrait).verdict.score, abs=1e-6
    )


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_an_array_of_another_kind_is_refused(networks, array):
    with pytest.raises(InputError, match="uint8 RGB"):
        pipeline(networks).predict(array)


def test_a_rate_needs_time(networks, portrait, tmp_path):
    write_picture(tmp_path / "1.png")
    with pytest.raises(InputError, match="no time"):
        pipeline(networks, rate=2.0).predict(tmp_path)
    assert pipeline(networks, rate=2.0).predict(portrait).frames == 6


def test_a_cut_video_says_how_much_was_read(networks, tmp_path, portrait):
    data = portrait.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 2 // 3])
    ((_, outcome),) = run(pipeline(networks), [cut], batch_size=4)
    if isinstance(outcome, Failure):
        assert outcome.reason
    else:
        assert any("75" in reason for reason in outcome.reasons)


def test_moments_explain_the_most_suspicious_faces(networks, portrait):
    job = DeepfakePipeline(networks, Options(frames=6), engine="eager", device="cpu", moments=2)
    result = job.predict(portrait)
    worst = sorted(result.observations, key=lambda seen: -seen.score)[:2]
    assert [moment.observation for moment in result.moments] == worst
    for moment in result.moments:
        assert moment.crop.shape == (64, 64, 3) and moment.crop.dtype == np.uint8
        assert all(picture.shape == (64, 64, 3) for picture in moment.explanations.values())


def test_a_picture_without_detail_is_told(networks, portrait_frame):
    small = portrait_frame[::8, ::8]
    large = np.zeros((480, 480, 3), np.uint8) + 127
    large[200:260, 200:260] = small
    result = pipeline(networks).predict(large)
    assert result.verdict.label is Label.UNDECIDED
