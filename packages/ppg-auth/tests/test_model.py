"""The network: its shapes, each branch alone, the beat expert, and what is refused."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from ppg_auth.model import (
    EMBED_DIM,
    EXPERT_DIM,
    BeatExpert,
    ModelConfig,
    PulseNet,
    Scalogram,
    build_model,
)
from ppg_auth.networks import TOLERANCE
from ppg_auth.signal.beats import SHAPE_POINTS
from ppg_auth.signal.filters import scalogram
from vitrail.engine import Network, prepare
from vitrail.errors import UsageError

SMALL = {
    "samples": 100,
    "rate": 50.0,
    "frequencies": 16,
    "columns": 32,
    "cvt": {"dims": [8, 8, 12], "num_heads": [1, 1, 1], "depths": [1, 1, 1]},
    "convmixer": {"dim": 8, "depth": 1, "kernel_size": 3, "patch_size": 4},
    "hidden": 8,
}
BRANCHES = [
    ("cvt",),
    ("convmixer",),
    ("lstm",),
    ("cvt", "convmixer"),
    ("cvt", "convmixer", "lstm"),
    (),
]


def windows(count: int = 3, samples: int = 100) -> torch.Tensor:
    return torch.randn(count, samples + SHAPE_POINTS, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("beats", [False, True])
@pytest.mark.parametrize("branches", BRANCHES, ids="+".join)
def test_every_choice_of_branches_gives_unit_embeddings(branches, beats):
    if not branches and not beats:
        pytest.skip("a network of nothing is refused below")
    torch.manual_seed(0)
    model = build_model(SMALL | {"branches": list(branches), "beats": beats}).eval()
    if beats:
        model.expert.projection.normal_()
    embeddings = model(windows())
    assert embeddings.shape == (3, EMBED_DIM)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(model(windows(3)[:1]), embeddings[:1], atol=1e-5), (
        "a window does not depend on its batch"
    )


def test_the_papers_size():
    model = PulseNet(ModelConfig())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert 2.4e6 < count < 2.7e6
    parts = {
        name: sum(p.numel() for p in branch.parameters()) for name, branch in model.branches.items()
    }
    assert parts["cvt"] == pytest.approx(1.66e6, rel=0.03)
    assert parts["convmixer"] == pytest.approx(0.14e6, rel=0.05)
    assert parts["lstm"] == pytest.approx(0.54e6, rel=0.03)


def test_every_parameter_learns():
    model = build_model(SMALL | {"beats": True}).train()
    model(windows()).pow(3).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_share_weighs_the_cosines():
    torch.manual_seed(0)
    model = build_model(SMALL | {"beats": True}).eval()
    model.expert.projection.normal_()

    def cosine(share: float) -> float:
        model.share.fill_(share)
        first, second = model(windows(2))
        return float(first @ second)

    assert cosine(0.25) == pytest.approx(0.75 * cosine(0.0) + 0.25 * cosine(1.0), abs=1e-5)


def test_a_scalogram_shows_a_tone_and_ignores_amplitude():
    config = ModelConfig(samples=250, rate=50.0)
    tone = torch.sin(2 * np.pi * 2 * torch.arange(250) / 50)[None]
    scalogram = Scalogram(config)
    image = scalogram(tone)
    frequencies = np.geomspace(0.5, 8, 64)
    assert image.shape == (1, 1, 64, 128)
    assert frequencies[image[0, 0, :, 40:90].mean(dim=1).argmax()] == pytest.approx(2.0, rel=0.06)
    assert torch.allclose(scalogram(5 * tone), image, atol=1e-4)


def test_pages_show_the_scalogram_that_the_network_sees():
    wave = np.random.default_rng(0).normal(size=250).astype(np.float32)
    for config in (ModelConfig(samples=250, rate=50.0), ModelConfig(samples=250, columns=100)):
        seen = Scalogram(config)(torch.from_numpy(wave)[None])[0, 0].numpy()
        assert np.allclose(scalogram(wave, asdict(config)), seen, atol=1e-5)


def test_a_converted_network_gives_the_same_for_any_number_of_windows():
    torch.manual_seed(0)
    model = build_model(SMALL | {"beats": True}).eval()
    model.expert.projection.normal_()
    network = Network("small", lambda: model, windows(2).numpy(), None)
    batch = windows(19).numpy()
    found, expected = (
        prepare(network, engine=engine, device="cpu")(batch) for engine in ("openvino", "eager")
    )
    assert found.shape == (19, EMBED_DIM) and np.abs(found - expected).max() < TOLERANCE / 10


def test_the_expert_finds_what_tells_people_apart():
    generator = torch.Generator().manual_seed(0)
    people = torch.arange(12).repeat_interleave(20)
    identity, noise = (
        torch.randn(12, 3, generator=generator),
        torch.randn(240, 10, generator=generator),
    )
    beats = torch.cat([identity[people] + 0.3 * noise[:, :3], 10 * noise[:, 3:]], dim=1)
    expert = BeatExpert(10, EXPERT_DIM)
    expert.fit(beats[people < 8], people[people < 8], ridge=0.01)
    new = expert(beats[people >= 8])
    same = (new @ new.T)[people[people >= 8][:, None] == people[people >= 8]].mean()
    other = (new @ new.T)[people[people >= 8][:, None] != people[people >= 8]].mean()
    assert same > 0.65 and other < 0.3
    plain = torch.nn.functional.normalize(beats[people >= 8], dim=1)
    assert (plain @ plain.T)[people[people >= 8][:, None] == people[people >= 8]].mean() < 0.3


@pytest.mark.parametrize(
    "config, said",
    [
        ({"branches": []}, "are none"),
        ({"branches": ["cvt", "cvt"]}, "must be some of"),
        ({"branches": ["transformer"]}, "must be some of"),
        ({"widht": 3}, "unknown option"),
    ],
)
def test_what_cannot_be_built(config, said):
    with pytest.raises(UsageError, match=said):
        build_model(SMALL | config)
