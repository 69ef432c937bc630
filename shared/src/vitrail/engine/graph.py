"""A module's graph for batches of any length. Importing this module imports torch."""

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.engine.output import Arrays, quiet


def two_rows(sample: Arrays) -> tuple[Tensor, ...]:
    """A new batch of two equal rows: exporters take a batch of one for a constant, and leave marks
    on the tensors they are given."""
    return tuple(torch.from_numpy(np.concatenate([part[:1], part[:1]])) for part in sample)


def export_program(module: nn.Module, sample: Arrays) -> torch.export.ExportedProgram:
    """For batches of any length; where the network computes with that length, for batches of
    two."""
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in sample)
    with quiet():
        for strict in (False, True):
            try:
                batch = two_rows(sample)
                return torch.export.export(module, batch, dynamic_shapes=shapes, strict=strict)
            except Exception:  # each of the two ways knows networks that the other does not
                continue
        return torch.export.export(module, two_rows(sample))


def fixed_rows(program: torch.export.ExportedProgram) -> int | None:
    """The length of a batch that the graph was fixed to; None where it takes any."""
    source = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
    rows = source.meta["val"].shape[0]
    return rows if isinstance(rows, int) else None
