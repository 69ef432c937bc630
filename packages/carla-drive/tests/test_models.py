"""The networks: shapes, options, clouds, losses; parity where the goldens are."""

import numpy as np
import pytest
import torch

from carla_drive.models import build_model
from carla_drive.models.cloud import MetricCloud, OfficialCloud
from carla_drive.models.config import LeTFuserConfig
from carla_drive.networks import example
from carla_drive.official import one_hot_commands
from carla_drive.parity import check
from carla_drive.training.losses import Balance, losses, segmentation_loss, speed_loss
from carla_drive.world import labels
from carla_drive.world.depth import decode_depth, depth_order, encode_depth
from vitrail.errors import UsageError
from vitrail.testing.beside import PARITY, needs

SMALL = {
    "encoder": "lite0", "stem": 4, "decoder": (8, 8, 8, 4), "neck_hidden": 8, "neck": 16,
    "neck_grid": (1, 2), "measurement": 8, "hidden": 8, "projection": "metric", "raw_bytes": False,
    "path_points": 6, "speed_bins": (0.0, 3.0, 8.0), "stop_head": True,
    "shrink": 2, "cloud_encoder": "small", "detail": 8,
}  # fmt: skip
BATCH = [torch.from_numpy(part) for part in example()]


def truth() -> dict[str, torch.Tensor]:
    return {
        "semantics": torch.full((2, 160, 768), 7),
        "waypoints": torch.zeros(2, 3, 2),
        "path": torch.zeros(2, 6, 2),
        "planned": torch.tensor([1.0, 0.0]),
        "control": torch.tensor([[0.5, 0.3, 0.0], [0.5, 0.0, 1.0]]),
        "red_light": torch.tensor([0.0, 1.0]),
        "stop_sign": torch.zeros(2),
        "velocity": torch.tensor([4.0, 2.0]),
        "target_speed": torch.tensor([5.0, 0.0]),
    }


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model("letfuser", SMALL).eval()


def test_shapes(network):
    with torch.inference_mode():
        out = network(*BATCH)
    shapes = [tuple(part.shape) for part in out]
    assert shapes == [(2, 23, 160, 768), (2, 3, 2), (2, 1, 3), (2,), (2,), (2,), (2, 6, 2), (2, 3)]
    assert all(torch.isfinite(part).all() for part in out)


def test_the_release_is_told_of_lights_by_the_encoder():
    config = {**SMALL, "shrink": 1, "cloud_encoder": "b1", "detail": 0}
    with torch.inference_mode():
        out = build_model("letfuser", config).eval()(*(part[:1] for part in BATCH))
    assert out.segmentation.shape == (1, 23, 160, 768) and 0 < float(out.stop_sign) < 1


def test_lights_are_looked_for_in_the_upper_front_camera_only(network):
    image = torch.rand(1, 3, 160, 768, requires_grad=True)
    network.detail(image)[1].sum().backward()
    assert image.grad is not None
    told = image.grad[0].abs().sum(dim=0) > 0
    assert told[:112, 224:544].any() and told.sum() == told[:112, 224:544].sum()


def test_without_depth_nothing_of_it_counts():
    torch.manual_seed(0)
    network = build_model("letfuser", {**SMALL, "use_depth": False}).eval()
    with torch.inference_mode():
        rgb, depth, *rest = BATCH
        first, second = network(rgb, depth, *rest), network(rgb, depth * 0.3, *rest)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"encoder": "vgg"},
        {"projection": "flat"},
        {"decoder": (1, 2)},
        {"speed_bins": (1.0,)},
        {"cloud_encoder": "b7"},
        {"shrink": 3},
        {"shrink": 2, "projection": "official"},
        {"wide": 1},
    ],
)
def test_options_that_do_not_go_together(options):
    with pytest.raises(UsageError):
        build_model("letfuser", options)


