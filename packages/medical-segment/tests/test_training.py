"""From a folder of labelled cases to a network that the job loads: layouts, planning, windows,
losses, figures."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("lightning")

from medical_segment.augment import Augment, Augmentation
from medical_segment.data import Cuttings, cell_classes, prepared, read_label
from medical_segment.evaluation import evaluate
from medical_segment.files.layouts import read_collection, split
from medical_segment.models import build_model
from medical_segment.networks import load_network
from medical_segment.plan import Plan
from medical_segment.planner import make_plan, shape_network
from medical_segment.training import Task, mean_dice, segmentation_loss, targets
from vitrail.cli import app
from vitrail.errors import InputError, UsageError, VitrailError
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe

PIPELINES = Path(__file__).parents[3] / "pipelines" / "medical-segment"
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
SEGFORMER = (
    "{architecture: segformer3d, config: {embed_dims: [8, 8, 8, 8], num_heads: [1, 1, 1, 1], "
    "depths: [1, 1, 1, 1], mlp_ratios: [1, 1, 1, 1], patch_stride: [2, 2, 2, 2], "
    "patch_kernel: [3, 3, 3, 3], decoder_dim: 16}}"
)
XLSTM = "{architecture: xlstm-unet, config: {features: [4, 8], strides: [1, 2], kernels: [3, 3]}}"
UNET = "{architecture: unet, config: {channels: [4, 8]}}"


def ball(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy volume (16, 20, 12) with a bright ball in it, half of it class 1 and half class 2."""
    rng = np.random.default_rng(number)
    grid = (
        np.indices((16, 20, 12))
        - np.array([8, 10, 6]).reshape(3, 1, 1, 1)
        - rng.integers(-1, 2, (3, 1, 1, 1))
    )
    inside = (grid**2).sum(0) < 20
    label = np.where(inside, 1 + (grid[1] > 0), 0).astype(np.uint8)
    return (label * 2.0 + rng.normal(0, 0.3, label.shape)).astype(np.float32), label


def write_decathlon(folder: Path, cases: int = 6) -> Path:
    pairs = []
    for number in range(cases):
        for kind, data in zip(("images", "labels"), ball(number), strict=True):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nibabel.Nifti1Image(data, AFFINE).to_filename(folder / kind / f"case_{number}.nii.gz")
        pairs.append({key: f"./{key}s/case_{number}.nii.gz" for key in ("image", "label")})
    labels = {"0": "background", "1": "front", "2": "back"}
    content = {"modality": {"0": "MRI"}, "labels": labels, "training": pairs[:-1]}
    (folder / "dataset.json").write_text(json.dumps(content))
    names = [f"case_{number}" for number in range(cases)]
    (folder / "splits.json").write_text(
        json.dumps({"train": names[:-2], "test": [f"{n}.nii.gz" for n in names[-2:]]})
    )
    return folder


def write_nnunet(folder: Path, regions: bool = False, cases: int = 3) -> Path:
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True)
    for number in range(cases):
        image, label = ball(number)
        for channel in range(2):
            nibabel.Nifti1Image(image * (channel + 1), AFFINE).to_filename(
                folder / "imagesTr" / f"c{number}_{channel:04d}.nii.gz"
            )
        nibabel.Nifti1Image(label, AFFINE).to_filename(folder / "labelsTr" / f"c{number}.nii.gz")
    labels = (
        {"background": 0, "all": [1, 2], "back": [2]}
        if regions
        else {"background": 0, "front": 1, "back": 2}
    )
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(
        json.dumps(content | ({"regions_class_order": [1, 2]} if regions else {}))
    )
    return folder


