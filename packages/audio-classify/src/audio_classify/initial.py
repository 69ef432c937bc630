"""A trained trunk as the start of another network's, whatever the length of its inputs."""

from torch import Tensor

from audio_classify import checkpoint, system
from audio_classify.model import SSASTConfig
from audio_classify.positions import resize_positions
from vitrail.errors import InputError
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import read_state


def initial_trunk(name: str, config: SSASTConfig) -> dict[str, Tensor]:
    """The trunk's tensors of a catalogued name or a weight file (ours, SSAST's, AST's), the
    positions resized.

    The patches keep their size; only their stride may differ. Raises InputError where there is no
    such trunk.
    """
    weights = resolve(system, name)
    state, metadata = read_state(weights.path)
    if "config" in metadata:
        before = SSASTConfig(**metadata["config"])
    else:
        before = SSASTConfig(**checkpoint.read_config(state))
        state = checkpoint.convert(state)
    trunk = {
        key.removeprefix("trunk."): value.float()
        for key, value in state.items()
        if key.startswith("trunk.")
    }
    if "pos_embed" not in trunk:
        raise InputError(
            weights.path, "holds no transformer to start from", "give weights of SSAST"
        )
    grids = (one.grid(one.num_frames) for one in (before, config))
    trunk["pos_embed"] = resize_positions(trunk["pos_embed"], *grids, config.class_tokens)
    return trunk
