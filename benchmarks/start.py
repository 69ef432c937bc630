"""What a short call costs: each installed command's README job beside ``import torch`` in the same
run.

    python benchmarks/start.py
    python benchmarks/start.py audio-classify --repeats 3

The job reads the example that the command's package brings, with bundled weights. A round measures
``import torch``, then per command a first call with an empty cache, a later call that finds its
networks converted, and a call with ``--engine eager``, each in a process of its own; the table
holds medians over the rounds. CPU seconds are those of all threads; memory is the process's peak.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from vitrail.system import System, systems

ROUNDS = 5
MAX_FIRST = 2.5  # times the CPU seconds of ``import torch``: the aims
MAX_LATER_SECONDS, MAX_LATER_MEGABYTES = 3.0, 500
ANSWERED = 4  # this exit status and those above are the domain's own answers
PACKAGES = Path(__file__).parents[1] / "packages"
TORCH = [sys.executable, "-c", "import torch"]


@dataclass(frozen=True)
class Cost:
    cpu: float
    wall: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="default: all installed")
    parser.add_argument("--repeats", type=int, default=ROUNDS, metavar="ROUNDS")
    given = parser.parse_args()
    chosen = [
        system
        for system in systems().values()
        if system.command and (not given.commands or system.command in given.commands)
    ]
    for system in chosen:  # warms the disk's cache, and Python's of compiled modules
        for _ in calls(system):
            pass
    rounds = [one_round(chosen) for _ in range(given.repeats)]
    print_table(chosen, {call: middle([each[call] for each in rounds]) for call in rounds[0]})


def one_round(chosen: list[System]) -> dict[tuple[str, str], Cost]:
    """What each call cost, by command and call."""
    found = {("", "import torch"): measured(TORCH, {})}
    for system in chosen:
        found |= {(system.command, call): cost for call, cost in calls(system)}
    return found


def calls(system: System):
    """Each call of a command and its cost, in an order that fills a new cache first."""
    with TemporaryDirectory() as cache:
        read = example(system)
        # Some jobs write beside what they read.
        examples = shutil.copytree(read.parent, Path(cache, "examples"))
        command = str(Path(sys.executable).with_name(system.command))
        job = [command, *system.job, str(examples / read.name)]
        variables = {"VITRAIL_CACHE": cache}
        yield "first call", measured([*job, "--json"], variables)
        yield "later call", measured([*job, "--json"], variables)
        yield "eager", measured([*job, "--json", "--engine", "eager"], variables)


def example(system: System) -> Path:
    """The input that README's job reads: the first one that the package brings."""
    folder = PACKAGES / system.command / "examples"
    other = {".py", ".txt", ".md"}
    return next(file for file in sorted(folder.iterdir()) if file.suffix not in other)


def measured(command: list[str], variables: dict[str, str]) -> Cost:
    """The cost of a process that must end well."""
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = process.stderr.read()
        _, state, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(state)
    if process.returncode and process.returncode < ANSWERED:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {said.strip()}")
    wall = time.perf_counter() - started
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def middle(costs: list[Cost]) -> Cost:
    return Cost(
        median(cost.cpu for cost in costs),
        median(cost.wall for cost in costs),
        median(cost.megabytes for cost in costs),
    )


def print_table(chosen: list[System], costs: dict[tuple[str, str], Cost]) -> None:
    torch = costs["", "import torch"]
    print("| command | call | CPU s | to import torch | wall s | peak MB | aim |")
    print("|---|---|---|---|---|---|---|")
    for (command, call), cost in costs.items():
        cells = f"{cost.cpu:.2f} | {cost.cpu / torch.cpu:.2f} | {cost.wall:.2f}"
        aim = verdict(call, cost, torch)
        print(f"| {command} | {call} | {cells} | {cost.megabytes:.0f} | {aim} |")


def verdict(call: str, cost: Cost, torch: Cost) -> str:
    if call == "first call":
        return "met" if cost.cpu <= MAX_FIRST * torch.cpu else f"missed: {MAX_FIRST} times"
    if call == "later call":
        is_met = cost.cpu <= MAX_LATER_SECONDS and cost.megabytes <= MAX_LATER_MEGABYTES
        return "met" if is_met else f"missed: {MAX_LATER_SECONDS:.0f} s, {MAX_LATER_MEGABYTES} MB"
    return ""


if __name__ == "__main__":
    main()
