"""The ``vitrail`` command: the generic verbs, for every installed system. Each verb imports only
what it needs."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail import command
from vitrail.errors import MissingError, UsageError
from vitrail.options import BatchSize, Debug, Device, DeviceOption, Json, Serving, bundled
from vitrail.say import say_rows, say_tables, warn
from vitrail.system import System, broken, find, systems

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Applied vision transformers, each ready to use.",
)
weights_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="The weights that each system knows."
)
app.add_typer(weights_app, name="weights")

SystemName = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="A name that 'vitrail list' shows.")
]
RecipeFile = Annotated[
    Path, typer.Argument(metavar="PIPELINE.yaml", help="A recipe, such as those under pipelines/.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe: optim.lr=3e-4."),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Other weights than the bundled ones."),
]


@app.command("list")
def list_systems(json_: Json = False, debug: Debug = False) -> None:
    """Show the installed systems."""
    facts = [
        {
            "name": s.name,
            "title": s.title,
            "summary": s.summary,
            "version": s.version,
            "command": s.command,
            "paper": s.paper,
        }
        for s in systems().values()
    ]
    say_rows(facts, ["name", "title", "summary", "version"], json=json_)
    for name, reason in broken().items():
        warn("vitrail", f"{name}: {reason}; install it again")


@app.command()
def doctor(json_: Json = False, debug: Debug = False) -> int:
    """Look over this installation: versions, device, optional parts, known trouble."""
    from vitrail.doctor import examine

    findings = examine()
    say_rows([vars(finding) for finding in findings], ["part", "state", "detail"], json=json_)
    return 3 if any(finding.state == "broken" for finding in findings) else 0


@weights_app.command("list")
def list_weights(
    system: Annotated[str | None, typer.Argument(metavar="[SYSTEM]")] = None,
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Show the weights of one system, or of all."""
    from vitrail.weights.catalogue import catalogue

    chosen = [find(system)] if system else systems().values()
    facts = [
        {"system": s.name, **entry.model_dump(mode="json")}
        for s in chosen
        for entry in catalogue(s)
    ]
    say_rows(facts, ["system", "name", "architecture", "trained_on", "licence"], json=json_)


@weights_app.command("show")
def show_weights(
    system: SystemName,
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    debug: Debug = False,
) -> None:
    """Show what is known of one weight file, as JSON."""
    from vitrail.weights.catalogue import resolve

    weights = resolve(find(system), name)
    facts = {
        "name": weights.name,
        "path": str(weights.path),
        "sha256": weights.sha256,
        "metadata": weights.metadata,
    }
    print(json.dumps(facts, indent=1))


@weights_app.command("pull")
def pull_weights(
    system: SystemName, name: Annotated[str, typer.Argument(metavar="NAME")], debug: Debug = False
) -> None:
    """Fetch weights from their hub, where there is a network."""
    from vitrail.weights.catalogue import catalogue, pull

    entries = {entry.name: entry for entry in catalogue(find(system))}
    if name not in entries:
        raise UsageError(
            name, f"{system} knows no weights of this name", f"known: {', '.join(entries)}"
        )
    print(pull(entries[name]))


@weights_app.command("verify")
def verify_weights(json_: Json = False, debug: Debug = False) -> None:
    """Compare every bundled weight file with the sha256 in its catalogue."""
    from vitrail.weights.catalogue import catalogue, resolve

    facts = [
        {
            "system": s.name,
            "name": entry.name,
            "sha256": resolve(s, entry.name).sha256,
            "state": "as catalogued",
        }
        for s in systems().values()
        for entry in catalogue(s)
        if entry.file
    ]
    say_rows(facts, ["system", "name", "sha256", "state"], json=json_)


