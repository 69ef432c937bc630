"""The checker that every system's parity rests on: it must see a difference, and must not pass on
nothing."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from vitrail.errors import InputError
from vitrail.testing.beside import PARITY, needs
from vitrail.testing.parity import Comparison, compare, formula_tensor, main, read_pack, same

# The first values of full-size tensors as the official goldens state them.
CHECK_VALUES = {
    ("fc.weight", (500, 2000)): [-0.011543208733201027, 0.01326586864888668, 0.0055266148410737514],
    ("fc.bias", (500,)): [-0.09988158196210861, -0.05488557741045952, -0.015440898947417736],
    ("backbone.stem.1.weight", (96,)): [0.816789984703064, 1.1043988466262817, 1.1977674961090088],
    ("backbone.stages.0.blocks.0.gamma", (96,)): [
        0.25651466846466064,
        0.20522388815879822,
        0.2800101935863495,
    ],
    ("encoder.features.0.weight", (16, 3, 3, 3)): [
        0.2634607255458832,
        -0.3160156309604645,
        -0.11013702303171158,
    ],
}


@pytest.mark.parametrize("key, shape", CHECK_VALUES)
def test_formula_gives_the_official_check_values(key, shape):
    tensor = formula_tensor(key, shape)
    assert tensor.shape == shape and tensor.dtype == torch.float32
    assert tensor.flatten()[:3].tolist() == CHECK_VALUES[key, shape]


def test_formula_of_batch_norm_statistics():
    assert formula_tensor("bn.num_batches_tracked", ()).item() == 0
    assert formula_tensor("bn.running_mean", (4000,)).abs().max() <= 0.1
    variance = formula_tensor("bn.running_var", (4000,))
    assert 0.5 <= variance.min() < 0.51 and 1.49 < variance.max() <= 1.5


def test_formula_does_not_depend_on_the_blocks_it_is_filled_in(monkeypatch):
    whole = formula_tensor("fc.weight", (30, 11))
    monkeypatch.setattr("vitrail.testing.parity._BLOCK", 7)
    assert torch.equal(formula_tensor("fc.weight", (30, 11)), whole)


@pytest.mark.parametrize("shift, passed", [(0.0, True), (0.9e-2, True), (1.2e-2, False)])
def test_compare_allows_atol_plus_rtol_of_each_element(shift, passed):
    expected = torch.tensor([0.0, 10.0])
    got = expected + torch.tensor([0.0, shift])
    assert compare("values", got, expected, rtol=1e-3, atol=1e-4).passed is passed


def test_compare_holds_small_elements_to_their_own_bound():
    expected = torch.tensor([0.0, 1000.0])
    got = expected + torch.tensor([0.01, 0.5])
    found = compare("values", got, expected, rtol=1e-3, atol=1e-4)
    assert (
        not found.passed
        and found.error == pytest.approx(0.01)
        and found.tolerance == pytest.approx(1e-4)
    )


@pytest.mark.parametrize(
    "got", [torch.tensor([math.nan]), torch.tensor([math.inf]), torch.zeros(1, 1), torch.zeros(0)]
)
def test_compare_fails_on_nan_infinity_and_another_shape(got):
    assert not compare("values", got, torch.zeros(1), rtol=1, atol=1).passed


def test_same():
    assert same("indices", [1, 2], [1, 2]).passed
    assert not same("indices", [1, 2], [2, 1]).passed


def test_read_pack_with_and_without_tensors(tmp_path):
    (tmp_path / "a.json").write_text('{"rtol": 1}')
    assert read_pack(tmp_path / "a.json") == ({"rtol": 1}, {})
    save_file({"input.x": torch.ones(2)}, tmp_path / "a.safetensors")
    assert read_pack(tmp_path / "a.json")[1]["input.x"].tolist() == [1, 1]


def test_read_pack_refuses_what_is_not_json(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json: is not a readable golden"):
        read_pack(tmp_path / "a.json")


@pytest.fixture
def toy(tmp_path, monkeypatch) -> str:
    """A package whose ``parity`` reads one comparison from each golden."""
    name = f"toy_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "parity.py").write_text(
        "from vitrail.testing.parity import Comparison, read_pack\n"
        "def check(folder):\n"
        "    paths = sorted(folder.glob('*.json'))\n"
        "    return [Comparison(p.stem, read_pack(p)[0]['error'], 0.1) for p in paths]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(
    "errors, last_line, status",
    [
        ([0.0, 0.1], "2 passed, 0 failed", 0),
        ([0.0, 0.2, math.nan], "1 passed, 2 failed", 1),
        ([], "0 passed, 0 failed", 1),
    ],
)
def test_main_counts_and_ends_with_the_right_status(
    toy, tmp_path, capsys, errors, last_line, status
):
    goldens = tmp_path / "goldens"
    goldens.mkdir()
    for number, error in enumerate(errors):
        (goldens / f"{number}.json").write_text(json.dumps({"error": error}))
    assert main([toy, str(goldens)]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == last_line and len(lines) == len(errors) + 1


def test_main_names_a_wrong_folder_and_a_wrong_package(toy, tmp_path, capsys):
    assert main([toy, str(tmp_path / "nowhere")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert main(["no_such_package_here", str(tmp_path)]) == 3
    assert "cannot be imported" in capsys.readouterr().err


def test_a_line_tells_name_error_and_bound():
    assert str(Comparison("logits", 0.5, 0.25)) == "FAILED  logits  error 0.5  allowed 0.25"


@needs(PARITY)
def test_formula_gives_the_check_values_of_every_pack():
    shapes = dict(CHECK_VALUES.keys())
    for name in ("full_ed", "full_vae"):
        spec, _ = read_pack(PARITY / "deepfake" / f"{name}.json")
        for key, values in spec["formula"]["check_values"].items():
            assert formula_tensor(key, shapes[key]).flatten()[: len(values)].tolist() == values
