"""What every installed system promises: its manifest, its command's manners, its weights, its
exports."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module, metadata
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vitrail import system as system_module
from vitrail.engine import Network
from vitrail.errors import MAX_LINE, MissingError, UsageError
from vitrail.system import System, broken, systems
from vitrail.testing.commands import call, results_in
from vitrail.testing.media import write_damaged_jpeg
from vitrail.weights.catalogue import catalogue, resolve

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "numpy", "cv2", "av", "timm", "lightning", "scipy", "pydantic", "PIL", "sklearn"}
COMMON_OPTIONS = (
    "--output",
    "--weights",
    "--device",
    "--engine",
    "--batch-size",
    "--json",
    "--quiet",
    "--debug",
)


def test_manifest(system: System):
    assert system.version == metadata.version(system.distribution)
    assert system.summary and system.title and len(system.summary) < 100
    assert system.folder.is_dir()
    for room in ("training", "evaluation", "networks"):
        assert system.room(room).__doc__
    networks = system.room("networks").load_networks(())
    assert networks and all(isinstance(network, Network) for network in networks)


def test_importing_a_package_is_free(system: System):
    """``import <package>`` and a command's ``--help`` load nothing heavy."""
    modules = [system.package, *([f"{system.package}.cli"] if system.command else [])]
    names = "{name.split('.')[0] for name in sys.modules}"
    code = f"import sys, {', '.join(modules)}; print(*sorted({names}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)


def test_help(command: System):
    outcome = call(command.package, *command.job, "--help")
    assert outcome.status == 0
    assert command.command in outcome.stdout
    assert all(option in outcome.stdout for option in COMMON_OPTIONS)
    assert max(map(len, outcome.stdout.splitlines())) <= 120


OPTIONAL = (
    "timm",
    "torchvision",
    "matplotlib",
    "librosa",
    "monai",
    "rasterio",
    "ray",
    "scipy",
    "sklearn",
    "lightning",
    "torchmetrics",
    "tensorboard",
    "onnx",
    "onnxruntime",
    "dlib",
    "skimage",
)


IMPORTED_AS = {"scikit-image": "skimage", "scikit-learn": "sklearn"}


