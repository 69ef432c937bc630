"""DMFuser, the follow-up: attention over the fused map, three steps of control, and single-task
heads for distillation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from carla_drive.models.config import LeTFuserConfig
from carla_drive.models.letfuser import LeTFuser, _pooled, scaled


class ConvProjection(nn.Module):
    """A full 3x3 convolution and batch norm."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).flatten(2).transpose(1, 2)


class FusionAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.conv_proj_q = ConvProjection(width)
        self.conv_proj_k = ConvProjection(width)
        self.conv_proj_v = ConvProjection(width)
        self.proj_q, self.proj_k, self.proj_v, self.proj = (
            nn.Linear(width, width) for _ in range(4)
        )

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        image = tokens.transpose(1, 2).unflatten(2, size)
        q, k, v = (
            linear(convolve(image)).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear, convolve in (
                (self.proj_q, self.conv_proj_q),
                (self.proj_k, self.conv_proj_k),
                (self.proj_v, self.conv_proj_v),
            )
        )
        mixed = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class FusionMlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class FusionBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = FusionAttention(width, heads)
        self.norm3 = nn.LayerNorm(width)
        self.mlp = FusionMlp(width)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = x + self.attn(self.norm1(x), size)
        return x + self.mlp(self.norm3(x))


class SingleTask(NamedTuple):
    """What the distillation heads say: ``waypoints`` (B, 3, 2), ``steer`` and ``brake`` (B, 3)."""

    waypoints: Tensor
    steer: Tensor
    brake: Tensor


class DMFuser(LeTFuser):
    """``config.neck`` is the width of the attention neck's vector, to which the measurement is
    added; ``config.single_task`` builds the heads that training distils from."""

    def __init__(self, config: LeTFuserConfig):
        super().__init__(config)
        if not config.single_task:
            return
        last = self.tls_biasing_bypass[2]
        assert isinstance(last, nn.Linear)
        inside, latent, hidden = last.in_features, config.latent, config.hidden
        for suffix in ("", "2", "3"):
            self.add_module(f"D_tls_biasing_bypass{suffix}", _pooled(inside, latent))
        self.D_gru = nn.GRUCell(4, latent)
        self.D_pred_dwp = nn.Linear(2 * latent, 2)
        for suffix in ("", "3"):
            guess = nn.Sequential(nn.Linear(latent, hidden), nn.Linear(hidden, 1), nn.ReLU())
            self.add_module(f"D_controller{suffix}", guess)
            self.add_module(f"D_gru_control{suffix}", nn.GRUCell(3, latent))
            correct = nn.Sequential(nn.Linear(2 * latent, hidden), nn.ReLU(), nn.Linear(hidden, 1))
            self.add_module(f"D_pred_control{suffix}", correct)

    def _build_neck(self, fused: int) -> None:
        config = self.config
        self.blocks = nn.ModuleList([FusionBlock(fused, config.attention_heads)])
        self.attn_neck = nn.Sequential(
            nn.Conv2d(fused, config.neck_hidden, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(config.neck_hidden, config.neck),
        )

    def _build_control(self) -> None:
        latent, hidden = self.config.latent, self.config.hidden
        self.pred_control = nn.Sequential(
            nn.Linear(2 * latent, hidden), nn.ReLU(), nn.Linear(hidden, 3)
        )

    def fuse(self, image_map: Tensor, cloud: Tensor) -> Tensor:
        fused = self.fuse_BN(torch.cat([image_map, self.SC_encoder(cloud)], dim=1))
        size = fused.shape[-2:]
        tokens = fused.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, size)
        return self.attn_neck(tokens.transpose(1, 2).unflatten(2, size))

    def controls(self, latent: Tensor, hidden: Tensor, gate: Tensor, target: Tensor) -> Tensor:
        """Each step goes on from the waypoints' state, not from the latent vector."""
        guess, state, steps = self.controller(hidden + gate), hidden, []
        for _ in range(self.config.control_steps):
            state = self.gru_control(torch.cat([guess, target], dim=1), state)
            guess = guess + self.pred_control(torch.cat([state, gate], dim=1))
            steps.append(scaled(guess))
        return torch.stack(steps, dim=1)

    def single_task(
        self, latent: Tensor, image_map: Tensor, target: Tensor, waypoints: Tensor
    ) -> SingleTask:
        """The distillation heads, each with a gate of its own. That of the waypoints is told the
        places that the network's own ``waypoints`` (B, 3, 2) have reached, not its own."""
        gate = self.get_submodule("D_tls_biasing_bypass")(image_map).sigmoid()
        told, place, state, places = torch.zeros_like(target), torch.zeros_like(target), latent, []
        for step in range(self.config.waypoints):
            state = self.D_gru(torch.cat([told, target], dim=1), state)
            place = place + self.D_pred_dwp(torch.cat([state, gate], dim=1))
            told = waypoints[:, step]
            places.append(place)
        steer = self._single_control("2", "", latent, image_map, target)
        brake = self._single_control("3", "3", latent, image_map, target)
        return SingleTask(torch.stack(places, dim=1), 2 * steer - 1, brake)

    def _single_control(
        self, gates: str, heads: str, latent: Tensor, image_map: Tensor, target: Tensor
    ) -> Tensor:
        gate = self.get_submodule(f"D_tls_biasing_bypass{gates}")(image_map).sigmoid()
        cell = self.get_submodule(f"D_gru_control{heads}")
        correct = self.get_submodule(f"D_pred_control{heads}")
        guess, state = self.get_submodule(f"D_controller{heads}")(latent + gate), latent
        values = []
        for _ in range(self.config.control_steps):
            state = cell(torch.cat([guess, target], dim=1), state)
            guess = guess + correct(torch.cat([state, gate], dim=1))
            values.append(guess[:, 0])
        return torch.stack(values, dim=1)
