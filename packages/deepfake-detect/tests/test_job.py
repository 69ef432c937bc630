"""The job on real frames, with small networks whose numbers can be computed by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepfake_detect.decide.verdict import Label
from deepfake_detect.job import DeepfakeJob, Options, load
from deepfake_detect.official import official_score
from vitrail.errors import InputError, UsageError
from vitrail.faces.find import DETECTOR
from vitrail.faces.looks import LANDMARKER
from vitrail.job import Failure
from vitrail.preprocess.video import open_video
from vitrail.runner import run
from vitrail.sources import Source
from vitrail.testing.media import write_clip, write_picture


@pytest.fixture
def make(networks, finder):
    """A job with small networks by its options."""

    def job(*, fakes=networks, moments=0, **settings) -> DeepfakeJob:
        options = Options(**settings)
        return DeepfakeJob(fakes, finder, options, engine="eager", device="cpu", moments=moments)

    return job


class Recording:
    """An engine that keeps what it was asked, and asks another."""

    def __init__(self, engine):
        self.engine, self.batches = engine, []
        self.name, self.device, self.weights = engine.name, engine.device, engine.weights

    def __call__(self, batch):
        self.batches.append(batch)
        return self.engine(batch)


def recorded(job: DeepfakeJob) -> dict[str, Recording]:
    job.networks = {name: Recording(engine) for name, engine in job.networks.items()}
    return job.networks


def frames_of(path, indices):
    with open_video(path) as video:
        return [frame.image for frame in video.frames(indices)]


def test_a_portrait_gets_one_person_in_every_frame(make, portrait):
    result = make(frames=5).predict(portrait)
    assert result.frames == result.frames_with_face == 5
    assert [seen.person for seen in result.observations] == [0] * 5
    assert [seen.frame for seen in result.observations] == [0, 18, 37, 55, 74]
    assert len(result.verdict.persons) == 1
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict() | {
        "persons": [p.to_dict() | {"interval": list(p.interval)} for p in result.verdict.persons]
    }


def test_scores_are_the_networks_own(make, networks, portrait):
    """Each score equals the plain network on the plain crop."""
    job = make(frames=3)
    asked = recorded(job)
    result = job.predict(portrait)
    for network in networks:
        items = torch.from_numpy(np.concatenate(asked[network.name].batches))
        with torch.inference_mode():
            expected = network.module(items).softmax(1)[:, 0].tolist()
        assert [seen.scores[network.name] for seen in result.observations] == pytest.approx(
            expected, abs=1e-5
        )


def test_a_source_scores_the_same_alone_and_in_a_crowd(make, portrait, tmp_path):
    """Batches across sources change nothing."""
    still = write_picture(tmp_path / "still.png", frames_of(portrait, [30])[0])
    sources = [Source.of(path) for path in (portrait, still, portrait.parent / "portrait.mp4")]
    together = dict(run(make(frames=4), sources, batch_size=3))
    alone = make(frames=4).predict(portrait)
    score = together[sources[0]].verdict.score
    assert score == pytest.approx(alone.verdict.score, abs=1e-6)
    assert together[sources[1]].frames == 1


def test_every_network_works_on_batches_across_frames_and_sources(make, portrait):
    """The face detector too: nothing is computed image by image."""
    job = make(frames=3)
    asked = recorded(job)
    list(run(job, [Source.of(portrait), Source(f"{portrait} again", (portrait,))], batch_size=6))
    lengths = {name: [len(batch) for batch in engine.batches] for name, engine in asked.items()}
    assert lengths == {DETECTOR: [6], LANDMARKER: [6] * 4, "ed": [6], "vae": [6]}


def test_who_is_seen_briefly_is_looked_at_more_closely(make, portrait, tmp_path):
    """One second of a face among 30 s without one is two looks in 30, too few to judge."""
    face = frames_of(portrait, range(25))
    empty = [np.full_like(face[0], 128)] * 100
    clip = write_clip(tmp_path / "brief.mp4", [*empty, *face, *empty, *empty])
    seen = make(frames=15).predict(clip)
    assert seen.frames > 15 and seen.verdict.persons[0].score is not None
    assert len(seen.observations) >= 3
    evenly = make(frames=None, rate=1).predict(clip)
    assert evenly.frames == 13 and evenly.verdict.score is None


def test_who_is_seen_throughout_is_judged_evenly(make, portrait):
    assert make(frames=15).predict(portrait).frames == 15


def test_no_face_is_undecided(make, tmp_path):
    clip = write_clip(tmp_path / "pattern.mp4")
    result = make().predict(clip)
    assert result.verdict.label is Label.UNDECIDED
    assert result.verdict.reasons[0] == "no face in 15 of 15 frames"


def test_no_face_is_fake_by_the_official_rule_only(make, tmp_path):
    clip = write_clip(tmp_path / "pattern.mp4")
    verdict = make(scoring="official").predict(clip).verdict
    assert (verdict.label, verdict.score) == (Label.FAKE, 0.5)


def test_official_scoring_pools_all_faces(make, networks, portrait):
    job = make(frames=4, scoring="official")
    asked = recorded(job)
    verdict = job.predict(portrait).verdict
    items = torch.from_numpy(np.concatenate(asked["ed"].batches))
    with torch.inference_mode():
        logits = torch.cat([network.module(items[:4]) for network in networks]).numpy()
    assert verdict.score == pytest.approx(official_score(logits).value, abs=1e-5)
    assert verdict.label.value == official_score(logits).label


def test_a_threshold_leaves_nothing_undecided(make, portrait):
    score = make(frames=3).predict(portrait).verdict.score
    for threshold, label in ((score - 0.01, Label.FAKE), (score + 0.01, Label.REAL)):
        assert make(frames=3, threshold=threshold).predict(portrait).verdict.label is label


def test_the_cascade_asks_network_b_only_where_a_is_unsure(make, networks, portrait):
    sure = replace(networks[0], temperature=1e-6)  # every probability becomes 0 or 1
    job = make(fakes=[sure, networks[1]], frames=3, cascade=True)
    asked = recorded(job)
    scores = job.predict(portrait).observations
    assert all(set(seen.scores) == {"ed"} for seen in scores) and not asked["vae"].batches
    unsure = replace(networks[0], temperature=1e6)  # every probability becomes 0.5
    job = make(fakes=[unsure, networks[1]], frames=3, cascade=True)
    scores = job.predict(portrait).observations
    assert all(set(seen.scores) == {"ed", "vae"} for seen in scores)
    with pytest.raises(UsageError, match="cascade"):
        make(fakes=networks[:1], cascade=True)


def test_noise_is_off_by_default_and_repeatable_when_seeded(make, portrait_frame):
    def score(**settings) -> float:
        return make(**settings).predict(portrait_frame).observations[0].scores["vae"]

    assert score() == score()
    assert (
        score(noise="seeded", seed=1)
        == score(noise="seeded", seed=1)
        != score(noise="seeded", seed=2)
    )
    assert score(noise="official") != score(noise="official")


def test_a_choice_that_is_not_one_is_an_error(make):
    for setting in ("scoring", "noise"):
        with pytest.raises(UsageError, match=f"nonsense: is not a kind of {setting}"):
            make(**{setting: "nonsense"})
    with pytest.raises(UsageError, match="nonsense: is not a choice of networks"):
        load(net="nonsense")


def test_arrays_in_memory_give_what_the_file_gives(make, portrait):
    job = make(frames=3)
    frames = np.stack(frames_of(portrait, [0, 37, 74]))
    assert job.predict(frames).verdict.score == pytest.approx(
        job.predict(portrait).verdict.score, abs=1e-6
    )


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_an_array_of_another_kind_is_refused(make, array):
    with pytest.raises(InputError, match="uint8 RGB"):
        make().predict(array)


def test_a_rate_needs_time(make, portrait, tmp_path):
    write_picture(tmp_path / "1.png")
    with pytest.raises(InputError, match="no time"):
        make(rate=2.0).predict(tmp_path)
    assert make(rate=2.0).predict(portrait).frames == 6


def test_a_cut_video_says_how_much_was_read(make, tmp_path, portrait):
    data = portrait.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 2 // 3])
    ((_, outcome),) = run(make(), [Source.of(cut)], batch_size=4)
    if isinstance(outcome, Failure):
        assert outcome.reason
    else:
        assert any("75" in trouble for trouble in outcome.damage)
        assert not set(outcome.damage) & set(outcome.verdict.reasons)


def test_moments_explain_the_most_suspicious_faces(make, portrait):
    result = make(frames=6, moments=2).predict(portrait)
    worst = sorted(result.observations, key=lambda seen: -seen.score)[:2]
    assert [moment.observation for moment in result.moments] == worst
    for moment in result.moments:
        assert moment.crop.shape == (64, 64, 3) and moment.crop.dtype == np.uint8
        assert all(picture.shape == (64, 64, 3) for picture in moment.explanations.values())


def test_a_picture_without_detail_is_told(make, portrait_frame):
    small = portrait_frame[::8, ::8]
    large = np.zeros((480, 480, 3), np.uint8) + 127
    large[200:260, 200:260] = small
    result = make().predict(large)
    assert result.verdict.label is Label.UNDECIDED
