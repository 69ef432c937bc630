from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from pydantic import Field

from vitrail.errors import UsageError
from vitrail.training import recipe as recipes
from vitrail.training.recipe import load_recipe
from vitrail.training.yaml import read_yaml, write_yaml

GOOD = """\
system: toy
name: toy-small
data: {path: "${VITRAIL_DATA}/toy", sizes: [8, 16]}
optim: {lr: 1e-3, batch_size: 4, precision: 32}
budget: {epochs: 2}
monitor: {metric: val/auc, mode: max}
"""


class Data(recipes.Section):
    path: Path
    sizes: tuple[int, int] = (4, 4)
    augment: bool = False


class Model(recipes.Section):
    depth: int = 2


class Folders(recipes.Section):
    format: Literal["folders"]
    path: Path


class Table(recipes.Section):
    format: Literal["table"]
    file: Path


class Recipe(recipes.Recipe):
    data: Data
    source: Annotated[Folders | Table, Field(discriminator="format")] | None = None
    models: tuple[Model, ...] = ()
    teacher: Model | None = None


@pytest.fixture(autouse=True)
def toy_system(monkeypatch):
    system = SimpleNamespace(room=lambda name: SimpleNamespace(Recipe=Recipe))
    find = recipes.find
    monkeypatch.setattr(recipes, "find", lambda name: system if name == "toy" else find(name))
    monkeypatch.setenv("VITRAIL_DATA", "/somewhere/data")


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "r.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def fault(path, *overrides) -> str:
    with pytest.raises(UsageError) as caught:
        load_recipe(path, overrides)
    line = str(caught.value)
    assert "\n" not in line and len(line) <= 200
    return line


def test_a_recipe_becomes_the_model_of_the_system_it_names(write):
    recipe = load_recipe(write(GOOD))
    assert isinstance(recipe, Recipe)
    assert recipe.data == Data(path=Path("/somewhere/data/toy"), sizes=(8, 16))
    assert (recipe.optim.lr, recipe.optim.precision, recipe.optim.clip) == (1e-3, "32", 1.0)
    assert recipe.budget.steps is None


def test_the_resolved_recipe_reads_back_equal_wherever_the_data_lie(write, monkeypatch):
    recipe = load_recipe(write(GOOD))
    text, checksum = recipe.to_yaml(), recipe.sha256
    assert "${VITRAIL_DATA}/toy" in text and "/somewhere" not in text
    assert load_recipe(write(text)) == recipe
    monkeypatch.setenv("VITRAIL_DATA", "/elsewhere/")
    moved = load_recipe(write(GOOD))
    assert moved.data.path == Path("/elsewhere/toy")
    assert moved.sha256 == checksum


def test_the_data_folder_has_a_default(write, monkeypatch):
    monkeypatch.delenv("VITRAIL_DATA")
    assert load_recipe(write(GOOD)).data.path == Path("../shared/data/toy")


def test_the_checksum_changes_with_a_value(write):
    path = write(GOOD)
    assert load_recipe(path).sha256 != load_recipe(path, ["seed=1"]).sha256


def test_what_is_only_said_of_a_run_changes_no_checksum(write):
    path = write(GOOD)
    said = load_recipe(path, ["notes=another day", "expect={val/auc: 0.9}"])
    assert said.notes == "another day" and said.sha256 == load_recipe(path).sha256


def test_overrides_are_yaml_values(write):
    recipe = load_recipe(
        write(GOOD),
        [
            "optim.lr=2e-4",
            "data.augment=true",
            "data.sizes=[1, 2]",
            "teacher.depth=7",
            "budget={steps: 3}",
        ],
    )
    assert (recipe.optim.lr, recipe.data.augment, recipe.data.sizes) == (2e-4, True, (1, 2))
    assert recipe.teacher.depth == 7
    assert (recipe.budget.steps, recipe.budget.epochs) == (3, None)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("optim.lrr=1", "r.yaml: optim.lrr: unknown key; did you mean lr?"),
        ("teacher.dept=1", "r.yaml: teacher.dept: unknown key; did you mean depth?"),
        ("models=[{}, {depht: 1}]", "r.yaml: models.1.depht: unknown key; did you mean depth?"),
        ("sead=1", "r.yaml: sead: unknown key; did you mean seed?"),
        ("budget.zzz=1", "r.yaml: budget.zzz: unknown key; valid: epochs, steps, minutes"),
        ("source={format: table, fiel: x}", "r.yaml: source.fiel: unknown key; did you mean file?"),
        ("source={format: folders, file: x}", "r.yaml: source.file: unknown key; "),
        ("source={format: table}", "r.yaml: source.file: this key is missing"),
        ("source={format: tabel, file: x}", "r.yaml: source: "),
        ("optim.lr=fast", "r.yaml: optim.lr: must be a valid number, not 'fast'"),
        ("optim.lr='0.1'", "r.yaml: optim.lr: must be a valid number, not '0.1'"),
        ("optim.lr=true", "r.yaml: optim.lr: must be a valid number, not True"),
        ("optim.lr=1e999", "r.yaml: optim.lr: must be a finite number, not inf"),
        ("optim.lr=-1", "r.yaml: optim.lr: must be greater than 0, not -1"),
        ("optim.batch_size=1.5", "r.yaml: optim.batch_size: must be a valid integer, not 1.5"),
        (
            "optim.schedule=cosin",
            "r.yaml: optim.schedule: must be 'cosine', 'poly' or 'constant', not 'cosin'",
        ),
        ("data.augment=yes", "r.yaml: data.augment: must be a valid boolean, not 'yes'"),
        ("data=3", "r.yaml: data: must be a section of keys"),
        ("budget.steps=5", "r.yaml: budget: needs exactly one of epochs, steps, minutes"),
        ("budget={}", "r.yaml: budget: needs exactly one of epochs, steps, minutes"),
        ("monitor={mode: max}", "r.yaml: monitor.metric: this key is missing"),
        (
            "monitor.metric=test/auc",
            "r.yaml: monitor.metric: must match pattern '^val/', not 'test/auc'",
        ),
        (
            "data.path=${VITRAIL_DATA}/../x",
            "r.yaml: data.path: leads out of the data folder; leave out '..'",
        ),
        (
            "data.path=a/${HOME}",
            "r.yaml: data.path: only a leading ${VITRAIL_DATA} is expanded; not 'a/${HOME}'",
        ),
        ("system=nothing-like-it", "r.yaml: system: no system of this name is installed; "),
        ("seed", "seed: is no override; write key.path=value"),
        ("seed.x=1", "r.yaml: seed: must be a valid integer"),
        ("system.x=1", "system.x=1: system holds a value, not a section"),
        ("optim.lr=[1", "optim.lr=[1: line 1: "),
        ('name="\\ud800"', "r.yaml: Invalid JSON: "),
        ("expect=3", "r.yaml: expect: must be a section of keys"),
    ],
)
def test_a_fault_is_one_line_with_the_path_of_its_key(write, override, line):
    assert fault(write(GOOD), override).startswith(line)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "x" * 101, "a\nb"])