def test_the_job_needs_no_optional_library(command: System, example):
    """What ``pip install <package>`` brings is enough for the job."""
    required = [line for line in metadata.requires(command.distribution) if "extra ==" not in line]
    named = {re.match(r"[\w-]+", line).group() for line in required}
    needed = {IMPORTED_AS.get(name, name) for name in named}
    code = f"""
import sys
sys.modules.update(dict.fromkeys({set(OPTIONAL) - needed}))  # None: importing it fails
sys.argv = ["{command.command}", *{command.job!r}, r"{example}", "--quiet"]
from {command.package}.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and '"status": "done"' in done.stdout, done.stderr


def assert_one_line(outcome, command: System, status: int) -> None:
    assert outcome.status == status, outcome
    assert outcome.stdout == ""
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    assert outcome.stderr.startswith(f"{command.command}: ")
    assert len(outcome.stderr.rstrip("\n")) <= MAX_LINE
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--outptu", "x", "y"),
        ("--batch-size", "0", "y"),
        ("--device", "abacus", "y"),
        ("--engine",),
    ],
)
def test_an_unusable_call(command: System, arguments):
    assert_one_line(call(command.package, *command.job, *arguments), command, 2)


def test_a_mistyped_option_names_the_right_one(command: System):
    assert "--output" in call(command.package, *command.job, "--outptu", "x", "y").stderr


NAMES = [
    "plain",
    "with space",
    "line\nbreak",
    "émoji 🎬",
    "-leading-dash",
    "[bold]markup[/bold]",
    "semi;colon&$(touch x)",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_input_of_any_name(command: System, name, tmp_path):
    assert_one_line(call(command.package, *command.job, "--", tmp_path / name), command, 1)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"<!DOCTYPE html><html>not found</html>", b"PK\x03\x04" + bytes(200)]
)
def test_a_file_that_is_not_what_its_name_says(command: System, example, content, tmp_path):
    path = tmp_path / f"bad{example.suffix}"
    path.write_bytes(content)
    output = tmp_path / "out"
    assert_one_line(call(command.package, *command.job, path, "-o", output), command, 1)
    assert not list(output.rglob("*.*"))


def test_a_truncated_input(command: System, example, tmp_path):
    path = tmp_path / f"cut{example.suffix}"
    path.write_bytes(example.read_bytes()[: example.stat().st_size // 50])
    assert_one_line(call(command.package, *command.job, path), command, 1)


def test_a_damaged_image_is_not_answered_as_if_it_were_whole(command: System, tmp_path):
    path = write_damaged_jpeg(tmp_path / "damaged.jpg")
    outcome = call(command.package, *command.job, path, "--json", "--quiet")
    if outcome.status == 1:
        pytest.skip("reads no single image")
    row = json.loads(outcome.stdout)
    assert any("part of the image is damaged" in sentence for sentence in row["damage"])


def test_a_folder_named_like_a_file(command: System, example, tmp_path):
    folder = tmp_path / f"folder{example.suffix}"
    folder.mkdir()
    assert_one_line(call(command.package, *command.job, folder), command, 1)


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="the superuser may read every file"
)
def test_an_unreadable_input(command: System, example, tmp_path):
    path = tmp_path / example.name
    path.write_bytes(example.read_bytes())
    path.chmod(0)
    assert_one_line(call(command.package, *command.job, path), command, 1)


@pytest.mark.parametrize("weights", ["no-such-weights", "missing.safetensors"])
def test_weights_that_are_not_there(command: System, example, weights):
    assert_one_line(call(command.package, *command.job, example, "--weights", weights), command, 3)


def test_weights_of_something_else(command: System, example, tmp_path):
    path = tmp_path / "page.safetensors"
    path.write_bytes(b"<!DOCTYPE html><title>Not found</title>")
    assert_one_line(call(command.package, *command.job, example, "--weights", path), command, 1)


def test_an_output_folder_that_cannot_be_written(command: System, example, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert_one_line(call(command.package, *command.job, example, "-o", blocked), command, 1)
    assert blocked.read_text() == "in the way"


@pytest.fixture(scope="module")
def batch_outcomes():
    """A cache, so that the slow call below runs once a command."""
    return {}


def good_and_bad(command: System, example: Path, cache: dict, tmp_path_factory):
    if command.name not in cache:
        folder = tmp_path_factory.mktemp(command.name)
        odd = folder / f"spaced [name] é{example.suffix}"
        odd.write_bytes(example.read_bytes())
        bad = folder / f"bad{example.suffix}"
        bad.write_bytes(b"nothing")
        output = folder / "out"
        cache[command.name] = (
            call(command.package, *command.job, odd, bad, example, "--json", "-o", output),
            output,
        )
    return cache[command.name]


def test_one_bad_input_among_many(command: System, example, batch_outcomes, tmp_path_factory):
    outcome, output = good_and_bad(command, example, batch_outcomes, tmp_path_factory)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["reason"] and len(outcome.stderr.splitlines()) == 1
    assert [
        json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()
    ] == rows
    results = results_in(output)
    assert results.keys() == {rows[0]["source"], rows[2]["source"]}
    assert all(path.is_file() for path in results.values())
    assert not [
        path for path in output.rglob("*") if path.name.startswith(".") or "tmp" in path.name
    ]


ROW = [
    "source",
    "sha256",
    "status",
    "model",
    "version",
    "weights",
    "engine",
    "device",
    "damage",
    "seconds",
]


def test_a_row_says_where_it_came_from(command: System, example, batch_outcomes, tmp_path_factory):
    outcome, _ = good_and_bad(command, example, batch_outcomes, tmp_path_factory)
    _, failed, row = (json.loads(line) for line in outcome.stdout.splitlines())
    assert list(row)[: len(ROW)] == ROW and list(row)[-1] == "options"
    assert list(failed) == [*ROW, "reason"]
    assert row["source"] == str(example) and len(row["sha256"]) == 64 and row["seconds"] >= 0
    assert row["version"] == command.version and row["device"] in ("cpu", "cuda")
    assert row["weights"] and row["weights"].keys() == row["engine"].keys()
    assert all(len(sha256) == 64 for sha256 in row["weights"].values())
    assert not {"auto", ""} & set(row["engine"].values())
    assert row["damage"] == []


def test_resume_skips_what_is_done(command: System, example, tmp_path):
    first = call(command.package, *command.job, example, "-o", tmp_path)
    (written,) = results_in(tmp_path).values()
    age = written.stat().st_mtime_ns
    second = call(command.package, *command.job, example, "-o", tmp_path, "--resume")
    assert (first.status, second.status) == (0, 0)
    assert first.stdout and not second.stdout
    assert "1 of 1 done before" in second.stderr
    assert written.stat().st_mtime_ns == age


def test_weights_are_what_the_catalogue_says(system: System):
    entries = catalogue(system)
    assert any(entry.file for entry in entries), "a system brings at least one weights file"
    for entry in entries:
        if entry.file:
            weights = resolve(system, entry.name)  # refuses a file whose sha256 differs
            assert weights.path.stat().st_size <= 12_000_000
            assert weights.metadata["architecture"] == entry.architecture
            assert entry.metrics and entry.measured_by and entry.licence and entry.trained_on


ROOMS = ("job", "networks", "checkpoint", "result", "writing", "data", "training", "evaluation")
OF_A_RELEASE = ("official", "parity")  # of systems whose authors published code
MAX_FOLDERS = 5


def has_room(command: System, room: str) -> bool:
    return (command.folder / f"{room}.py").is_file() or (command.folder / room).is_dir()


def test_a_command_has_every_room(command: System):
    assert [room for room in ROOMS if not has_room(command, room)] == []
    of_a_release = [room for room in OF_A_RELEASE if has_room(command, room)]
    assert of_a_release in ([], [*OF_A_RELEASE]), "both or none: goldens check what a release is"
    rooms = {*ROOMS, *OF_A_RELEASE, "models", "weights", "__pycache__"}
    own = [path.name for path in command.folder.iterdir() if path.is_dir()]
    assert len(set(own) - rooms) <= MAX_FOLDERS


def test_load_gives_a_job(command: System):
    job = import_module(command.package).load()
    assert job.networks and callable(job.process) and callable(job.predict)
    assert job.version == command.version and json.dumps(dict(job.options))


def test_load_of_what_nobody_knows_is_an_error(command: System):
    load = import_module(command.package).load
    with pytest.raises(MissingError, match="nonsense: neither weights of this name nor such a"):
        load("nonsense")
    for option in ("engine", "device"):
        with pytest.raises(UsageError, match="nonsense"):
            load(**{option: "nonsense"})


def test_a_broken_system_leaves_the_others_alone(monkeypatch):
    class Point:
        name, value = "broken", "nowhere:system"

        def load(self):
            raise ImportError("no such module")

    real = list(entry_points(group=system_module.GROUP))
    monkeypatch.setattr(system_module, "entry_points", lambda group: [*real, Point()])
    system_module._found.cache_clear()
    try:
        assert set(systems()) == {point.name for point in real}
        assert "nowhere:system does not import" in broken()["broken"]
        outcome = call("vitrail", "list")
        assert outcome.status == 0 and "broken" in outcome.stderr
        assert call("vitrail", "weights", "list", "broken").status == 3
    finally:
        system_module._found.cache_clear()


def test_export_gives_the_same_numbers(system: System, tmp_path):
    outcome = call("vitrail", "export", system.name, "-o", tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert len(list(tmp_path.glob("*.onnx"))) == len(outcome.stdout.splitlines()) >= 1


@pytest.mark.parametrize("verb", ["list", "doctor", "weights list", "weights verify"])
def test_generic_verbs_speak_json_to_a_pipe(verb):
    outcome = call("vitrail", *verb.split())
    assert outcome.status == 0, outcome.stderr
    assert all(isinstance(json.loads(line), dict) for line in outcome.stdout.splitlines())


def test_doctor_names_a_torchvision_that_does_not_match(monkeypatch, tmp_path):
    broken = tmp_path / "torchvision.py"
    broken.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    details = "(f.detail for f in examine() if f.state == 'broken')"
    code = f"from vitrail.doctor import examine; print(*{details})"
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ).stdout
    assert "does not match torch" in said and "install both again" in said


def test_every_recipe_is_valid():
    from vitrail.training.recipe import load_recipe

    recipes = sorted(ROOT.glob("pipelines/*/*.yaml"))
    assert recipes
    for path in recipes:
        assert load_recipe(path).name


def test_a_recipe_with_a_typo_names_the_right_key(tmp_path):
    recipe = sorted(ROOT.glob("pipelines/*/*.yaml"))[0]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(recipe.read_text().replace("budget:", "bugdet:"))
    outcome = call("vitrail", "train", wrong)
    assert outcome.status == 2 and "bugdet" in outcome.stderr and "budget" in outcome.stderr