def write_cells(folder: Path, images: int = 4) -> Path:
    for number in range(images):
        rng = np.random.default_rng(number)
        instances = np.zeros((48, 48), np.uint16)
        for cell, (row, column) in enumerate([(12, 12), (12, 34), (34, 12), (34, 34)], start=1):
            y, x = np.indices(instances.shape)
            instances[(y - row) ** 2 + (x - column) ** 2 < 49] = cell
        colour = np.stack(
            [(instances > 0) * 150 + rng.integers(0, 40, instances.shape)] * 3, axis=-1
        )
        for kind, array in (("images", colour.astype(np.uint8)), ("instances", instances)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / kind / f"p{number}.png")
    (folder / "splits.json").write_text(json.dumps({"train": ["p0", "p1", "p2"], "test": ["p3"]}))
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    return write_decathlon(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    return write_cells(tmp_path_factory.mktemp("cells"))


def settings_of(folder: Path, name: str, *more: str) -> list[str]:
    """What makes a bundled recipe a small one on ``folder``."""
    plan = (
        "{patch: [48, 48], normalisation: zscore}" if name == "nuclei" else "{patch: [16, 16, 8]}"
    )
    return [
        f"data.path={folder}",
        f"data.split={folder}/splits.json",
        f"plan={plan}",
        "optim.batch_size=2",
        "optim.precision=32",
        "budget={steps: 2}",
        "beside=[]",
        f"model={XLSTM if name == 'nuclei' else SEGFORMER}",
        *more,
    ]


def recipe(folder: Path, name: str = "hippocampus", *more: str):
    return load_recipe(PIPELINES / f"{name}.yaml", settings_of(folder, name, *more))


def test_decathlon_layout(scans):
    collection = read_collection(scans)
    assert len(collection.cases) == 6  # one of them in no list, but in both folders
    assert collection.labels == ("background", "front", "back") and collection.channels == ("MRI",)
    train_part, test = split(collection.cases, scans / "splits.json")
    assert [case.name for case in test] == ["case_4", "case_5"] and len(train_part) == 4


@pytest.mark.parametrize("regions", [False, True])
def test_nnunet_layout(regions, tmp_path):
    collection = read_collection(write_nnunet(tmp_path / "set", regions))
    assert len(collection.cases) == 3 and all(len(case.images) == 2 for case in collection.cases)
    assert collection.labels == (("all", "back") if regions else ("background", "front", "back"))
    assert collection.regions == ({"all": (1, 2), "back": (2,)} if regions else None)
    plan = make_plan(collection, {})
    assert plan.activation == ("sigmoid" if regions else "softmax") and plan.spacing == (1, 1, 2)
    sample = prepared(collection.cases, collection, plan)[0]
    assert sample["image"].shape == (2, 16, 20, 12)
    masks = targets(sample["label"][None].long(), collection)
    assert masks.shape[1] == len(collection.labels) and (
        not regions or (masks[:, 0] >= masks[:, 1]).all()
    )


def test_images_with_instances(cells):
    collection = read_collection(cells)
    assert collection.dims == 2 and collection.instances
    label = cell_classes(read_label(collection.cases[0].label, (48, 48)))
    assert set(np.unique(label)) == {0, 1, 2} and (label == 2).sum() < (label == 1).sum()


@pytest.mark.parametrize(
    "content, fault",
    [
        ("[", "not readable JSON"),
        ("[]", "not a JSON object"),
        ('{"labels": {}}', "not a description of a data set"),
        ('{"modality": {"0": "MR"}, "labels": {"0": "b"}, "training": []}', "no labelled case"),
        (
            '{"modality": {"0": "MR"}, "labels": {"0": "b"}, '
            '"training": [{"image": "../i.nii", "label": "l.nii"}]}',
            "leads out",
        ),
    ],
)
def test_bad_descriptions_are_named(content, fault, tmp_path):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=fault):
        read_collection(tmp_path)


def test_a_folder_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no labelled cases"):
        read_collection(tmp_path)


@pytest.mark.parametrize(
    "lists, fault",
    [
        ({"train": ["case_0"], "test": ["case_0"]}, "both"),
        ({"train": ["nobody"], "test": []}, "not there"),
        ({"train": []}, "no list"),
    ],
)
def test_bad_splits_are_named(lists, fault, scans, tmp_path):
    (tmp_path / "splits.json").write_text(json.dumps(lists))
    with pytest.raises(InputError, match=fault):
        split(read_collection(scans).cases, tmp_path / "splits.json")


def test_labels_that_do_not_fit_are_named(scans, tmp_path):
    path = tmp_path / "label.nii.gz"
    nibabel.Nifti1Image(np.full((4, 4, 4), 0.5, np.float32), AFFINE).to_filename(path)
    with pytest.raises(InputError, match="not whole numbers"):
        read_label(path, (4, 4, 4))
    with pytest.raises(InputError, match="its image"):
        read_label(path, (4, 4, 5))
    folder = write_decathlon(tmp_path / "odd")
    label = np.zeros((16, 20, 12), np.uint8)
    label[3, 3, 3] = 7
    nibabel.Nifti1Image(label, AFFINE).to_filename(folder / "labels" / "case_0.nii.gz")
    with pytest.raises(InputError, match="holds the label 7"):
        train(recipe(folder), tmp_path / "run")


