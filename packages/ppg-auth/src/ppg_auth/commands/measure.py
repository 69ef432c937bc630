"""The verbs that measure: evaluate, pad-eval."""

from pathlib import Path
from typing import Annotated

import typer

from ppg_auth.commands.answers import say_tables
from ppg_auth.commands.bundles import ModelOptions, bundled
from vitrine.options import Debug, Json


@bundled
def pad_eval(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Recordings of live fingers in FOLDER/live, of each attack in FOLDER/<attack>."
        ),
    ],
    model: ModelOptions,
    make: Annotated[
        bool, typer.Option("--make", help="Make attacks from the live ones: static, synthetic, reversed, replayed …")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How many attacks get through?

    APCER for each kind of attack and BPCER of live fingers (ISO/IEC 30107-3).
    """
    from ppg_auth.pad_evaluation import evaluate_folder

    say_tables([evaluate_folder(folder, model.load(), make=make)], json=json)


def evaluate(
    recipe: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="A recipe under pipelines/ppg-auth/.")],
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Other weights than the bundled ones.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How often is it wrong?

    On people whom the network never saw, with confidence intervals (ISO/IEC 19795-1).
    """
    from ppg_auth.evaluation import evaluate as measure
    from vitrine.recipes import load_recipe
    from vitrine.report import Table

    parts = measure(load_recipe(recipe), weights)
    say_tables([part for part in parts if isinstance(part, Table)], json=json)
