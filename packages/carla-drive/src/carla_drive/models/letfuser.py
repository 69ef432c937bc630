"""LeTFuser (Agand et al., 2023): RGB, depth, speed, target and command to waypoints and controls.

Modules bear the names of the release's checkpoints.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from carla_drive.models.cloud import MetricCloud, OfficialCloud
from carla_drive.models.config import LeTFuserConfig
from carla_drive.models.detail import Detail
from carla_drive.models.efficientnet import B1, SMALL, EfficientNet
from vitrail.backbones.cvt import CvT
from vitrail.backbones.lite import DIMS, LiteTrunk

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE = ((0.5,) * 3, (0.5,) * 3)  # mean and spread with which Lite0's ImageNet features were learned
# The parts whose answers to a frame a training may keep.
KEPT = (
    "cvt", "conv1_down", "conv3_ss_f", "conv2_ss_f", "conv1_ss_f", "conv0_ss_f", "final_ss_f",
    "tls_predictor", "stop_predictor",
)  # fmt: skip
COMMANDS = 6
THROTTLE = 0.75


class Outputs(NamedTuple):
    """``segmentation`` (B, classes, 160, 768) logits; ``waypoints`` (B, 3, 2) right and, negative,
    ahead in metres, half a second apart; ``control`` (B, steps, 3) steer in -1..1, throttle in
    0..0.75, brake in 0..1, none of them cut to its bounds; ``red_light`` and ``stop_sign`` (B,)
    probabilities; ``speed`` (B,) m/s as the image tells it; ``path`` (B, points, 2) as waypoints,
    ``target_speed`` (B, bins) logits; these two are empty where the network has no such head."""

    segmentation: Tensor
    waypoints: Tensor
    control: Tensor
    red_light: Tensor
    stop_sign: Tensor
    speed: Tensor
    path: Tensor
    target_speed: Tensor


class Seen(NamedTuple):
    """What the camera tells before depth, speed and target are asked: ``image_map`` the encoder's
    coarsest map, ``token`` a vector for the whole, ``segmentation`` logits at the encoder's scale,
    ``detail`` (B, config.detail), ``red_light`` and ``stop_sign`` (B,) probabilities."""

    image_map: Tensor
    token: Tensor
    segmentation: Tensor
    detail: Tensor
    red_light: Tensor
    stop_sign: Tensor


class Conv(nn.Module):
    """3x3, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, stride, 1)
        self.bn = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ConvBlock(nn.Module):
    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.conv_block0 = Conv(inside, outside)
        self.conv_block1 = Conv(outside, outside)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block1(self.conv_block0(x))