@pytest.mark.parametrize("metric", ["val/dise", "val/fit"])
def test_a_monitor_that_is_never_measured_is_refused_before_training(
    metric, scans, tmp_path, monkeypatch
):
    monkeypatch.setattr(Task, "training_step", None)  # no step is made
    wrong = recipe(scans, "hippocampus", "data.val_share=0.5", f"monitor.metric={metric}")
    with pytest.raises(UsageError, match=f"{metric} is not measured; there is val/dice"):
        train(wrong, tmp_path / "run")


def test_the_plan_follows_the_cases(scans):
    plan = make_plan(read_collection(scans), {})
    assert plan.spacing == (1, 1, 2) and plan.normalisation == "zscore"
    assert all(abs(side - own) <= 4 for side, own in zip(plan.patch, (16, 20, 12), strict=True))
    assert make_plan(read_collection(scans), {"patch": (8, 8, 8)}).patch == (8, 8, 8)
    config = shape_network("xlstm-unet", plan)
    assert config["strides"][0] == [1, 1, 1] and config["kernels"][0] == [
        3,
        3,
        1,
    ]  # the coarse axis later
    volume = torch.randn(1, 1, *plan.patch)
    assert build_model("xlstm-unet", config).eval()(volume).shape[2:] == volume.shape[2:]
    assert shape_network("segformer3d", plan)["patch_stride"][0] == [2, 2, 2]


def test_ct_is_clipped_by_its_own_intensities(tmp_path):
    folder = write_decathlon(tmp_path)
    content = json.loads((folder / "dataset.json").read_text()) | {"modality": {"0": "CT"}}
    (folder / "dataset.json").write_text(json.dumps(content))
    plan = make_plan(read_collection(folder), {})
    low, high, mean, std = plan.intensity
    assert plan.normalisation == "ct" and low < mean < high and std > 0


@pytest.mark.parametrize("dims", [2, 3])
def test_windows_are_repeatable_and_keep_image_and_label_together(dims):
    plan = Plan(("MR",), ("background", "thing"), (16,) * dims, dims, "RAS" if dims == 3 else None)
    label = torch.zeros(1, *[20] * dims, dtype=torch.uint8)
    label[(slice(None), *[slice(4, 15)] * dims)] = 1
    sample = {"image": label.float() * 4, "label": label}
    options = Augment(noise=0, blur=0, brightness=0, low_resolution=0, gamma=0, affine=1)
    augment = Augmentation(plan, options)
    for seed in range(5):
        image, mask = augment(sample, seed)
        assert image.shape == mask.shape == (1, *plan.patch) and mask.dtype == torch.int64
        assert ((image > 2) == (mask == 1)).float().mean() > 0.95
    again = augment(sample, 4)
    assert torch.equal(again[0], image) and torch.equal(again[1], mask)
    strong = Augmentation(
        plan, Augment(noise=1, blur=1, brightness=1, low_resolution=1, gamma=1, invert=1)
    )
    assert strong(sample, 0)[0].isfinite().all()


def test_windows_per_case(scans):
    windows = Cuttings([1, 2, 3], lambda sample, seed: (sample, seed), per_case=2)
    assert len(windows) == 6 and [windows[n][0] for n in range(6)] == [1, 1, 2, 2, 3, 3]


def test_the_disk_keeps_prepared_cases(scans, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path))
    collection = read_collection(scans)
    plan = make_plan(collection, {})
    first = prepared(collection.cases, collection, plan, "disk")[0]
    kept = list((tmp_path / "medical-segment").glob("*.pt"))
    again = prepared(collection.cases, collection, plan, "disk")[0]
    assert len(kept) == 1 and torch.equal(first["image"], again["image"])
    other = make_plan(collection, {"normalisation": "minmax"})
    assert prepared(collection.cases, collection, other, "disk")[0]["image"].max() == 1


