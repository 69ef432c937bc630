"""The tables of the model card: closed loop on towns that training never saw, perception on frames
that the world did not make, and both offline."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from carla_drive.commands.setting import Ground, made_routes
from carla_drive.data import Frames, read_recording
from carla_drive.driving import policies
from carla_drive.driving.drive import STOPPED, drive
from carla_drive.driving.policies import Policy
from carla_drive.driving.safety import Safety
from carla_drive.networks import DrivingNetwork, load_network
from carla_drive.roads.graph import build_graph
from carla_drive.roads.making import make_town
from carla_drive.roads.reading import parse_map
from carla_drive.roads.routes import Route, plan_route
from carla_drive.roads.rules import build_rules
from carla_drive.roads.writing import write_map
from carla_drive.scoring.results import Results
from carla_drive.scoring.score import Score
from carla_drive.training.recipe import Evaluation, Recipe
from carla_drive.world import labels
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import Scenario, World
from vitrail.engine import NetworkEngine, prepare
from vitrail.report import Table

COLUMNS = (
    "policy", "driving score", "95 % over routes", "completion", "collisions / km",
    "red lights / km", "drives",
)  # fmt: skip
# What a drive's score depends on, beside its route, seed, policy and weights: a town's weather is
# that of its place among the towns
SETTLING = {"towns", "weathers", "traffic", "walkers", "every"}
SHOWN = ("road", "building", "vegetation", "vehicle", "sky")
# Labels of the SELMA frames beyond the 23 classes.
SELMA = {
    40: labels.PEDESTRIAN,
    41: labels.PEDESTRIAN,
    **dict.fromkeys(range(100, 106), labels.VEHICLE),
}


def evaluate(recipe: Recipe, weights: str | None = None) -> Sequence[Table]:
    """``weights`` is a catalogued name or a file; by default the bundled one."""
    settings, tables = recipe.evaluation, []
    looks = settings.test is not None or settings.frames is not None
    drives = any(name not in policies.SIMPLE for name in settings.policies)
    network = load_network(weights) if looks or drives else None
    if network is not None and settings.test is not None:
        tables.append(offline(network, settings.test))
    if network is not None and settings.frames is not None:
        tables.append(frames_of_carla(network, settings.frames))
    if settings.policies:
        tables.append(closed_loop(settings, network))
    return tables


def closed_loop(settings: Evaluation, network: DrivingNetwork | None) -> Table:
    """Every policy over the same towns, routes, seeds, weathers and traffic. ``model-no-safety`` is
    the network without any override, ``model-no-targets`` without target points.

    ``settings.folder`` keeps the results of each policy: what lies there is not driven again. A run
    that is cut leaves policies that drove the same routes, but for the last of them.
    """
    with TemporaryDirectory() as temporary:
        home = settings.folder or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        kept = {}
        for name in settings.policies:
            options = settings.model_dump(mode="json", include=SETTLING) | {"policy": name}
            if name not in policies.SIMPLE and network is not None:
                options["weights"] = network.sha256
            resume = settings.folder is not None
            kept[name] = Results.open(home / f"{name}.json", options, resume=resume)
        jobs = [
            Job(name, town, route, seed)
            for seed in settings.seeds
            for route in range(settings.routes)
            for town in range(len(settings.towns))
            for name, results in kept.items()
            for scene in _scenes(settings, town)[route : route + 1]
            if not results.has(f"{scene.town}/{route}", seed)
        ]
        path = str(network.weights.path) if network and network.weights else None
        for job, length, score in _driven(partial(_drive, settings, path), jobs, settings.workers):
            route = f"{_scenes(settings, job.town)[job.route].town}/{job.route}"
            kept[job.policy].add(route, job.seed, length, score, ())
            told = f"{score.driving:.1f}, {score.completion:.0f} %, {score.end}"
            print(f"{job.policy} {route} seed {job.seed}: {told}", file=sys.stderr, flush=True)
        rows = [_row(name, results.summary()) for name, results in kept.items()]
    return Table("Closed loop on towns that training never saw", COLUMNS, rows)


@dataclass(frozen=True)
class Job:
    """One drive: a policy's name, the numbers of the town and of its route, a seed."""

    policy: str
    town: int
    route: int
    seed: int