class Classify(nn.Module):
    """The decoder's end: logits per class, of which the release takes sigmoids."""

    def __init__(self, inside: int, classes: int):
        super().__init__()
        self.conv_block0 = Conv(inside, inside)
        self.conv_block1 = nn.Sequential(nn.Conv2d(inside, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block1(self.conv_block0(x))


class LeTFuser(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, config: LeTFuserConfig):
        super().__init__()
        self.config = config
        dims = tuple(config.dims)
        if config.encoder == "cvt":
            self.cvt = CvT(
                num_classes=0,
                dims=dims,
                num_heads=config.num_heads,
                depths=config.depths,
                drop_path=(0.0, 0.0, config.drop_path),
                activation="gelu",
            )
            self.cvt.drop_head()
        else:
            self.cvt = LiteTrunk(16)
            dims = tuple(DIMS[stride] for stride in self.cvt.strides)
        a, b, c, d = config.decoder
        self.conv1_down = Conv(3, config.stem, 2)
        self.conv3_ss_f = ConvBlock(dims[2], a)
        self.conv2_ss_f = ConvBlock(a + dims[1], b)
        self.conv1_ss_f = ConvBlock(b + dims[0], c)
        self.conv0_ss_f = ConvBlock(c + config.stem, d)
        self.final_ss_f = Classify(d, config.classes)
        if config.detail:
            self.detail = Detail(config.detail)
        else:
            self.tls_predictor = _pooled(dims[2], 1)
        self.tls_biasing_bypass = _pooled(dims[2], config.latent)
        self.speed_head = nn.Sequential(
            nn.Linear(dims[2], config.measurement), nn.ReLU(), nn.Linear(config.measurement, 1)
        )
        self.SC_encoder = EfficientNet(
            config.classes, B1 if config.cloud_encoder == "b1" else SMALL
        )
        self.cloud = (
            OfficialCloud(config.classes)
            if config.projection == "official"
            else MetricCloud(config.classes, config.heights, config.shrink)
        )
        fused = dims[2] + 112
        self.fuse_BN = nn.BatchNorm2d(fused)
        self._build_neck(fused)
        self.measurements = nn.Sequential(
            nn.Linear(3 + COMMANDS, 112), nn.ReLU(), nn.Linear(112, config.measurement), nn.ReLU()
        )
        latent, hidden = config.latent, config.hidden
        self.gru = nn.GRUCell(4, latent)
        self.pred_dwp = nn.Linear(2 * latent, 2)
        self.gru_control = nn.GRUCell(5, latent)
        self.controller = nn.Sequential(nn.Linear(latent, hidden), nn.Linear(hidden, 3), nn.ReLU())
        self._build_control()
        if config.stop_head and not config.detail:
            self.stop_predictor = _pooled(dims[2], 1)
        if config.path_points:
            self.path_head = _mlp(latent, hidden, 2 * config.path_points)
        if config.speed_bins:
            self.target_speed_head = _mlp(
                latent + (config.detail + 2 if config.detail else 0), hidden, len(config.speed_bins)
            )
        scale = 1.0 if config.raw_bytes else 255.0
        mean, std = (MEAN, STD) if config.encoder == "cvt" else LITE
        for name, values in (("mean", mean), ("std", std)):
            constant = torch.tensor(values, device="cpu").view(3, 1, 1) * scale
            self.register_buffer(name, constant, persistent=False)

    def _build_neck(self, fused: int) -> None:
        config, (rows, columns) = self.config, self.config.neck_grid
        self.necks_net = nn.Sequential(
            nn.Conv2d(fused, config.neck_hidden, 1),
            nn.AdaptiveAvgPool2d((rows, columns)),
            nn.Flatten(),
            nn.Linear(config.neck_hidden * rows * columns, config.neck),
        )

    def _build_control(self) -> None:
        latent, hidden = self.config.latent, self.config.hidden
        self.pred_control = nn.Sequential(
            nn.Linear(2 * latent, hidden), nn.Linear(hidden, 3), nn.Sigmoid()
        )

    def forward(
        self, rgb: Tensor, depth: Tensor, target: Tensor, velocity: Tensor, command: Tensor
    ) -> Outputs:
        """``rgb`` (B, 3, 160, 768) bytes as floats, ``depth`` (B, 160, 768) in 0..1 of 1000 m,
        ``target`` (B, 2) right and, negative, ahead in metres, ``velocity`` (B,) m/s, ``command``
        (B, 6) one-hot."""
        seen = self.see((rgb - self.mean) / self.std)
        return self.drive(seen, self.bird(depth, seen.segmentation), target, velocity, command)

    def see(self, image: Tensor) -> Seen:
        """``image`` (B, 3, 160, 768), normalised."""
        small = image if self.config.shrink == 1 else F.avg_pool2d(image, self.config.shrink)
        maps, token = self.encode(small)
        if self.config.detail:
            detail, chances = self.detail(image)
            red_light, stop_sign = chances.unbind(dim=1)
        else:
            detail, red_light = maps[2][:, :0, 0, 0], self.tls_predictor(maps[2]).sigmoid()[:, 0]
            stop_sign = (
                self.stop_predictor(maps[2]).sigmoid()[:, 0]
                if self.config.stop_head
                else red_light * 0
            )
        return Seen(maps[2], token, self.segment(small, maps), detail, red_light, stop_sign)

    def encode(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps at a quarter, an eighth, a sixteenth of the size, and a vector for the whole."""
        if isinstance(self.cvt, CvT):
            walked = list(self.cvt.walk(image))
            token = walked[-1][1]
            assert token is not None
            return [x for x, _ in walked], token[:, 0]
        maps = self.cvt(image)
        return maps, maps[-1].mean(dim=(2, 3))

    def segment(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        x = _up(self.conv3_ss_f(maps[2]))
        x = _up(self.conv2_ss_f(torch.cat([x, maps[1]], dim=1)))
        x = _up(self.conv1_ss_f(torch.cat([x, maps[0]], dim=1)))
        x = _up(self.conv0_ss_f(torch.cat([x, self.conv1_down(image)], dim=1)))
        return self.final_ss_f(x)

    def bird(self, depth: Tensor, segmentation: Tensor) -> Tensor:
        """(B, classes, rows, columns): where each class was seen from above. It has as many rows
        and columns as ``segmentation``, half as many for the small encoder."""
        step = self.config.shrink
        if self.config.use_depth:
            near = depth[:, step // 2 :: step, step // 2 :: step]
            view = self.cloud(near, segmentation.argmax(dim=1))
        else:
            view = torch.zeros_like(segmentation)
        return view if self.config.cloud_encoder == "b1" else F.max_pool2d(view, 2)

    def fuse(self, image_map: Tensor, cloud: Tensor) -> Tensor:
        """(B, neck)."""
        return self.necks_net(self.fuse_BN(torch.cat([image_map, self.SC_encoder(cloud)], dim=1)))

    def drive(self, seen: Seen, cloud, target, velocity, command) -> Outputs:
        gate = self.tls_biasing_bypass(seen.image_map).sigmoid()
        speed = self.speed_head(seen.token)[:, 0]
        told = torch.cat([target, velocity[:, None], command], dim=1)
        fused = self.fuse(seen.image_map, cloud)
        latent = torch.cat([fused, self.measurements(told)], dim=1)
        waypoints, hidden = self.waypoints(latent, gate, target)
        empty = torch.zeros_like(latent[:, :0])
        config, lights = self.config, torch.stack([seen.red_light, seen.stop_sign], dim=1)
        alert = torch.cat([latent, seen.detail, lights], dim=1) if config.detail else latent
        return Outputs(
            self.full_size(seen.segmentation),
            waypoints,
            self.controls(latent, hidden, gate, target),
            seen.red_light,
            seen.stop_sign,
            speed,
            self.path_head(latent).unflatten(1, (-1, 2)) if config.path_points else empty,
            self.target_speed_head(alert) if config.speed_bins else empty,
        )

    def full_size(self, segmentation: Tensor) -> Tensor:
        """Logits at the encoder's scale at that of the strip."""
        if self.config.shrink == 1:
            return segmentation
        size = float(self.config.shrink)
        return F.interpolate(segmentation, scale_factor=size, mode="bilinear", align_corners=False)

    def waypoints(self, latent: Tensor, gate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Three steps of a GRU that begins at the car, and its last state."""
        return unroll(self.gru, self.pred_dwp, latent, gate, target, self.config.waypoints)

    def controls(self, latent: Tensor, hidden: Tensor, gate: Tensor, target: Tensor) -> Tensor:
        """A first guess from the waypoints' state, corrected once from the latent vector."""
        guess = self.controller(hidden + gate)
        state = self.gru_control(torch.cat([guess, target], dim=1), latent)
        guess = guess + self.pred_control(torch.cat([state, gate], dim=1))
        return scaled(guess)[:, None]


def unroll(
    gru: nn.GRUCell, linear: nn.Linear, latent: Tensor, gate: Tensor, target: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    place, state, places = torch.zeros_like(target), latent, []
    for _ in range(steps):
        state = gru(torch.cat([place, target], dim=1), state)
        place = place + linear(torch.cat([state, gate], dim=1))
        places.append(place)
    return torch.stack(places, dim=1), state


def scaled(raw: Tensor) -> Tensor:
    """(…, 3) as the heads have it to steer, throttle, brake."""
    return torch.stack([2 * raw[..., 0] - 1, THROTTLE * raw[..., 1], raw[..., 2]], dim=-1)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def _pooled(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, outside))


def _mlp(inside: int, hidden: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, hidden), nn.ReLU(), nn.Linear(hidden, outside))
