"""A network ready to run, with the weights that it came from: what a system's ``networks`` room
hands out."""

from dataclasses import dataclass

from torch import Tensor, nn

from vitrail.weights.catalogue import Weights


@dataclass(frozen=True)
class Network:
    """``example`` is a batch of two valid inputs, from which engines and exports learn the
    shapes."""

    name: str
    module: nn.Module
    example: Tensor
    weights: Weights