def _driven(
    drive: Callable[[Job], tuple[Job, float, Score]], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, float, Score]]:
    """As they end, in ``workers`` processes where that is more than one."""
    if workers <= 1:
        yield from map(drive, jobs)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for future in as_completed([pool.submit(drive, job) for job in jobs]):
            yield future.result()


def _drive(settings: Evaluation, weights: str | None, job: Job) -> tuple[Job, float, Score]:
    """The job, metres of its route, and the score."""
    scene = _scenes(settings, job.town)[job.route]
    maker = _maker(job.policy, settings, weights)
    with TemporaryDirectory() as folder:
        score = drive(EmbeddedWorld(), scene, maker, job.seed, Path(folder) / "trace.jsonl")
    if score.end == STOPPED:
        raise KeyboardInterrupt
    return job, scene.route.length, score


def _row(name: str, summary: dict[str, Any]) -> tuple:
    collisions = sum(
        value
        for key, value in summary.items()
        if key.startswith("collision") and key.endswith("_per_km")
    )
    return (
        name,
        round(summary["driving_score"], 1),
        f"{summary['low']:.1f} to {summary['high']:.1f}",
        round(summary["route_completion"], 1),
        round(collisions, 2),
        round(summary["red_light_per_km"], 2),
        summary["drives"],
    )


def _scenes(settings: Evaluation, town: int) -> list[Scenario]:
    """All routes of the town with this number, in its weather."""
    ground, routes = _ground(settings.towns[town], settings.routes)
    return [
        Scenario(
            ground.graph,
            ground.rules,
            route,
            settings.weathers[town % len(settings.weathers)],
            settings.traffic,
            settings.walkers,
            town=ground.town,
        )
        for route in routes
    ]


@lru_cache(maxsize=64)
def _ground(seed: int, routes: int) -> tuple[Ground, list[Route]]:
    made = make_town(seed)
    graph = build_graph(parse_map(write_map(made), made.name))
    ground = Ground(graph, build_rules(graph))
    return ground, [plan_route(graph, asked) for asked in made_routes(ground, routes, seed=seed)]


def _maker(
    name: str, settings: Evaluation, weights: str | None
) -> Callable[[World, Scenario], Policy]:
    if name in policies.SIMPLE:
        return policies.SIMPLE[name]
    network, engine = _opened(weights)
    mode = "path" if network.config.path_points else "one_of"
    options = policies.DrivingOptions(
        mode,
        settings.every,
        name != "model-no-targets",
        Safety(False, False, False, False, False) if name == "model-no-safety" else Safety(),
    )
    return lambda world, scenario: policies.ModelPolicy(engine, network.config, scenario, options)


@lru_cache(maxsize=1)
def _opened(weights: str | None) -> tuple[DrivingNetwork, NetworkEngine]:
    """Eagerly: each process would choose another backend, and a drive depends on the last digit."""
    network = load_network(weights)
    return network, prepare(network, engine="eager")


