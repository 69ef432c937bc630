"""The networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_estimate import system
from pose_estimate.models import CONFIGS
from pose_estimate.models.config import EViTPoseConfig, UniTransPoseConfig
from pose_estimate.pose.crop import CropShape
from pose_estimate.skeleton import Skeleton, by_labels, skeleton
from vitrail.engine import Network
from vitrail.errors import InputError, UsageError
from vitrail.weights.catalogue import Weights, catalogue, resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

POSE, FINDER = "pose", "person_finder"
DETECTOR = "PointDetector"
CODE = ("pose_estimate.models",)
FINDER_CODE = ("vitrail.detection.model",)
SIDE = 320  # pixels of the finder's example; any multiple of 64 will do
VISIBLE_ABOVE = 0.4  # the score from which a joint is called visible, where a file says nothing
SELECTORS = ("attention", "joints", "skeleton")


@dataclass(frozen=True)
class Choice:
    """What a network is asked for: which head answers, what share of the patches stays, and who
    ranks them."""

    head: str | None = None
    keep: float = 1.0
    budget_gmacs: float | None = None
    select: str = "attention"


@dataclass(frozen=True)
class Calibration:
    """From what a head says of a joint to the probability that it is right (PCK of 0.1 of the box's
    longer side): ``sigmoid(slope * value + bias)``. Without a slope the value is the score."""

    slope: float | None = None
    bias: float = 0.0
    visible_above: float = VISIBLE_ABOVE

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if self.slope is None:
            return values.clip(0, 1)
        return 1 / (1 + np.exp(-(self.slope * values + self.bias).clip(-30, 30)))


@dataclass(frozen=True)
class Search:
    """How a finder looks: images are brought down to ``long_side`` pixels, and who scores less than
    ``min_score`` is left out. Both were chosen on the pictures that validated."""

    long_side: int = 640
    min_score: float = 0.3


@dataclass(frozen=True, kw_only=True)
class FinderNetwork(Network):
    search: Search


@dataclass(frozen=True, kw_only=True)
class PoseNetwork(Network):
    """``keep`` is the share of the patches that stays after each block of ``select_after``;
    ``gmacs`` what a crop costs, None where no formula tells."""

    skeleton: Skeleton
    shape: CropShape
    head: str
    keep: float
    select: str
    grid: tuple[int, int]
    gmacs: float | None
    calibration: Calibration

    @property
    def ranked_outside(self) -> bool:
        """Whether crops come with ranks of their patches."""
        return self.select != "attention" and self.keep < 1


def load_networks(weights: Sequence[str] = ()) -> list[Network]:
    """The named or given weights files, by default all bundled ones, the finder of people too."""
    names = [entry.name for entry in catalogue(system)] if not weights else list(weights)
    return [_any_network(name) for name in names]


def load_network(
    name: str,
    choice: Choice = Choice(),
    *,
    dataset: str | None = None,
    own_skeleton: Skeleton | None = None,
) -> PoseNetwork:
    """One weights file: ours, ViTPose's or ViTPose++'s own, or ViTPose as transformers stores it.

    ``dataset`` chooses an expert of ViTPose++; ``own_skeleton`` names the joints of an official
    file of other joints than the data sets'. Raises UsageError for a choice that the network cannot
    make.
    """
    weights = resolve(system, name)
    if weights.metadata.get("architecture") == DETECTOR:
        raise InputError(weights.path, "finds people and knows no joints", "give it to --detector")
    if "architecture" in weights.metadata:
        if dataset is not None:
            raise UsageError(dataset, f"{weights.name} has no experts", "leave out --dataset")
        with complete(weights.path, system.name):
            architecture = weights.metadata["architecture"]
            config = CONFIGS[architecture](**_tuples(weights.metadata["config"]))
            bones = Skeleton.of(weights.metadata["skeleton"])
            calibration = Calibration(**weights.metadata.get("calibration", {}))
    else:
        from pose_estimate.checkpoint import read_checkpoint

        found = read_checkpoint(weights.path, dataset)
        config, calibration = EViTPoseConfig(**found.config), Calibration()
        bones = own_skeleton or _official_skeleton(weights, config.num_joints)
    if own_skeleton is not None:
        bones = own_skeleton
    if len(bones) != config.num_joints:
        problem = f"gives {config.num_joints} joints, and {bones.name} has {len(bones)}"
        raise InputError(weights.path, problem, "name them in a file for --joints")
    return _network(weights, config, bones, calibration, choice, dataset)


def load_finder_network(name: str) -> FinderNetwork:
    """The finder of people in a file that ``vitrail train`` wrote, or the bundled one."""
    weights = resolve(system, name)
    if weights.metadata.get("architecture") != DETECTOR:
        problem = "holds no finder of people"
        raise InputError(weights.path, problem, "use a file that 'vitrail train' wrote")
    return _finder(weights)


def _any_network(name: str) -> Network:
    is_finder = resolve(system, name).metadata.get("architecture") == DETECTOR
    return load_finder_network(name) if is_finder else load_network(name)


def _network(
    weights: Weights,
    config: EViTPoseConfig | UniTransPoseConfig,
    bones: Skeleton,
    calibration: Calibration,
    choice: Choice,
    dataset: str | None,
) -> PoseNetwork:
    head = choice.head or config.heads[0]
    if head not in config.heads:
        problem = f"this network has no head {head}"
        raise UsageError(weights.name, problem, f"it has {', '.join(config.heads)}")
    if choice.select not in SELECTORS:
        raise UsageError(choice.select, "ranks no patches", f"use one of {', '.join(SELECTORS)}")
    keep, gmacs, grid = _cost(weights, config, choice)
    height, width = config.img_size
    crops = np.random.default_rng(0).integers(0, 256, (2, 3, height, width), np.uint8)
    example: Any = crops
    if choice.select != "attention" and keep < 1:
        example = (crops, np.linspace(0, 1, 2 * grid[0] * grid[1], dtype=np.float32).reshape(2, -1))
    return PoseNetwork(
        name=f"{weights.path.stem}-{head}-{choice.select}-{keep:.4f}",
        build=partial(_build, weights, dataset, head, _schedule(config, keep)),
        example=example,
        weights=weights,
        code=CODE,
        skeleton=bones,
        shape=CropShape((height, width)),
        head=head,
        keep=keep,
        select=choice.select,
        grid=grid,
        gmacs=gmacs,
        calibration=calibration,
    )


def _cost(
    weights: Weights, config: EViTPoseConfig | UniTransPoseConfig, choice: Choice
) -> tuple[float, float | None, tuple[int, int]]:
    """The share of the patches that stays, what a crop then costs, and the grid of patches."""
    if isinstance(config, UniTransPoseConfig):
        if choice.keep < 1 or choice.budget_gmacs is not None or choice.select != "attention":
            problem = "is UniTransPose, which drops no patches"
            raise UsageError(weights.name, problem, "use EViTPose for --keep and --budget-gmacs")
        height, width = config.img_size
        return 1.0, None, (height // 4, width // 4)
    from pose_estimate.models.cost import evitpose_gmacs, keep_for

    keep = choice.keep
    if choice.budget_gmacs is not None:
        found = keep_for(config, choice.budget_gmacs)
        if found is None:
            least = sum(evitpose_gmacs(config, 1 / config.num_patches).values())
            problem = "is less than this network costs with one patch"
            raise UsageError(
                f"--budget-gmacs {choice.budget_gmacs:g}", problem, f"give at least {least:.2g}"
            )
        keep = found
    if keep < 1 and not config.select_after:
        raise UsageError(weights.name, "drops no patches", "leave out --keep and --budget-gmacs")
    return keep, sum(evitpose_gmacs(config, keep).values()), config.grid


def _schedule(
    config: EViTPoseConfig | UniTransPoseConfig, keep: float
) -> tuple[tuple[int, float], ...]:
    if isinstance(config, UniTransPoseConfig) or keep >= 1:
        return ()
    return tuple((block, keep) for block in config.select_after)


def _official_skeleton(weights: Weights, joints: int) -> Skeleton:
    """Known by the number of joints alone: 17 are COCO's (or those of ViTPose++'s animals)."""
    names = {17: "coco", 16: "mpii", 14: "aic"}
    if joints not in names:
        return by_labels([f"joint_{number}" for number in range(joints)])
    return skeleton(names[joints])


def _build(
    weights: Weights, dataset: str | None, head: str, schedule: Sequence[tuple[int, float]]
) -> "nn.Module":
    from pose_estimate.checkpoint import read_checkpoint
    from pose_estimate.models.ready import Ready

    return Ready(read_checkpoint(weights.path, dataset).build(), head, schedule)


def _finder(weights: Weights) -> FinderNetwork:
    with complete(weights.path, system.name):
        search = Search(**weights.metadata.get("search", {}))
    return FinderNetwork(
        name=FINDER,
        build=partial(_build_finder, weights),
        example=np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE), np.uint8),
        weights=weights,
        code=FINDER_CODE,
        search=search,
    )


def _build_finder(weights: Weights) -> "nn.Module":
    from vitrail.detection.model import Config, PointDetector, fold_norms
    from vitrail.weights.files import load_into, read_state
    from vitrail.weights.header import as_dataclass

    state, metadata = read_state(weights.path)
    with complete(weights.path, system.name):
        model = PointDetector(as_dataclass(Config, metadata["config"]))
    load_into(model, state, subject=weights.path)
    return fold_norms(model.eval())


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that a config has."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
