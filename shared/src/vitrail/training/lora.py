"""Low-rank adapters of peft (extra ``lora``) beside a network's layers."""

from copy import deepcopy

from torch import nn


def merged(network: nn.Module) -> nn.Module:
    """A copy whose low-rank updates are added to its weights: a plain network again."""
    network = deepcopy(network)
    for name, module in list(network.named_modules()):
        if hasattr(module, "lora_A"):
            # A layer of peft, which is imported only where it is used.
            module.merge()  # pyright: ignore[reportCallIssue]
            network.set_submodule(name, module.get_base_layer())  # pyright: ignore[reportCallIssue]
    return network
