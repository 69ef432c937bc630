"""Every golden that was computed with the official release: networks, the semantic depth cloud,
controllers, preprocessing, full sizes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carla_drive.driving.control import Controller, Gains
from carla_drive.models.cloud import OfficialCloud
from carla_drive.models.dmfuser import DMFuser
from carla_drive.official import (
    DEAD,
    build,
    centre_crop,
    convert,
    one_hot_commands,
    read_config,
    read_shapes,
    to_local,
)
from carla_drive.world.depth import decode_depth
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

# A term of the distillation's training loss, whose formula no description gives: not compared.
UNKNOWN = "D_feature_loss"
CELL_BUDGET = 1e-3  # of the cloud's cells may differ where labels are nearly tied


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its description's fields tell."""
    return check_packs(folder, _check_pack)


def _check_pack(
    path: Path, spec: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterable[Comparison]:
    if "gains" in spec:
        return _check_control(spec)
    if "letfuser" in spec:
        return _check_manifest(spec)
    if "cases" in spec:
        return _check_places(spec)
    if "config" in spec:
        return _check_network(spec, tensors)
    if "allow" in spec:
        return _check_cloud(tensors)
    return _check_pictures(spec, tensors)


@torch.inference_mode()
def _check_network(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    bounds = spec["rtol"], spec["atol"]
    state = {
        k.removeprefix("weight."): v.float() if v.is_floating_point() else v
        for k, v in tensors.items()
        if k.startswith("weight.")
    }
    architecture, config = read_config(spec["config"])
    if any(key.startswith("D_") for key in state):
        _, config = architecture, type(config)(**{**config.__dict__, "single_task": True})
    model = build(architecture, config).eval()
    load_into(model, convert(state), subject="golden")
    depth = torch.from_numpy(decode_depth(tensors["input.depth_carla_rgb_u8"].numpy()))
    rgb = tensors["input.rgb_u8"].permute(0, 3, 1, 2).float()
    target, velocity = tensors["input.target_point"], tensors["input.velocity"]
    command = one_hot_commands(tensors["input.command"])
    values = _values(model, rgb, depth, target, velocity, command)
    for key, expected in tensors.items():
        kind, _, name = key.partition(".")
        if kind in ("mid", "output") and name in values:
            got = values[name]
            if name == "sdc_packbits":
                theirs = torch.from_numpy(np.unpackbits(expected.numpy(), axis=-1))
                wrong = (got != theirs).float().mean().item()
                yield Comparison(f"{name}, differing cells", wrong, CELL_BUDGET)
            elif name == "seg_argmax":
                top = values["seg"].topk(2, dim=1).values
                clear = (top[:, 0] - top[:, 1]) > 1e-3
                yield Comparison(name, (got[clear] != expected[clear]).float().sum().item(), 0)
            else:
                yield compare(name, got, expected, *bounds)
        elif kind in ("mid", "output") and name != UNKNOWN:
            yield Comparison(f"{key} has no counterpart", float("inf"), bounds[1])


def _values(model, rgb, depth, target, velocity, command) -> dict[str, Tensor]:
    """Everything that the goldens keep, by their names."""
    image = (rgb - model.mean) / model.std
    maps, token = model.encode(image)
    seen = model.see(image)
    stem = model.conv1_down(image)
    decoded: list[Tensor] = []
    hook = model.conv0_ss_f.register_forward_hook(
        lambda module, inputs, output: decoded.append(output)
    )
    logits = model.segment(image, maps)
    hook.remove()
    seg = logits.sigmoid()
    cloud = model.bird(depth, logits)
    out = model.drive(seen, cloud, target, velocity, command)
    told = model.measurements(torch.cat([target, velocity[:, None], command], dim=1))
    gate = model.tls_biasing_bypass(maps[2]).sigmoid()
    neck = model.fuse(maps[2], cloud)
    control = out.control if model.config.control_steps > 1 else out.control[:, 0]
    values = {
        "cvt_cls": token[:, None],
        "cvt_stage0_sub4": maps[0][:, :, ::4, ::4],
        "cvt_stage2": maps[2],
        "conv1_down_sub8": stem[:, :, ::8, ::8],
        "conv0_ss_f_sub8": decoded[0][:, :, ::8, ::8],
        "measurement_feature": told,
        "tls_bias": gate,
        "necks_net": neck,
        "attn_neck": neck,
        "sdc_feat5_sub2": model.SC_encoder(cloud)[:, :, ::2, ::2],
        "seg": seg,
        "seg_sub16": seg[:, :, ::16, ::16],
        "seg_argmax": seg.argmax(dim=1).to(torch.uint8),
        "sdc_packbits": cloud[:1].to(torch.uint8),
        "waypoints": out.waypoints,
        "steer": control[..., 0],
        "throttle": control[..., 1],
        "brake": control[..., 2],
        "red_light": out.red_light,
        "speed": out.speed[:, None],
    }
    if isinstance(model, DMFuser):
        fused = model.fuse_BN(torch.cat([maps[2], model.SC_encoder(cloud)], dim=1))
        tokens = model.blocks[0](fused.flatten(2).transpose(1, 2), fused.shape[-2:])
        values["fusion_block0"] = tokens[:, ::4]
        single = model.single_task(torch.cat([neck, told], dim=1), maps[2], target, out.waypoints)
        values |= {f"D_{name}": value for name, value in single._asdict().items()}
    return values


def _check_cloud(tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    cloud = OfficialCloud(23)
    for number in (0, 1):
        depth = torch.from_numpy(
            decode_depth(tensors[f"input.depth_carla_rgb_u8_{number}"].numpy())
        )
        labels = tensors[f"input.semantic_{number}"].long()
        got = cloud(depth[None], labels[None])[0]
        theirs = torch.from_numpy(np.unpackbits(tensors[f"output.sdc{number}"].numpy(), axis=-1))
        wrong = (got != theirs).float().mean().item()
        yield Comparison(f"scene {number}, differing cells", wrong, 5e-4)
        drawn = (theirs > 0).float().mean().item()
        yield Comparison(
            f"scene {number}, differing among drawn cells", wrong / max(drawn, 1e-9), 0.05
        )


def _check_control(spec: Mapping[str, Any]) -> Iterable[Comparison]:
    gains = spec["gains"]
    ours = Gains(
        tuple(gains[f"turn_K{k}"] for k in "PID"),
        tuple(gains[f"speed_K{k}"] for k in "PID"),
        gains["turn_n"],
        gains["max_throttle"],
        gains["clip_delta"],
        gains["min_act_thrt"],
        tuple(gains["cw_pid"]),
    )
    for mode, expected in spec["cases"].items():
        controller = Controller(mode, ours)
        for number, (step, wanted) in enumerate(zip(spec["steps"], expected, strict=True)):
            got = controller.step(np.array(step["waypoints"]), step["speed"], np.array(step["mlp"]))
            for name, value in wanted.items():
                error = abs(getattr(got, name) - value)
                yield Comparison(f"{mode}, step {number}, {name}", error, 1e-5)


def _check_places(spec: Mapping[str, Any]) -> Iterable[Comparison]:
    for number, case in enumerate(spec["cases"]):
        poses = np.array(case["poses_x_y_theta"])
        place, theta = poses[0, :2], poses[0, 2]
        got = np.array([to_local(pose[:2], place, theta) for pose in poses])
        error = np.abs(got - np.array(case["local_waypoints_including_current"])).max()
        yield Comparison(f"case {number}, waypoints", float(error), 1e-6)
        target = to_local(np.array(case["command_point_xy"]), place, theta)
        error = np.abs(target - np.array(case["local_target_point"])).max()
        yield Comparison(f"case {number}, target", float(error), 1e-6)


def _check_pictures(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    depth = centre_crop(decode_depth(tensors["input.depth_png_rgb"].numpy(), "swapped"))
    got = torch.from_numpy(np.ascontiguousarray(depth[None, ::8, ::8]))
    yield compare("depth", got, tensors["output.depth_sub"], spec["rtol"], spec["atol"])
    labels = centre_crop(tensors["input.semantic"].numpy())[::2, ::2]
    kept = torch.from_numpy(np.where(labels < 23, labels, 255).astype(np.uint8))
    yield same("labels", bool((kept == tensors["output.semantic_kept"]).all()), True)
    yield same("crop", tensors["output.rgb_crop_offset"].tolist(), [0, (960 - 768) // 2])


def _check_manifest(spec: Mapping[str, Any]) -> Iterable[Comparison]:
    for name, variant in spec.items():
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in variant["state_dict"].items()}
            architecture, config = read_config(variant["config"])
            config = type(config)(
                **{**config.__dict__, "single_task": any(k.startswith("D_") for k in stored)}
            )
            model = build(architecture, config)
        ours = {(key, tuple(value.shape)) for key, value in model.state_dict().items()}
        theirs = {(key, tuple(value.shape)) for key, value in convert(stored).items()}
        yield Comparison(f"{name}, keys and shapes", len(ours ^ theirs), 0)
        yield same(
            f"{name}, sizes read from the shapes", read_shapes(stored), (architecture, config)
        )
        counted = ("running_mean", "running_var", "num_batches_tracked")
        dead = sum(
            v.numel() for k, v in stored.items() if DEAD.fullmatch(k) and not k.endswith(counted)
        )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        yield same(f"{name}, parameters", parameters + dead, variant["params"])
