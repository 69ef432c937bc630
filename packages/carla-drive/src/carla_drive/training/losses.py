"""The losses of the tasks, and how they are weighed against each other."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from carla_drive.models.letfuser import THROTTLE, Outputs

SEEING = ("segmentation", "red_light", "stop_sign")
DRIVING = ("waypoints", "steer", "throttle", "brake", "speed", "path", "target_speed")
TASKS = (*SEEING, *DRIVING)
SHARED = "cvt"  # the part of the network whose gradients GradNorm balances


def losses(
    out: Outputs, batch: Mapping[str, Tensor], kind: str, bins: Sequence[float]
) -> dict[str, Tensor]:
    """One value per task that the network has a head for."""
    seen = seeing_losses(out.segmentation, out.red_light, out.stop_sign, batch, kind)
    return seen | driving_losses(out, batch, bins)


def seeing_losses(
    segmentation: Tensor,
    red_light: Tensor,
    stop_sign: Tensor,
    batch: Mapping[str, Tensor],
    kind: str,
) -> dict[str, Tensor]:
    """``segmentation`` may be smaller than the labels, of which evenly spread ones then count."""
    labels = batch["semantics"]
    step = labels.shape[-1] // segmentation.shape[-1]
    return {
        "segmentation": segmentation_loss(
            segmentation, labels[:, step // 2 :: step, step // 2 :: step], kind
        ),
        **light_losses(red_light, stop_sign, batch),
    }


def light_losses(
    red_light: Tensor, stop_sign: Tensor, batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    return {
        "red_light": _probability_loss(red_light, batch["red_light"]),
        "stop_sign": _probability_loss(stop_sign, batch["stop_sign"]),
    }


def driving_losses(
    out: Outputs, batch: Mapping[str, Tensor], bins: Sequence[float]
) -> dict[str, Tensor]:
    control = out.control[:, 0]
    steer, throttle, brake = (control[:, 0] + 1) / 2, control[:, 1] / THROTTLE, control[:, 2]
    wanted = batch["control"]
    found = {
        "waypoints": F.l1_loss(out.waypoints, batch["waypoints"]),
        "steer": F.l1_loss(steer, wanted[:, 0]),
        "throttle": F.l1_loss(throttle, wanted[:, 1]),
        "brake": F.l1_loss(brake, wanted[:, 2]),
        "speed": F.l1_loss(out.speed, batch["velocity"]),
    }
    if out.path.numel():
        known = batch["planned"]
        off = (out.path - batch["path"]).abs().mean(dim=(1, 2))
        found["path"] = (off * known).sum() / known.sum().clamp(min=1)
    if out.target_speed.numel():
        found["target_speed"] = speed_loss(out.target_speed, batch["target_speed"], bins)
    return found


def segmentation_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """``bce_dice``: each class by itself, and one Dice over the whole batch (section 5)."""
    if kind == "cross_entropy":
        return F.cross_entropy(logits.float(), labels)
    target = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    chance = logits.float().sigmoid()
    overlap = (chance * target).sum()
    dice = 1 - (2 * overlap + 1e-7) / (chance.sum() + target.sum() + 1e-7)
    return F.binary_cross_entropy_with_logits(logits.float(), target) + dice


def _probability_loss(chance: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy, the rare yes counting thrice."""
    weight = 1 + 2 * truth
    chance = chance.float().clamp(1e-5, 1 - 1e-5)
    return -(weight * (truth * chance.log() + (1 - truth) * (1 - chance).log())).mean()


def speed_loss(logits: Tensor, speed: Tensor, bins: Sequence[float]) -> Tensor:
    """Cross-entropy with the two bins around the wanted speed as a soft label."""
    edges = torch.tensor(bins, device=logits.device)
    speed = speed.clamp(float(edges[0]), float(edges[-1]))
    upper = torch.searchsorted(edges, speed, right=True).clamp(1, edges.numel() - 1)
    low, high = edges[upper - 1], edges[upper]
    share = (speed - low) / (high - low)
    target = torch.zeros_like(logits, dtype=torch.float32)
    target.scatter_(1, (upper - 1)[:, None], (1 - share)[:, None])
    target.scatter_(1, upper[:, None], share[:, None])
    return F.cross_entropy(logits.float(), target)


class Balance(nn.Module):
    """Weights of the tasks: ``fixed``, ``gradnorm``, ``uncertainty`` or ``drift``."""

    weights: Tensor
    first: Tensor

    def __init__(
        self, kind: str, tasks: Sequence[str], weights: Mapping[str, float], alpha: float, lr: float
    ):
        super().__init__()
        self.kind, self.tasks, self.alpha, self.lr = kind, tuple(tasks), alpha, lr
        start = torch.tensor([float(weights.get(task, 1.0)) for task in tasks])
        self.register_buffer("weights", start)
        self.register_buffer("first", torch.zeros(len(self.tasks)))
        if kind == "uncertainty":
            self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def total(self, found: Mapping[str, Tensor]) -> Tensor:
        values = torch.stack([found[task] for task in self.tasks])
        if self.kind == "uncertainty":
            scaled = self.weights * torch.exp(-self.log_variance) * values
            return (scaled + self.log_variance * (self.weights > 0)).sum()
        return (self.weights * values).sum()

    def adapt(self, found: Mapping[str, Tensor], shared: Tensor) -> None:
        """GradNorm (Chen et al., 2018): every task's weighted gradient at ``shared`` is brought to
        the mean norm times its relative inverse training rate to the power ``alpha``."""
        values = torch.stack([found[task].detach() for task in self.tasks])
        if not self.first.any():
            self.first.copy_(values.clamp(min=1e-6))
        norms = []
        for task in self.tasks:
            (gradient,) = torch.autograd.grad(
                found[task], shared, retain_graph=True, allow_unused=True
            )
            norms.append(shared.new_zeros(()) if gradient is None else gradient.norm())
        norm = torch.stack(norms).detach()
        norm = norm / norm.mean().clamp(min=1e-12)  # so that ``lr`` suits losses of any scale
        rate = values / self.first
        rate = rate / rate.mean()
        weighted = self.weights * norm
        aim = weighted.mean() * rate**self.alpha
        moved = self.weights - self.lr * torch.sign(weighted - aim) * norm
        self._renew(moved)

    def drift(self, found: Mapping[str, Tensor]) -> None:
        """The release's update: its GradNorm loss has no way to the weights, so that each only
        falls by the learning rate times its loss."""
        values = torch.stack([found[task].detach() for task in self.tasks])
        self._renew(self.weights - self.lr * values)

    def _renew(self, moved: Tensor) -> None:
        used = self.weights > 0
        moved = torch.where(used, moved.clamp(min=1e-3), 0.0)
        self.weights.copy_(moved * used.sum() / moved.sum().clamp(min=1e-6))
