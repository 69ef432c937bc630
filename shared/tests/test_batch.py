"""A command's job around a toy pipeline: rows, files, resuming, failures."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from vitrail.answers import Batch
from vitrail.errors import InputError, UsageError
from vitrail.pipeline import Pipeline


@dataclass(frozen=True)
class Sum:
    """The sum of the numbers in a file."""

    value: float

    def to_dict(self) -> dict:
        return {"sum": self.value}

    def cells(self) -> dict[str, str]:
        return {"sum": f"{self.value:g}"}

    def write(self, folder: Path) -> None:
        (folder / "sum.txt").write_text(str(self.value))


class Summing(Pipeline[list, Sum]):
    def __init__(self, version: int = 1):
        self.version = version

    def read(self, source: Path) -> list:
        try:
            return [float(word) for word in source.read_text().split()]
        except (OSError, ValueError) as error:
            raise InputError(source, "holds no numbers", "give a file of numbers") from error

    def items(self, sample: list):
        return (torch.tensor([number]) for number in sample)

    def infer(self, batch):
        return batch

    def collect(self, sample: list, outputs) -> Sum:
        return Sum(float(outputs.sum()))

    def settings(self) -> dict:
        return {"version": self.version}

    def runtime(self) -> dict:
        return {"device": "cpu", "engine": "eager"}


@pytest.fixture
def sources(tmp_path) -> list[Path]:
    for name, text in (("a.txt", "1 2 3"), ("bad.txt", "one"), ("b.txt", "4 5")):
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in ("a.txt", "bad.txt", "b.txt")]


def rows(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_for_each_source_and_one_line_for_the_bad_one(sources, capsys):
    assert Batch("toy", Summing(), batch_size=2).run(sources) == 1
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row.get("sum") for row in found] == [6.0, None, 9.0]
    assert found[1]["reason"] == "holds no numbers; give a file of numbers"
    assert (
        len(printed.err.splitlines()) == 1
        and printed.err.startswith("toy: ")
        and "bad.txt" in printed.err
    )


def test_a_single_failure_leaves_standard_output_empty(sources, capsys):
    assert Batch("toy", Summing(), batch_size=2).run(sources[1:2]) == 1
    assert capsys.readouterr().out == ""


def test_files_and_rows_agree(sources, tmp_path, capsys):
    output = tmp_path / "out"
    Batch("toy", Summing(), batch_size=2, output=output).run(sources)
    assert [
        json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()
    ] == rows(capsys)
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()) == [
        "a.txt/result.json", "a.txt/sum.txt", "b.txt/result.json", "b.txt/sum.txt", "results.jsonl",
    ]  # fmt: skip


def test_resume_skips_only_what_is_the_same(sources, tmp_path, capsys):
    def run(version: int = 1) -> list[str]:
        Batch("toy", Summing(version), batch_size=2, output=tmp_path / "out", resume=True).run(
            sources
        )
        return [Path(row["source"]).name for row in rows(capsys)]

    assert run() == ["a.txt", "bad.txt", "b.txt"]
    assert run() == ["bad.txt"]
    sources[0].write_text("7")
    assert run() == ["a.txt", "bad.txt"]
    assert run(version=2) == ["a.txt", "bad.txt", "b.txt"]
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["done", "failed", "done"]


@pytest.mark.parametrize("damage", ["", "{", "[" * 100_000, "null", '{"settings": 3}'])
def test_a_damaged_earlier_result_is_made_again(sources, tmp_path, capsys, damage):
    output = tmp_path / "out"
    Batch("toy", Summing(), batch_size=2, output=output).run(sources[:1])
    (output / "a.txt" / "result.json").write_text(damage)
    capsys.readouterr()
    Batch("toy", Summing(), batch_size=2, output=output, resume=True).run(sources[:1])
    assert len(rows(capsys)) == 1
    assert json.loads((output / "a.txt" / "result.json").read_text())["sum"] == 6.0


def test_results_of_the_same_name_do_not_meet(tmp_path, capsys):
    places = [tmp_path / folder / "x.txt" for folder in ("one", "two")]
    for number, path in enumerate(places):
        path.parent.mkdir()
        path.write_text(str(number))
    Batch("toy", Summing(), batch_size=2, output=tmp_path / "out").run(places)
    results = sorted((tmp_path / "out").rglob("sum.txt"))
    assert [path.read_text() for path in results] == ["0.0", "1.0"]


def test_a_folder_is_never_replaced_by_its_own_result(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "a.txt").write_text("1")
    with pytest.raises(UsageError, match="replaced by its own result"):
        Batch("sum", Summing(), 2, output=tmp_path).run([tmp_path / "case"])
    assert (tmp_path / "case" / "a.txt").read_text() == "1"


def test_a_pipeline_may_have_its_own_fingerprint(sources, tmp_path):
    class Counting(Summing):
        def fingerprint(self, source: Path) -> str:
            return str(len(source.read_bytes()))

    first = Batch("sum", Counting(), 2, output=tmp_path / "out", resume=True, quiet=True)
    assert first.run([sources[0]]) == 0
    row = json.loads((tmp_path / "out" / "a.txt" / "result.json").read_text())
    assert row["sha256"] == str(len(sources[0].read_bytes()))
