"""What training writes is what the command loads; every way of adapting learns and is merged
without a trace."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from audio_classify.data import read_clips
from audio_classify.evaluation import evaluate
from audio_classify.job import AudioJob
from audio_classify.networks import load_network
from audio_classify.training import Task
from audio_classify.training.task import mix, split
from vitrail.errors import InputError, UsageError
from vitrail.training.loop import train
from vitrail.training.lora import merged
from vitrail.training.recipe import load_recipe

from .fakes import RATE, hiss, tone

PIPELINES = Path(__file__).parents[3] / "pipelines" / "audio-classify"
CONFIG = {
    "num_frames": 32,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 1,
    "patch": [16, 16],
    "stride": [16, 16],
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """A list of twelve sounds of two kinds, a third of them for the test."""
    folder = tmp_path_factory.mktemp("sounds")
    lines = ["path,label,split"]
    for number in range(12):
        kind = ("tone", "noise")[number % 2]
        sound = tone(300 + 50 * number, 0.4) if kind == "tone" else hiss(0.4, seed=number)
        soundfile.write(folder / f"{number}.wav", sound, RATE)
        lines.append(f"{number}.wav,{kind},{'test' if number < 4 else 'train'}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def recipe(sounds: Path, name: str = "sounds", *overrides: str):
    config = str(CONFIG).replace("'", "")
    paths = (
        f"data.paths=[{sounds}/list.csv]" if name == "pretrain" else f"data.path={sounds}/list.csv"
    )
    small = [
        paths,
        "data.by=split",
        "data.test=[test]",
        f"model={{config: {config}}}",
        "budget={steps: 2}",
        "optim.batch_size=4",
        "optim.precision=32",
    ]
    return load_recipe(PIPELINES / f"{name}.yaml", [*small, *overrides])


def test_the_command_loads_what_training_writes(sounds, tmp_path):
    path = train(
        recipe(sounds, "sounds", "budget={steps: 30}", "optim.lr=3e-3", "mixup=0"), tmp_path
    )
    network = load_network(str(path))
    assert network.labels == ("noise", "tone") and network.features.num_frames == 32
    result = AudioJob(network, engine="eager", device="cpu").predict(hiss(1, seed=99))
    assert next(iter(result.labels)) == "noise"


@pytest.mark.parametrize("order", ["true", "false"])
def test_pretraining_is_a_start(order, sounds, tmp_path):
    pretrained = train(recipe(sounds, "pretrain", f"data.official={order}"), tmp_path / "one")
    network = load_network(str(pretrained))
    assert network.labels == ()
    task = Task(recipe(sounds, "sounds", f"model.init={pretrained}"))
    expected = network.module.trunk.state_dict()
    assert all(
        torch.equal(value, expected[key]) for key, value in task.network.trunk.state_dict().items()
    )


@pytest.mark.parametrize("kind", ["probe", "lora"])
def test_the_trunk_stays_as_it_is(kind, sounds, tmp_path):
    pytest.importorskip("peft")
    task = Task(recipe(sounds, "sounds", f"adapt={{kind: {kind}, rank: 2}}"))
    names = {name for name, parameter in task.network.named_parameters() if parameter.requires_grad}
    assert all(name.startswith("head.") or "lora" in name for name in names)
    assert any("lora" in name for name in names) == (kind == "lora")
    path = train(recipe(sounds, "sounds", f"adapt={{kind: {kind}, rank: 2}}"), tmp_path)
    load_network(str(path))  # its keys are those of a plain network


def test_merged_equals_unmerged(sounds):
    pytest.importorskip("peft")
    task = Task(recipe(sounds, "sounds", "adapt={kind: lora, rank: 2}")).eval()
    for name, parameter in task.network.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    clip = torch.randn(2, 32, 128)
    with torch.inference_mode():
        assert torch.allclose(merged(task.network)(clip), task.network(clip), atol=1e-5)


def test_the_yardstick_trains_too(sounds, tmp_path):
    model = "model={architecture: cnn, config: {num_frames: 32, widths: [4, 4]}}"
    assert load_network(
        str(train(recipe(sounds, "sounds", model), tmp_path))
    ).module.config.widths == [4, 4]


def test_validation_clips_are_never_trained_on(sounds):
    data = recipe(sounds, "sounds", "data.val_share=0.3").data
    train_clips, val_clips = split(data)
    test_clips = [clip for clip in read_clips(data.path) if clip.facts["split"] == "test"]
    parts = [{clip.path for clip in part} for part in (train_clips, val_clips, test_clips)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12 and all(parts)


def test_a_split_that_leaves_nothing(sounds):
    with pytest.raises(InputError, match=r"fewer than two|no training sound"):
        split(recipe(sounds, "sounds", "data.test=[test, train]").data)


def test_rare_classes_weigh_more(sounds):
    task = Task(recipe(sounds, "sounds", "class_weights=true"))
    tones = [clip for clip in task.train_clips if clip.label == "tone"]
    task.train_clips = [clip for clip in task.train_clips if clip.label == "noise"][:3] + tones[:1]
    assert task.weights_of_classes.tolist() == pytest.approx([4 / 6, 4 / 2])


def test_mixing_keeps_the_sum_of_the_targets():
    image, targets = mix(torch.randn(6, 5, 4), torch.eye(6), 0.4)
    assert image.shape == (6, 5, 4) and torch.allclose(targets.sum(1), torch.ones(6))


def test_evaluation_prints_accuracy_beside_the_baseline(sounds, tmp_path):
    path = train(recipe(sounds), tmp_path)
    accuracy, quieter, confusions, events = evaluate(recipe(sounds), str(path))
    assert [row[-1] for row in accuracy.rows] == [4, 4, 4]
    assert all(0 <= row[1] <= 1 for row in accuracy.rows) and "regression" in accuracy.rows[1][0]
    assert [row[0][-6:] for row in quieter.rows] == ["-20 dB", "-40 dB"]
    assert sum(row[2] for row in confusions.rows) == round(4 * (1 - accuracy.rows[0][1]))
    assert [row[-1] for row in events.rows] == [4, 4] and "regression" in events.rows[1][0]


def test_evaluation_of_pretraining_probes_the_embeddings(sounds, tmp_path):
    path = train(recipe(sounds, "pretrain"), tmp_path)
    (table,) = evaluate(recipe(sounds, "pretrain"), str(path))
    assert "frozen" in table.rows[0][0] and table.rows[0][-1] == 4


SPEECH = "model={config: {stem: speech, patch: [128, 8], stride: [128, 8], num_frames: 32,"
SPEECH += " embed_dim: 16, depth: 1, num_heads: 1}, copies: 2}"


def test_a_stem_that_stays_as_it_is_hears_each_clip_once(sounds, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    made = recipe(sounds, "sounds", SPEECH)
    network = load_network(str(train(made, tmp_path / "one")))
    assert (network.features.mean, network.features.std) == (0.0, 0.5)
    heard = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(heard) == 8 and all(np.load(path).shape == (3, 96, 1, 4) for path in heard)
    times = [path.stat().st_mtime_ns for path in heard]
    again = train(made, tmp_path / "two")
    assert [path.stat().st_mtime_ns for path in heard] == times
    states = [
        load_network(str(path)).module.state_dict()
        for path in (tmp_path / "one" / "weights.safetensors", again)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_only_a_stem_that_was_taught_can_stay_as_it_is(sounds):
    task = Task(recipe(sounds, "sounds", "model.copies=1"))
    with pytest.raises(UsageError, match="keeps the stem speech"):
        task.setup("fit")


def test_what_is_refused_is_chosen_on_validation_clips(sounds, tmp_path):
    lines = (sounds / "list.csv").read_text().splitlines()
    groups = ["group", *(("a", "b")[number // 2 % 2] for number in range(12))]
    listed = sounds / "groups.csv"
    listed.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, groups, strict=True)) + "\n")
    own = [f"data.path={listed}", "data.val=[b]", "data.unknown=noise", f"data.elsewhere={listed}"]
    made = recipe(sounds, "sounds", *own, "monitor={metric: val/accuracy, mode: max}")
    path = train(made, tmp_path)
    network = load_network(str(path))
    assert network.unknown == "noise" and 0 < network.accept < 1
    *_, refused = evaluate(made, str(path))
    assert [row[0] for row in refused.rows][:2] == ["test", "test, none of the classes"]
    assert {row[0] for row in refused.rows[2:]} == {"elsewhere, a", "elsewhere, b"}


def test_refusing_needs_clips_to_choose_by(sounds):
    with pytest.raises(UsageError, match=r"data\.unknown.*needs validation clips"):
        Task(recipe(sounds, "sounds", "data.unknown=noise"))
