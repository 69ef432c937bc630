"""The laws of the house, over the tree as it is."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    [
        *ROOT.glob("shared/src/**/*.py"),
        *ROOT.glob("packages/*/src/**/*.py"),
        *ROOT.glob("benchmarks/*.py"),
    ]
)
ARCHITECTURES = [
    path for path in SOURCES if path.name == "model.py" or path.parent.name == "models"
]

WEIGHTS, YAML = "shared/src/vitrail/weights/files.py", "shared/src/vitrail/training/yaml.py"
AUDITED = {  # a dangerous name, and the one module that may use it
    "torch.load": WEIGHTS,
    "pickle": WEIGHTS,
    "joblib": None,
    "allow_pickle": None,
    "yaml.load": YAML,
    "eval": None,
    "exec": None,
    "extractall": None,
    "bare except": None,
    "network": "shared/src/vitrail/weights/catalogue.py",
}
NETWORK = {
    "socket",
    "urllib.request",
    "http.client",
    "requests",
    "httpx",
    "aiohttp",
    "huggingface_hub",
    "ftplib",
    "smtplib",
}
PURE = {
    "collections", "dataclasses", "einops", "enum", "functools", "itertools", "math",
    "monai.networks", "torch",
    "typing", "vitrail.architectures", "vitrail.backbones", "vitrail.errors",
    "vitrail.preprocess.cwt", "vitrail.preprocess.wavelets",
}  # fmt: skip


def dangers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each dangerous name that the code uses, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield "bare except", node.lineno
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            for name in ("torch.load", "yaml.load", "eval", "exec"):
                if called == name:
                    yield name, node.lineno
            if called.split(".")[-1] == "extractall":
                yield "extractall", node.lineno
            if any(
                k.arg == "allow_pickle"
                and not (isinstance(k.value, ast.Constant) and not k.value.value)
                for k in node.keywords
            ):
                yield "allow_pickle", node.lineno
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for module in imported(node):
                if module.split(".")[0] in {"pickle", "joblib", "dill", "cloudpickle"}:
                    yield "pickle" if "pickle" in module else module.split(".")[0], node.lineno
                if module in NETWORK or module.split(".")[0] in NETWORK:
                    yield "network", node.lineno


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def test_import_laws():
    """import-linter's contracts in pyproject.toml: who may know whom."""
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [linter, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_package_stands_under_the_import_laws():
    """In ``root_packages``, and beside the others in the contract that keeps them apart."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {
        path.name for path in ROOT.glob("packages/*/src/*") if (path / "__init__.py").exists()
    }
    assert packages <= set(settings["root_packages"])
    layer, _ = settings["contracts"][0]["layers"]
    assert packages == {name.strip() for name in layer.split("|")}


@pytest.mark.parametrize("path", ARCHITECTURES, ids=lambda path: str(path.relative_to(ROOT)))
def test_architectures_are_pure(path):
    """Tensors in, tensors out: no file, no path, no argument parser, no global state."""
    tree = ast.parse(path.read_text())
    neighbours = (
        f"{path.parents[1].name}.models"  # the other files of an architecture that takes several
    )
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"line {node.lineno}: global state"
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = imported(node)[0]
            assert any(
                module == pure or module.startswith(f"{pure}.") for pure in {*PURE, neighbours}
            ), f"line {node.lineno}: {module} is not among what an architecture may import (PURE)"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"open", "print", "input"}, f"line {node.lineno}"


def test_architectures_load_no_library_of_training():
    """timm and torchvision load dynamo and sympy with them: seconds, for nothing that inference
    needs."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).partition(".src.")[2]
        for path in ARCHITECTURES
    ]
    heavy = {"timm", "torchvision", "sympy", "torch._dynamo", "torch._inductor", "lightning"}
    code = (
        "import sys\n"
        + "".join(f"import {module}\n" for module in modules)
        + f"print(sorted({heavy} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dangerous_calls_stay_in_one_audited_module(path):
    here = path.relative_to(ROOT).as_posix()
    found = [
        f"{here}:{line}: {name}"
        for name, line in dangers(ast.parse(path.read_text()))
        if AUDITED[name] != here
    ]
    assert not found


@pytest.mark.parametrize(
    "code",
    ["torch.load(f)", "import pickle", "from joblib import load", "np.load(f, allow_pickle=True)",
     "yaml.load(s)", "eval(s)", "exec(s)", "z.extractall(p)", "try:\n    pass\nexcept:\n    pass",
     "import socket", "from urllib.request import urlopen"],
)  # fmt: skip
def test_the_check_itself_sees_each_danger(code):
    assert list(dangers(ast.parse(code)))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 600
