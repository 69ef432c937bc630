"""The mLSTM's forms against each other and against its definition, in every gate regime, with their
gradients."""

import math

import pytest
import torch

from medical_segment.models.mlstm import SHORT, chunkwise, mlstm, parallel
from medical_segment.models.vil import ViLBlock, ViLLayer

EPS = 1e-6
REGIMES = {  # what is added to the input and the forget gate
    "plain": (0.0, 0.0),
    "hot input": (12.0, 0.0),
    "cold input": (-12.0, 0.0),
    "forget all": (0.0, -20.0),
    "keep all": (0.0, 20.0),
}


def gates(tokens: int, regime: str = "plain", dim: int = 6):
    generator = torch.Generator().manual_seed(tokens)
    q, k, v = torch.randn(3, 1, 2, tokens, dim, generator=generator, dtype=torch.double)
    i, f = torch.randn(2, 1, 2, tokens, generator=generator, dtype=torch.double)
    return [
        part.requires_grad_() for part in (q, k, v, i + REGIMES[regime][0], f + REGIMES[regime][1])
    ]


def step_by_step(q, k, v, i, f):
    """The recurrence as the paper writes it, one token at a time."""
    lf = torch.nn.functional.logsigmoid(f)
    dim, out = q.shape[-1], []
    memory, total, m = (
        torch.zeros(1, 2, dim, dim),
        torch.zeros(1, 2, dim),
        torch.full((1, 2), -math.inf),
    )
    for t in range(q.shape[2]):
        new = torch.maximum(lf[..., t] + m, i[..., t])
        old_share, new_share = torch.exp(lf[..., t] + m - new), torch.exp(i[..., t] - new)
        key = k[:, :, t] / math.sqrt(dim)
        memory = (
            old_share[..., None, None] * memory
            + new_share[..., None, None] * key[..., :, None] * v[:, :, t, None]
        )
        total = old_share[..., None] * total + new_share[..., None] * key
        m, query = new, q[:, :, t]
        scale = torch.maximum((query * total).sum(-1).abs(), torch.exp(-m)) + EPS
        out.append((query[..., None, :] @ memory)[..., 0, :] / scale[..., None])
    return torch.stack(out, dim=2)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("tokens", [1, 7, 16, 50])
def test_all_forms_are_equal(tokens, regime):
    parts = gates(tokens, regime)
    whole = parallel(*parts)
    assert torch.allclose(whole, chunkwise(*parts, chunk=16), rtol=1e-9, atol=1e-9)
    # The recurrence's stabiliser is not the row's maximum: with hot gates eps then weighs
    # otherwise.
    if regime != "hot input":
        assert torch.allclose(whole, step_by_step(*parts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("regime", REGIMES)
def test_gradients_are_equal(regime):
    parts = gates(37, regime)
    grads = []
    for form in (parallel, lambda *given: chunkwise(*given, chunk=8)):
        out = form(*parts)
        grads.append(torch.autograd.grad((out * torch.cos(out.detach())).sum(), parts))
    for one, other in zip(*grads, strict=True):
        assert one.isfinite().all() and torch.allclose(
            one, other, rtol=1e-7, atol=1e-9 * (1 + one.abs().max())
        )


def test_gradient_is_that_of_finite_differences():
    parts = [part.detach().requires_grad_() for part in gates(9, dim=2)]
    assert torch.autograd.gradcheck(lambda *given: chunkwise(*given, chunk=4), parts)


def test_long_sequences_take_the_linear_form():
    parts = [part.detach().float() for part in gates(SHORT + 1)]
    assert torch.allclose(mlstm(*parts), parallel(*parts), rtol=1e-3, atol=1e-4)


def test_half_precision_is_summed_in_float32():
    parts = [part.detach().half() for part in gates(20)]
    assert parallel(*parts).dtype == chunkwise(*parts).dtype == torch.float32


def test_autocast_does_not_reach_the_block():
    torch.manual_seed(0)
    block, x = ViLBlock(8), torch.randn(1, 5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x), ViLBlock.forward(block, x)) and block(x).dtype == torch.float32


def test_reverse_reads_from_the_end():
    torch.manual_seed(0)
    forward, backward = ViLBlock(8), ViLBlock(8, reverse=True)
    backward.load_state_dict(forward.state_dict())
    x = torch.randn(2, 9, 8)
    assert torch.allclose(backward(x), forward(x.flip(1)).flip(1), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_only_a_bidirectional_layer_sees_what_comes_later(bidirectional):
    torch.manual_seed(0)
    layer, x = ViLLayer(8, bidirectional=bidirectional).eval(), torch.randn(1, 8, 4, 4)
    changed = x.clone()
    changed[:, 0, -1, -1] += 1
    assert (
        torch.allclose(layer(x)[..., 0, 0], layer(changed)[..., 0, 0], atol=1e-7) != bidirectional
    )