def test_the_metric_cloud_puts_things_where_they_are():
    cloud = MetricCloud(23, (-0.5, 2.6))
    depth = torch.full((1, 160, 768), 1.0)
    depth[0, 78:90, 384] = 0.02  # 20 m ahead of the front camera, on its axis
    label = torch.full((1, 160, 768), labels.VEHICLE)
    drawn = cloud(depth, label)[0, labels.VEHICLE].nonzero()
    assert len(drawn) == 1
    row, column = drawn[0].tolist()
    assert abs((159 - row) * 0.25 - 21.3) <= 0.5 and abs(column - 384) <= 1


def test_the_official_cloud_overlays_three_views():
    depth, label = torch.full((1, 160, 768), 0.01), torch.full((1, 160, 768), labels.ROAD)
    drawn = OfficialCloud(23)(depth, label)
    assert drawn.shape == (1, 23, 160, 768)
    assert drawn[0, labels.ROAD].sum() > 100 and drawn.sum() == drawn[0, labels.ROAD].sum()


def test_losses_are_zero_where_all_is_right(network):
    batch, bins = truth(), SMALL["speed_bins"]
    with torch.inference_mode():
        found = losses(network(*BATCH), batch, "cross_entropy", bins)
    assert set(found) == {
        "segmentation", "waypoints", "steer", "throttle", "brake", "red_light", "stop_sign",
        "speed", "path", "target_speed",
    }  # fmt: skip
    sure = torch.full((2, 23, 8, 8), -30.0)
    sure[:, 7] = 30
    for kind in ("bce_dice", "cross_entropy"):
        assert segmentation_loss(sure, torch.full((2, 8, 8), 7), kind) < 1e-3
        assert segmentation_loss(sure, torch.full((2, 8, 8), 8), kind) > 1


def test_a_wanted_speed_between_two_bins_is_shared():
    logits = torch.tensor([[0.0, 20.0, 20.0]])
    assert speed_loss(logits, torch.tensor([5.5]), (0.0, 3.0, 8.0)) == pytest.approx(
        np.log(2), abs=1e-4
    )


def test_gradnorm_pulls_gradients_together():
    shared = torch.ones(3, requires_grad=True)
    balance = Balance("gradnorm", ("a", "b"), {}, alpha=0.0, lr=0.02)

    def ratio():
        return float(balance.weights[0] * 10 / balance.weights[1])

    before = ratio()
    for _ in range(20):
        balance.adapt({"a": (10 * shared).sum(), "b": shared.sum()}, shared)
    assert abs(np.log(ratio())) < abs(np.log(before)) and balance.weights.sum() == pytest.approx(2)


def test_drift_only_lowers_the_weight_of_large_losses():
    balance = Balance("drift", ("a", "b", "c"), {"c": 0.0}, alpha=1.5, lr=0.1)
    balance.drift({"a": torch.tensor(2.0), "b": torch.tensor(0.5), "c": torch.tensor(9.0)})
    assert balance.weights[0] < balance.weights[1] and balance.weights[2] == 0
    assert balance.weights.sum() == pytest.approx(2)


def test_uncertainty_learns_its_weights():
    balance = Balance("uncertainty", ("a", "b"), {}, alpha=1.5, lr=0.1)
    total = balance.total({"a": torch.tensor(4.0), "b": torch.tensor(0.1)})
    total.backward()
    assert balance.log_variance.grad is not None
    assert balance.log_variance.grad[0] < 0 < balance.log_variance.grad[1]


def test_depth_codes_and_their_order():
    metres = np.linspace(2, 400, 64 * 64).reshape(64, 64).astype(np.float32)
    for order in ("carla", "swapped"):
        code = encode_depth(metres, order)
        assert np.allclose(decode_depth(code, order) * 1000, metres, atol=1e-3)
        assert depth_order(code) == order


def test_an_unknown_command_follows_the_lane():
    assert one_hot_commands(torch.tensor([-1.0, 1.0])).argmax(1).tolist() == [3, 0]


@needs(PARITY / "driving")
def test_parity():
    failed = [str(one) for one in check(PARITY / "driving") if not one.passed]
    assert not failed


def test_defaults_are_the_release():
    assert LeTFuserConfig().latent == 232
