"""What training writes is what the command loads; and that networks learn, continue and start from
one another."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

pytest.importorskip("lightning")

from deepfake_detect.decide.crops import CropRule
from deepfake_detect.model import FAKE, REAL, build_model
from deepfake_detect.networks import choose_networks
from deepfake_detect.training import Task
from deepfake_detect.training.calibration import WRONG, calibrate
from vitrail.errors import InputError, UsageError
from vitrail.testing.media import write_clip
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe
from vitrail.weights.files import read_state, save

PIPELINES = Path(__file__).parents[3] / "pipelines" / "deepfake-detect"
BACKBONE = {
    "backbone": "resnet18",
    "backbone_options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
}
CONFIG = {"img_size": 32, **BACKBONE, "embedding": 8, "hidden": 8, "encoder_widths": [4, 8]}
ALONE = {key: value for key, value in CONFIG.items() if key != "encoder_widths"}
CONFIGS = {"ed": CONFIG, "vae": CONFIG | {"latent_channels": 4}, "backbone": ALONE}


def small_recipe(name: str, faces: Path, *overrides: str):
    config = str(CONFIGS[name]).replace("'", "")
    return load_recipe(
        PIPELINES / f"{name}.yaml",
        [
            f"data={{format: pseudo-fakes, train: {faces}/train, test: {faces}/train, "
            f"mesh: {faces}/mesh.json}}",
            f"model={{architecture: genconvit-{name}, config: {config}}}",
            "budget={steps: 2}",
            "optim.batch_size=4",
            # bfloat16 gradients of a 3x3 convolution over a single pixel, as small as these are,
            # come out undefined.
            "optim.precision=32",
            "epoch=2",
            *overrides,
        ],
    )


def saved(path: Path, name: str) -> str:
    """A weight file with fresh weights of a small network, cut with a margin of its own."""
    torch.manual_seed(3)
    model = build_model(f"genconvit-{name}", CONFIGS[name])
    facts = {"temperature": 1.0, "thresholds": {"real_below": 0.4, "fake_above": 0.6}}
    crop = asdict(CropRule(img_size=32, box="detector", margin=0.31))
    metadata = {
        "system": "deepfake-detect",
        "architecture": f"genconvit-{name}",
        "config": CONFIGS[name],
        "crop": crop,
    }
    save(path, model.state_dict(), metadata | facts, dtype=torch.float32)
    return str(path)


@pytest.mark.parametrize("name", ["ed", "vae", "backbone"])
def test_the_command_loads_what_training_writes(name, faces, tmp_path):
    recipe = small_recipe(name, faces)
    (network,) = choose_networks(None, [str(train(recipe, tmp_path / "run"))])
    assert network.name == name
    assert network.crop == CropRule(img_size=32, box="detector", margin=recipe.margin)
    assert network.thresholds.real_below <= network.thresholds.fake_above
    assert network.module(torch.from_numpy(network.example)).shape == (2, 2)


def test_training_sees_each_pair_as_the_command_sees_a_face(faces):
    task = Task(small_recipe("ed", faces))
    images, labels = task._unpack(next(iter(task.val_dataloader())))
    raw = task.datasets[1][0]["images"].permute(0, 2, 3, 1).numpy()
    from vitrail.preprocess.image import normalise

    seen = torch.from_numpy(normalise(raw, task.rule.mean, task.rule.std))
    assert torch.allclose(images[:2], seen, atol=1e-5)
    assert labels[:4].tolist() == [FAKE, REAL, FAKE, REAL]


def test_validation_is_the_same_whatever_the_seed_of_training(faces):
    one, other = (Task(small_recipe("ed", faces, f"seed={seed}")) for seed in (0, 7))
    val, train = ([task.datasets[part][1]["images"] for task in (one, other)] for part in (1, 0))
    assert torch.equal(*val) and not torch.equal(*train)


def test_people_who_choose_the_weights_are_not_trained_on(faces):
    train, val = Task(small_recipe("ed", faces)).datasets
    assert len(train) == len(val) == 1
    assert not {id(region) for region in train.regions} & {id(region) for region in val.regions}
    (faces / "train" / "b.png").unlink()
    with pytest.raises(InputError, match="one person"):
        _ = Task(small_recipe("ed", faces)).datasets


@pytest.mark.parametrize(
    ("name", "further"), [("vae", "reconstruction"), ("backbone", "blend_map")]
)
def test_two_networks_learn_more_than_the_label(faces, name, further):
    losses, gradients = [], []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        task = Task(small_recipe(name, faces, f"{further}={weight}"))
        task.log = lambda *_, **__: None
        task.train()
        loss = task.training_step(default_collate([task.datasets[1][n] for n in range(2)]), 0)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([value.grad.flatten() for value in task.model.parameters()]))
    assert losses[1] > losses[0] + 0.1
    assert not torch.equal(*gradients)


def test_the_map_of_the_blending_is_not_stored(faces, tmp_path):
    state, metadata = read_state(train(small_recipe("backbone", faces), tmp_path / "run"))
    assert metadata["architecture"] == "genconvit-backbone"
    assert state.keys() == build_model("genconvit-backbone", ALONE).state_dict().keys()


def test_a_file_of_the_same_architecture_brings_its_crops_along(faces, tmp_path):
    file = saved(tmp_path / "start.safetensors", "ed")
    task = Task(small_recipe("ed", faces, f"model={{architecture: genconvit-ed, init: {file}}}"))
    (network,) = choose_networks(None, [file])
    assert task.rule.margin == 0.31
    example = torch.from_numpy(network.example)
    assert torch.equal(task.model.eval()(example), network.module(example))


def test_options_cannot_contradict_the_file_that_is_started_from(faces, tmp_path):
    with pytest.raises(UsageError, match="leave it out"):
        Task(small_recipe("ed", faces, f"model.init={saved(tmp_path / 'start.safetensors', 'ed')}"))


def test_the_other_network_gives_its_backbone_with_its_statistics(faces, tmp_path):
    task = Task(
        small_recipe("vae", faces, f"model.init={saved(tmp_path / 'start.safetensors', 'ed')}")
    ).train()
    torch.manual_seed(3)
    given = build_model("genconvit-ed", CONFIG).backbone.state_dict()
    assert all(
        torch.equal(value, given[key]) for key, value in task.model.backbone.state_dict().items()
    )
    task.model(torch.randn(4, 3, 32, 32))
    assert torch.equal(
        task.model.backbone.state_dict()["bn1.running_mean"], given["bn1.running_mean"]
    )
    assert task.model.encoder.features[1].training


def test_own_videos_are_cut_and_learned(tmp_path, middle_face, monkeypatch):
    """Dark faces are real and bright ones fake, so a few steps must tell them apart."""
    monkeypatch.setattr("deepfake_detect.training.recipe.load_finder", lambda spec: middle_face)
    for kind, shade in (("real", 50), ("fake", 200)):
        (tmp_path / "videos" / kind).mkdir(parents=True)
        for number in range(4):
            frames = (np.full((60, 60, 3), shade + 3 * number, np.uint8) for _ in range(3))
            write_clip(tmp_path / "videos" / kind / f"{kind}{number}.mp4", frames)
    (tmp_path / "videos" / "real" / "broken.mp4").write_bytes(b"no video")
    start = saved(tmp_path / "start.safetensors", "ed")
    recipe = load_recipe(
        PIPELINES / "finetune.yaml",
        [
            f"data={{format: folders, path: {tmp_path}/videos, crops: {tmp_path}/crops, "
            "frames: 3, val_share: 0.3}",
            f"model.init={start}",
            "budget={steps: 30}",
            "optim={lr: 3.0e-3, batch_size: 8}",
            "epoch=10",
        ],
    )
    (network,) = choose_networks(None, [str(train(recipe, tmp_path / "run"))])
    assert network.crop.margin == 0.31
    faces = torch.stack([torch.full((3, 32, 32), value) for value in (-1.2, 1.4)])
    real, fake = network.probability(network.module(faces).detach().numpy()).tolist()
    assert fake > real + 0.2
    assert len(list((tmp_path / "crops").rglob("*.png"))) == 24


def test_pictures_that_are_crops_already_are_left_alone(tmp_path):
    for kind in ("real", "fake"):
        for person in "ab":
            (tmp_path / kind / person).mkdir(parents=True)
            Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(
                tmp_path / kind / person / "1.png"
            )
    config = str(CONFIG).replace("'", "")
    recipe = load_recipe(
        PIPELINES / "finetune.yaml",
        [
            f"data={{format: folders, path: {tmp_path}}}",
            f"model={{architecture: genconvit-ed, config: {config}}}",
        ],
    )
    assert [len(dataset) for dataset in Task(recipe).datasets] == [2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fake", "real"]


def test_videos_need_a_folder_for_their_faces(tmp_path):
    for kind in ("real", "fake"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "clip.MP4").write_bytes(b"-")
    config = str(CONFIG).replace("'", "")
    recipe = load_recipe(
        PIPELINES / "finetune.yaml",
        [
            f"data={{format: folders, path: {tmp_path}}}",
            f"model={{architecture: genconvit-ed, config: {config}}}",
        ],
    )
    with pytest.raises(UsageError, match=r"data\.crops"):
        _ = Task(recipe).datasets


def test_thresholds_hold_back_a_tenth_of_each_kind():
    rng = np.random.default_rng(0)
    labels = np.repeat([FAKE, REAL], 2000)
    score = rng.normal(0, 3, 4000) + np.where(labels == FAKE, 1.5, -1.5)
    logits = np.stack([score, np.zeros(4000)], axis=1)
    facts = calibrate(logits, labels)
    fake = 1 / (1 + np.exp(-score / facts["temperature"]))
    limits = facts["thresholds"]
    assert np.mean(fake[labels == REAL] > limits["fake_above"]) == pytest.approx(WRONG, abs=0.001)
    assert np.mean(fake[labels == FAKE] < limits["real_below"]) == pytest.approx(WRONG, abs=0.001)
    assert facts["temperature"] > 1.5, "such noisy scores are overconfident"


def test_where_the_network_separates_well_nothing_is_undecided():
    labels = np.repeat([FAKE, REAL], 100)
    logits = np.where(labels == FAKE, 4.0, -4.0)[:, None] * (0.5, -0.5)
    limits = calibrate(logits, labels)["thresholds"]
    assert limits["real_below"] == limits["fake_above"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", ["ed", "vae"])
def test_the_bundled_networks_are_small(name):
    recipe = load_recipe(PIPELINES / f"{name}.yaml")
    model = build_model(recipe.model.architecture, recipe.model.config)
    assert sum(value.numel() for value in model.state_dict().values()) * 2 < 12e6
    assert recipe.test, "its sets for 'vitrail evaluate'"


def test_limits_hold_for_clips_and_for_photographs():
    rng = np.random.default_rng(0)
    labels = np.tile([FAKE, REAL], 300)
    logits = np.stack([np.zeros(600), np.where(labels == REAL, 2.0, -2.0)], axis=1)
    logits += rng.normal(0, 1, logits.shape)
    clips = np.full(600, -1)
    alone = calibrate(logits, labels)
    # Real clips look more like fakes than real photographs do; each is known by thirty faces.
    clips[300:] = np.arange(300) // 2 % 5 + 5 * (labels[300:] == REAL)
    logits[300:][labels[300:] == REAL] -= (0, 2)
    both = calibrate(logits, labels, clips)
    assert both["thresholds"]["fake_above"] > alone["thresholds"]["fake_above"]
    assert both["thresholds"]["real_below"] <= both["thresholds"]["fake_above"]