def offline(network: DrivingNetwork, folder: Path) -> Table:
    """On drives kept out: what each head is off by."""
    recording = read_recording(folder)
    frames = Frames(recording.frames, recording.depth_order)
    engine, table = (
        prepare(network, engine="eager"),
        np.zeros((labels.CLASSES, labels.CLASSES), np.int64),
    )
    off: dict[str, list[float]] = {
        name: [] for name in ("waypoints", "steer", "throttle", "brake", "red light")
    }
    for number in range(len(frames)):
        batch = {key: value.numpy()[None] for key, value in frames[number].items()}
        out = engine(
            batch["rgb"].astype(np.float32),
            batch["depth"],
            batch["target"],
            batch["velocity"],
            batch["command"],
        )
        guess = out[0][0].argmax(axis=0)
        table += confusion(batch["semantics"][0], guess)
        off["waypoints"].append(float(np.abs(out[1] - batch["waypoints"]).mean()))
        steer, throttle, brake = out[2][0, 0]
        wanted = batch["control"][0]
        off["steer"].append(abs(float(steer) - (2 * wanted[0] - 1)))
        off["throttle"].append(abs(float(throttle) - 0.75 * wanted[1]))
        off["brake"].append(abs(float(brake) - wanted[2]))
        off["red light"].append(float((out[3][0] > 0.5) == (batch["red_light"][0] > 0.5)))
    values = iou(table)
    rows = [
        (f"IoU of {labels.NAMES[i]}", round(float(values[i]), 3))
        for i in range(labels.CLASSES)
        if table[i].sum()
    ]
    rows.append(
        ("IoU, mean over classes that occur", round(float(np.nanmean(values[table.sum(1) > 0])), 3))
    )
    rows += [
        ("waypoints, mean error in m", round(float(np.mean(off["waypoints"])), 3)),
        ("steer, mean error", round(float(np.mean(off["steer"])), 3)),
        ("throttle, mean error", round(float(np.mean(off["throttle"])), 3)),
        ("brake, mean error", round(float(np.mean(off["brake"])), 3)),
        ("red light, accuracy", round(float(np.mean(off["red light"])), 3)),
    ]
    return Table(f"Offline, {len(frames)} frames of drives kept out", ("what", "value"), rows)


def frames_of_carla(network: DrivingNetwork, folder: Path) -> Table:
    """CARLA's own pictures with their labels, beside a fixed rule: sky over building over road."""
    from carla_drive.job import PerceptionJob
    from vitrail.preprocess.image import read_image

    job = PerceptionJob(network, fov=90.0, engine="eager")
    ours, rule = (np.zeros((labels.CLASSES, labels.CLASSES), np.int64) for _ in range(2))
    paths = sorted(folder.glob("CAM_*.jpg"))
    for path in paths:
        truth = selma_labels(read_image(path.with_name(f"SEG{path.stem}.png"))[..., 0])
        ours += confusion(truth, job.predict(read_image(path)).semantics)
        rule += confusion(truth, horizon_rule(truth.shape))
    rows = []
    for name, table in (("this network", ours), ("fixed horizon rule", rule)):
        values = iou(table)
        chosen = [float(values[labels.NAMES.index(one)]) for one in SHOWN]
        rows.append(
            (name, *(round(value, 3) for value in chosen), round(float(np.mean(chosen)), 3))
        )
    return Table(f"{len(paths)} labelled CARLA frames", ("IoU", *SHOWN, "mean"), rows)


def selma_labels(values: np.ndarray) -> np.ndarray:
    """SELMA's ids as ours; what neither has becomes 0."""
    table = np.zeros(256, np.uint8)
    table[: labels.CLASSES] = np.arange(labels.CLASSES)
    for theirs, ours in SELMA.items():
        table[theirs] = ours
    return table[values]


def horizon_rule(size: tuple[int, int]) -> np.ndarray:
    """Sky in the upper third, buildings to the middle, road below."""
    rows = np.full(size, labels.ROAD, np.uint8)
    rows[: size[0] // 2] = labels.BUILDING
    rows[: size[0] // 3] = labels.SKY
    return rows


def confusion(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(classes, classes) counts, truth by row."""
    flat = truth.astype(np.int64).ravel() * labels.CLASSES + guess.astype(np.int64).ravel()
    return np.bincount(flat, minlength=labels.CLASSES**2).reshape(labels.CLASSES, labels.CLASSES)


def iou(table: np.ndarray) -> np.ndarray:
    """(classes,) intersection over union; NaN for what neither has."""
    both = np.diag(table).astype(float)
    union = table.sum(axis=0) + table.sum(axis=1) - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)
