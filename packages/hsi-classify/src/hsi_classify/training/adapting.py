"""Adapters in training: which there are, what learns beside them, and how their scale swings."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from hsi_classify.models.specvit import set_adapter_scale
from vitrail.training.recipe import Section

LAYERS = r"levels\..*\.(linear|w[123])"  # that low-rank adapters of peft stand beside


class Adapters(Section):
    """``gated`` are the release's, in the network itself; their gate forbids to merge them.
    ``lora`` are plain low-rank ones by peft, added to the weights when these are kept. ``alpha``
    over ``rank`` is their strength.

    ``frozen``: ``base`` lets only the adapters learn, and the head; with gated ones that is the
    release's way. ``levels`` freezes the levels of attention alone, and lets learn what sees the
    components, which mean something else in each scene. ``cycle`` are the steps in which the
    paper's s(t) swings from 1 to ``lowest`` and back, in y = linear(x) + s(t) * adapter(x); None
    leaves it at 1, as inference does. ``apart`` keeps only what has learned, in a small file that
    goes on the recipe's ``start``, beside which it must lie.
    """

    kind: Literal["gated", "lora"] = "gated"
    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    frozen: Literal["nothing", "levels", "base"] = "nothing"
    cycle: PositiveInt | None = None
    lowest: Annotated[float, Field(ge=0, le=1)] = 0.1
    apart: bool = False

    @model_validator(mode="after")
    def _has_something_to_go_on(self) -> Self:
        if self.apart and self.frozen == "nothing":
            raise ValueError("apart needs a part that is frozen")
        return self

    def scale(self, step: int) -> float:
        """s(t) of a training step."""
        if self.cycle is None:
            return 1.0
        swing = (1 + math.cos(2 * math.pi * step / self.cycle)) / 2
        return self.lowest + (1 - self.lowest) * swing


def adapt(network: nn.Module, how: Adapters) -> None:
    """Puts adapters beside a network's layers, unless it has them, and freezes what shall not
    learn; in place."""
    if how.kind == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(r=how.rank, lora_alpha=how.alpha, target_modules=LAYERS)
        inject_adapter_in_model(config, network)
    frozen = {"nothing": (), "levels": ("levels.",), "base": ("",)}[how.frozen]
    for name, parameter in network.named_parameters():
        learns = "lora_" in name or name.startswith("head.") or not name.startswith(frozen)
        parameter.requires_grad_(learns)


def swing(network: nn.Module, how: Adapters, scale: float) -> None:
    """Sets s(t) in every adapter."""
    if how.kind == "gated":
        set_adapter_scale(network, scale)
        return
    for module in network.modules():
        if hasattr(module, "lora_A"):
            module.scaling["default"] = scale * how.alpha / how.rank  # pyright: ignore