def test_a_name_that_could_lead_out_of_the_run_folder_is_refused(write, name):
    assert fault(write(GOOD), f"name={write_yaml(name)}").startswith(
        "r.yaml: name: must match pattern"
    )


def test_an_unknown_key_is_named_before_what_it_leaves_missing(write):
    assert (
        fault(write(GOOD.replace("lr:", "lrr:")))
        == "r.yaml: optim.lrr: unknown key; did you mean lr?"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + "seed: 1\nseed: 2\n", "r.yaml: seed: this key stands twice; see line 8"),
        (
            GOOD.replace("lr: 1e-3", "lr: 1, lr: 2"),
            "r.yaml: optim.lr: this key stands twice; see line 4",
        ),
        ("a: &a [1]\nb: *a\n", "r.yaml: line 2: aliases are not taken, write the value out"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "r.yaml: line 1: tags are not taken, leave it out",
        ),
        ("!!python/name:os.system", "r.yaml: line 1: tags are not taken, leave it out"),
        ("a: !!int 3", "r.yaml: line 1: tags are not taken, leave it out"),
        ("[" * 100_000, "r.yaml: line 1: nested deeper than 20"),
        ("- " * 50_000, "r.yaml: line 1: nested deeper than 20"),
        ("{a: " * 25_000, "r.yaml: line 1: nested deeper than 20"),
        ("a: " + "x" * 1_000_000, "r.yaml: is larger than 100 kB"),
        (b"\xff\xfe\x00", "r.yaml: is not UTF-8 text"),
        ("a: \x00", "r.yaml: holds characters that YAML does not allow"),
        ("a: 1\n---\nb: 2", "r.yaml: line 2: "),
        ("a:\n\tb: 1", "r.yaml: line 2: found character '\\t'"),
        ("? [a]\n: b", "r.yaml: line 1: a key must be a word"),
        ("", "r.yaml: a recipe is a mapping of keys to values"),
        ("- a", "r.yaml: a recipe is a mapping of keys to values"),
        ("name: x", "r.yaml: system: this key is missing"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_hostile_yaml_is_refused_in_one_line(write, text, line):
    assert fault(write(text)).startswith(line)


def test_an_alias_bomb_costs_nothing(write):
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
    )
    assert "aliases are not taken" in fault(write(bomb))


def test_a_path_that_is_no_file_is_named(tmp_path):
    assert fault(tmp_path / "no.yaml").endswith("no.yaml: there is no such recipe")
    assert fault(tmp_path).endswith(": there is no such recipe")


def test_only_yaml_1_2_words_and_numbers_are_more_than_strings():
    text = (
        b"[no, on, 2020-01-01, 010, 1_000, '1', 1e-3, .5, null, ~, true, 1:30, <<, "
        b"99999999999999999999]"
    )
    assert read_yaml(text, "x") == [
        *(
            "no",
            "on",
            "2020-01-01",
            10,
            "1_000",
            "1",
            1e-3,
            0.5,
            None,
            None,
            True,
            "1:30",
            "<<",
            1e20,
        )
    ]


def test_written_yaml_reads_back():
    content = {
        "a": [
            "no",
            "1e-3",
            "010",
            1e-5,
            None,
            True,
            "",
            "~",
            3,
            "2020-01-01",
            "é",
            "x: y",
            "null",
            "=",
        ],
        "b": {},
    }
    assert read_yaml(write_yaml(content).encode(), "x") == content