@pytest.mark.parametrize("name", ["dice_ce", "dice_focal", "dice"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_losses_fall_to_the_truth(name, activation):
    plan = Plan(("MR",), ("one", "two", "three"), (8, 8), 2, None, activation=activation)
    truth = torch.nn.functional.one_hot(torch.randint(3, (2, 8, 8)), 3).movedim(-1, 1).float()
    loss = segmentation_loss(name, plan)
    right, wrong = (20 * sign * (truth - 0.5) for sign in (1, -1))
    coarse = right[..., ::2, ::2]
    assert loss([right, coarse], truth) < 0.01 < 0.5 < loss([wrong, coarse], truth)


def test_the_coarsest_stage_does_not_count():
    plan = Plan(("MR",), ("one", "two"), (8, 8), 2, None)
    truth = torch.zeros(1, 2, 8, 8)
    truth[:, 0] = 1
    outputs = [torch.randn(1, 2, side, side, requires_grad=True) for side in (8, 4, 2)]
    segmentation_loss("dice_ce", plan)(outputs, truth).backward()
    assert outputs[1].grad.abs().sum() > 0 and outputs[2].grad is None


def test_dice_of_nothing_is_one():
    assert mean_dice(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)) == 1


@pytest.mark.parametrize("model", [SEGFORMER, XLSTM, UNET])
def test_the_job_loads_what_training_writes(model, scans, tmp_path):
    path = train(recipe(scans, "hippocampus", f"model={model}"), tmp_path)
    network = load_network(str(path))
    assert network.plan.patch == (16, 16, 8) and network.plan.labels == (
        "background",
        "front",
        "back",
    )
    assert network.module(torch.from_numpy(network.example)).shape == (2, 3, 16, 16, 8)
    lowest, highest = network.seen["spacing"][0]
    assert 0 < lowest <= highest, "what the training cases were like"


def test_it_learns_and_the_evaluation_says_how_well(scans, tmp_path):
    settings = recipe(
        scans,
        "hippocampus",
        f"model={UNET}",
        "budget={steps: 40}",
        "optim.lr=2e-2",
        "augment={affine: 0}",
    )
    path = train(settings, tmp_path)
    means, cases = evaluate(settings, str(path))
    assert [row[1] for row in means.rows] == ["front", "back", "mean"] and len(cases.rows) == 4
    assert means.rows[-1][2] > 0.5, means.rows
    assert means.columns[2:] == ("dice", "from", "to", "hd95", "nsd", "undefined")


def test_cells_are_counted_and_written_as_a_table(cells, tmp_path):
    more = (f"model={UNET}", "budget={steps: 20}", "optim.lr=2e-2")
    weights = str(train(recipe(cells, "nuclei", *more), tmp_path))
    overrides = [part for value in settings_of(cells, "nuclei", *more) for part in ("--set", value)]
    table = tmp_path / "table.csv"
    call = [
        "evaluate",
        str(PIPELINES / "nuclei.yaml"),
        "--weights",
        weights,
        "-o",
        str(table),
        *overrides,
    ]
    assert CliRunner().invoke(app, call).exit_code == 0
    means, cases = table.read_text().split("\n\n")
    head, row = means.splitlines()
    assert head.startswith("network,label,dice,from,to,f1@0.5") and float(row.split(",")[2]) > 0.5
    assert len(cases.splitlines()) == 2


def test_a_stopped_run_goes_on(scans, tmp_path, monkeypatch):
    settings = recipe(
        scans,
        "hippocampus",
        f"model={XLSTM}",
        "budget={epochs: 2}",
        "data.val_share=0.5",
        "monitor={metric: val/dice, mode: max}",
    )
    whole = train(settings, tmp_path / "whole")
    step, broken = Task.training_step, []

    def interrupted(self, batch, number):
        if self.current_epoch == 1 and not broken:
            broken.append(True)
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Task, "training_step", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit, VitrailError)):
        train(settings, tmp_path / "cut")
    again = train(settings, tmp_path / "cut")
    one, other = (load_network(str(path)).module.state_dict() for path in (whole, again))
    assert all(torch.allclose(value, other[key], atol=1e-5) for key, value in one.items())


def test_nnunets_optimiser(scans):
    task = Task(recipe(scans, "hippocampus", "optimizer=sgd"))
    optimizer = task.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["nesterov"]


def test_a_loss_that_is_no_number_stops_the_run(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Task,
        "training_step",
        lambda self, *_: self.network(torch.zeros(2, 1, 16, 16, 8)).sum() * torch.nan,
    )
    with pytest.raises(VitrailError, match="no longer a number"):
        train(recipe(scans), tmp_path)


def test_test_cases_are_never_trained_on(scans):
    task = Task(recipe(scans, "hippocampus", "data.val_share=0.25"))
    names = [{case.name for case in part} for part in (task.train_cases, task.val_cases)]
    assert names == [{"case_0", "case_1", "case_2"}, {"case_3"}]


def test_training_goes_on_from_a_weight_file(scans, tmp_path):
    first = train(recipe(scans), tmp_path)
    task = Task(recipe(scans, "hippocampus", f"model={SEGFORMER[:-1]}, init: {first}}}"))
    expected = load_network(str(first)).module.state_dict()
    assert all(
        torch.equal(v, expected[key])
        for key, v in task.network.state_dict().items()
        if v.is_floating_point()
    )
