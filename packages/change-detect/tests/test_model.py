"""The network: sizes, orders of dates, what is counted."""

import pytest
import torch

from change_detect.models import build_model
from change_detect.models.config import RELEASED, SIZES
from vitrail.errors import UsageError

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "grid": [4, 4], "injector_heads": 2}
NARROW = {**SMALL, "detail_dims": [8, 16, 32]}
KINDS = {
    "narrow": NARROW,
    "released": {**NARROW, **RELEASED},
    "scaled": {**NARROW, "layer_scale": True},
    "lite": {**SMALL, "detail": "lite"},
    "map": {**SMALL, "detail": "lite", "tokens": "map"},
}


def pair(rows: int = 64, columns: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(2, 1, 3, rows, columns, generator=generator)
    return first, second


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_any_multiple_of_sixteen(kind):
    model = build_model("changevit", KINDS[kind]).eval()
    for rows, columns in ((64, 64), (32, 80)):
        logits = model(*pair(rows, columns))
        assert logits.shape == (1, 1, rows, columns) and logits.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = build_model("changevit", KINDS[kind]).train()
    model(*pair()).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_orders_of_dates():
    by_order = {}
    for order in ("later-first", "earlier-first", "both"):
        torch.manual_seed(5)
        by_order[order] = build_model("changevit", {**NARROW, "order": order}).eval()
    a, b = pair()
    later, earlier = by_order["later-first"](a, b), by_order["earlier-first"](a, b)
    assert not torch.allclose(later, earlier)
    assert torch.allclose(later, by_order["earlier-first"](b, a), atol=1e-5)
    both = by_order["both"]
    assert torch.allclose(both(a, b), (later + earlier) / 2, atol=1e-5)
    assert torch.allclose(both(a, b), both(b, a), atol=1e-5)


@torch.no_grad()
def test_an_encoded_date_serves_several_pairs():
    model = build_model("changevit", NARROW).eval()
    a, b = pair()
    assert torch.allclose(model.compare(model.encoder(a), model.encoder(b)), model(a, b), atol=1e-5)


@torch.no_grad()
def test_positions_of_the_release_are_warped_at_the_stored_size_too():
    sized = build_model("changevit", NARROW).encoder.vit
    scaled = build_model("changevit", {**NARROW, "positions": "scaled"}).encoder.vit
    scaled.pos_embed.copy_(sized.pos_embed)
    assert torch.equal(sized.position_table(4, 4), sized.pos_embed)
    assert not torch.allclose(scaled.position_table(4, 4), sized.pos_embed, atol=1e-3)
    assert scaled.position_table(6, 3).shape == (1, 18, 32)


@pytest.mark.parametrize(("name", "used"), [("tiny", 11_753_728), ("small", 32_238_880)])
def test_parameters_of_the_released_sizes(name, used):
    with torch.device("meta"):
        model = build_model("changevit", {**SIZES[name], **RELEASED})
    assert sum(one.numel() for one in model.parameters()) == used


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"num_heads": 5}, "num_heads"),
        ({"injector_heads": 7}, "injector_heads"),
        ({"order": "sideways"}, "order sideways"),
        ({"tokens": "map"}, "detail branch lite"),
        ({"width": 3}, "no option width"),
    ],
)
def test_options_that_do_not_go_together(option, word):
    with pytest.raises(UsageError, match=word):
        build_model("changevit", {**NARROW, **option})