@app.command()
def train(
    recipe: RecipeFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The run's folder (default: runs/NAME).")
    ] = None,
    overrides: Overrides = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, though the folder holds a checkpoint.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train by a recipe; an interrupted run goes on where it stopped."""
    from vitrail.training.loop import train as run_training
    from vitrail.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    print(run_training(loaded, output or Path("runs") / loaded.name, resume=not restart))


@app.command()
def evaluate(
    recipe: RecipeFile,
    weights: WeightsOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="One page (.html), or the tables' numbers (.csv).",
        ),
    ] = None,
    overrides: Overrides = None,
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Measure weights on a recipe's held-out data, beside the baselines."""
    from vitrail.report import Chart, Page
    from vitrail.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    found = find(loaded.system).room("evaluation").evaluate(loaded, weights[0] if weights else None)
    say_tables([part for part in found if not isinstance(part, Chart)], json=json_)
    if output and output.suffix == ".csv":
        from vitrail.output import atomic_file

        with atomic_file(output) as temporary:
            temporary.write_text(
                "\n".join(part.to_csv() for part in found if not isinstance(part, Chart))
            )
    elif output:
        page = Page(f"{loaded.system}: {loaded.name}")
        page.add(found)
        page.write(output)


@app.command()
def export(
    system: SystemName,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the ONNX files go.")
    ] = Path("."),
    weights: WeightsOption = None,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle", help="MONAI Bundles instead, a folder each, for systems that have them."
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Write each network of a system as ONNX, checked against PyTorch."""
    from vitrail.export import export_onnx

    if bundle:
        export_bundle = find(system).room("bundle").export_bundle
        for network in find(system).room("networks").load_networks(weights or ()):
            print(export_bundle(network, output / f"{system}-{network.name}"))
        return
    for network in find(system).room("networks").load_networks(weights or ()):
        path = output / f"{system}-{network.name}.onnx"
        error = export_onnx(network.module, network.inputs, path, measure=network.error).error
        print(f"{path}  largest difference from PyTorch {error:.1e}")


@app.command()
@bundled
def serve(
    system: SystemName,
    serving: Serving,
    weights: WeightsOption = None,
    device: DeviceOption = Device.auto,
    batch_size: BatchSize = 16,
    debug: Debug = False,
) -> None:
    """Answer over HTTP: POST a file to /predict, get its row.

    Calls of several clients share a batch. Callers must send what VITRAIL_TOKEN holds as their
    bearer token. Needs the extra serve.
    """
    from vitrail.serve import Desk, job_app
    from vitrail.serve import serve as serve_app
    from vitrail.serve.job import TOKEN_VARIABLE

    found, token = find(system), serving.token(TOKEN_VARIABLE)
    desk = Desk(_load(found, weights, device=device.value), batch_size=batch_size)
    served = job_app(found, desk, hosts=serving.hosts, token=token)
    serve_app(served, desk, host=serving.host, port=serving.port, proxies=serving.proxy or ())


@app.command()
def bench(
    system: SystemName,
    weights: WeightsOption = None,
    device: DeviceOption = Device.auto,
    batch_size: BatchSize = 8,
    json_: Json = False,
    debug: Debug = False,
) -> None:
    """Measure every engine that is installed against eager PyTorch, in one run."""
    from vitrail.bench import compare_engines

    networks = find(system).room("networks").load_networks(weights or ())
    facts = [
        row for network in networks for row in compare_engines(network, device.value, batch_size)
    ]
    say_rows(facts, ["network", "engine", "ms_per_item", "speedup", "error", "note"], json=json_)


def _load(system: System, weights: list[str] | None, **options: str) -> Any:
    """The system's job; weights are given only where the caller names some."""
    load = getattr(import_module(system.package), "load", None)
    if load is None:
        raise MissingError(system.name, "has no job of its own", "see 'vitrail list'")
    if len(weights or ()) > 1:
        raise UsageError(", ".join(weights or ()), "one weights file is enough", "name one")
    return load(weights[0] if weights else None, **options)


def main() -> None:
    command.run(app, "vitrail")


if __name__ == "__main__":
    main()
