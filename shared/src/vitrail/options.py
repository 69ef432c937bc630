"""The options that every command has, under the same names."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineName(StrEnum):
    auto = "auto"
    eager = "eager"
    bfloat16 = "bfloat16"
    compile = "compile"
    openvino = "openvino"
    openvino_bfloat16 = "openvino-bfloat16"
    onnx = "onnx"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE", help="Files, folders, patterns or file:// addresses.", show_default=False
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FOLDER", help="Write each result into this folder."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the networks run.")]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="How they run; auto measures and keeps the fastest that agrees."),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=4096, help="Items computed at once.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON line a source on standard output (the default in a pipe)."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Skip sources whose result is in the output folder already."),
]
