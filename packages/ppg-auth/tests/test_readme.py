"""Every command in the package's README runs, with the bundled weights, and comes to what it
says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from vitrail.testing.commands import Outcome, call, console_lines

ROOT = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]
LINES = console_lines(PACKAGE / "README.md")
JOB = [line for line in LINES if line.startswith("ppg-auth")]
REJECTED = {"verify ann bob.csv", "identify bob.csv"}


def run(line: str) -> Outcome:
    return call("ppg_auth", *shlex.split(line, comments=True)[1:])


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of, a passphrase, and no store yet."""
    for example in (PACKAGE / "examples").glob("*.csv"):
        shutil.copy(example, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "correct horse battery staple")
    monkeypatch.setenv("PPG_AUTH_STORE", str(tmp_path / "people.db"))
    monkeypatch.delenv("PPG_AUTH_KEYS", raising=False)
    return tmp_path


def test_the_commands_of_the_job_in_their_order(workplace):
    assert len(JOB) >= 14
    for line in JOB:
        words = " ".join(shlex.split(line, comments=True)[1:])
        outcome = run(line)
        assert outcome.status == (4 if words in REJECTED else 0), (line, outcome)
        assert "unexpected" not in outcome.stderr
        if words in REJECTED:
            assert json.loads(outcome.stdout)["verdict"] == "rejected"
    assert "ACCEPTED" in (workplace / "ann.html").read_text()
    assert {path.name for path in (workplace / "results").iterdir()} == {
        "ann.csv",
        "bob.csv",
        "results.jsonl",
    }


def test_ann_is_accepted_and_bob_is_not(workplace):
    assert run("ppg-auth enroll ann ann.csv --consent").status == 0
    accepted, rejected = (
        json.loads(run(f"ppg-auth verify ann {name}.csv").stdout) for name in ("ann-later", "bob")
    )
    assert (accepted["verdict"], rejected["verdict"]) == ("accepted", "rejected")
    assert accepted["score"] > accepted["threshold"] > rejected["score"]


def test_the_other_commands_install_the_package():
    others = [line for line in LINES if not line.startswith(("ppg-auth", "vitrail"))]
    assert others == ["uv tool install ./packages/ppg-auth"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()


def test_the_page_on_threats_names_tests_that_are_there():
    page = (ROOT / "docs/ppg-auth-threats.md").read_text("utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 30
    for file, test in named:
        found = [
            path
            for path in (PACKAGE / "tests" / file, ROOT / "shared/tests" / file)
            if path.exists()
        ]
        assert f"def {test}(" in found[0].read_text("utf-8"), f"{file}::{test}"
