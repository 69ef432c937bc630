"""CARLA behind the ``World`` interface: synchronous, with a watchdog, and always cleaned up."""

import math
import queue
import signal
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from carla_drive.world import labels
from carla_drive.world.camera import Camera, Picture
from carla_drive.world.depth import decode_depth
from carla_drive.world.interface import (
    STEP,
    Actor,
    Control,
    LightAhead,
    Observation,
    Scenario,
    WorldLostError,
)
from carla_drive.world.progress import Progress
from carla_drive.world.weather import weather
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.say import warn

LOAD_TIME, CALL_TIME, CLEAN_TIME = 20.0, 8.0, 2.0  # s
FRAME_TIME = 4.0  # s that a camera may be late
TRIES, PAUSE = 3, 0.5  # connections, and s before the second, doubled each time
LIFT, SETTLE = 0.5, 4  # m above the road at the start; ticks before sensors are read
TRAFFIC_PORT = 8000
SEEN = 50.0  # m
KINDS = {
    "rgb": "sensor.camera.rgb",
    "depth": "sensor.camera.depth",
    "semantics": "sensor.camera.semantic_segmentation",
}
TOWN_OF_FILE = "/Game/Carla/Maps/"


class CarlaWorld:
    """One ego car on a server. ``carla`` is the client's module; every failure of the server in the
    middle of a route raises WorldLostError, after which ``reset`` connects anew."""

    def __init__(self, host: str, port: int, carla: ModuleType | Any = None):
        self.host, self.port = host, port
        self._carla = carla if carla is not None else _client_library()
        self._client: Any = None
        self._world: Any = None
        self._settings: Any = None
        self._traffic: Any = None
        self._sensors: list[Any] = []
        self._vehicles: list[Any] = []
        self._walkers: list[Any] = []
        self._controllers: list[Any] = []
        self._ego: Any = None
        self._queues: dict[tuple[str, str], queue.Queue] = {}
        self._terminate: Any = None
        self._began: float | None = None
        self.late = 0

    @classmethod
    def maker(cls, address: str) -> Callable[[], "CarlaWorld"]:
        """From ``carla://HOST:PORT``; UsageError for another form."""
        host, _, port = address.removeprefix("carla://").rstrip("/").rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(
                f"--world {address}", "is not carla://HOST:PORT", "as carla://127.0.0.1:2000"
            )
        return lambda: cls(host, int(port))

    def reset(self, scenario: Scenario, seed: int) -> Observation:
        """Raises MissingError where no simulator answers, InputError where it has another town."""
        self.close()
        self._connect()
        self.scenario, self.progress, self._began = scenario, Progress(scenario.route), None
        self._terminate = _raise_on_terminate()
        try:
            self._open(scenario, seed)
            frame = self._tick()
            for _ in range(SETTLE):
                frame = self._tick()
            seen = self._observe(frame)
            self.late = 0  # what came while the world settled was not waited for
            return seen
        except BaseException:
            self.close()
            raise

    def step(self, control: Control, *, draw: bool = True) -> Observation:
        """Sensors deliver every frame, so that ``draw`` only says whether they are read."""
        control = control.safe()
        with self._watch():
            self._ego.apply_control(
                self._carla.VehicleControl(control.throttle, control.steer, control.brake)
            )
        return self._observe(self._tick(), draw)

    def close(self) -> None:
        """Sensors, walkers' controllers, walkers, cars, in this order, only what this client
        spawned; then the server's own settings. A dead server cannot hold this up for long."""
        if self._client is None:
            return
        client, self._client = self._client, None
        self._quietly(lambda: client.set_timeout(CLEAN_TIME))
        alive = True
        for sensor in self._sensors:
            alive = alive and self._quietly(sensor.stop)
        for controller in self._controllers:
            alive = alive and self._quietly(controller.stop)
        for group in (self._sensors, self._controllers, self._walkers, self._vehicles):
            if group and alive:
                batch = [self._carla.command.DestroyActor(actor) for actor in group]
                alive = self._quietly(lambda batch=batch: client.apply_batch_sync(batch, False))
            group.clear()
        if self._traffic is not None and alive:
            alive = self._quietly(lambda: self._traffic.set_synchronous_mode(False))
        if self._world is not None and self._settings is not None and alive:
            self._quietly(lambda: self._world.apply_settings(self._settings))
        self._world = self._settings = self._traffic = self._ego = None
        self._queues.clear()
        if self._terminate is not None:
            signal.signal(signal.SIGTERM, self._terminate)
            self._terminate = None

    def _connect(self) -> None:
        where = f"carla://{self.host}:{self.port}"
        last: Exception | None = None
        for number in range(TRIES):
            try:
                client = self._carla.Client(self.host, self.port)
                client.set_timeout(LOAD_TIME if number else CALL_TIME)
                theirs, ours = client.get_server_version(), client.get_client_version()
                if theirs != ours:
                    warn(
                        "carla-drive",
                        f"the server is {theirs}, this client {ours}; results may differ",
                    )
                self._client, self.version = client, theirs
                return
            except RuntimeError as error:
                if "Host not found" in str(error):
                    raise MissingError(where, "this host is not known", "check its name") from error
                last = error
                time.sleep(PAUSE * 2**number if number < TRIES - 1 else 0)
        raise MissingError(
            where, "no simulator answers", "start one: ./CarlaUE4.sh -RenderOffScreen"
        ) from last

    def _open(self, scenario: Scenario, seed: int) -> None:
        client, carla = self._client, self._carla
        with self._watch():
            client.set_timeout(LOAD_TIME)
            world = client.get_world()
            town = world.get_map().name.removeprefix(TOWN_OF_FILE).rpartition("/")[2]
            if scenario.town and not town.startswith(scenario.town):
                known = [name.rpartition("/")[2] for name in client.get_available_maps()]
                if scenario.town not in known:
                    problem = f"the server has no town {scenario.town}"
                    raise InputError(
                        scenario.town, problem, f"it has {', '.join(sorted(known)[:6])}"
                    )
                world = client.load_world(scenario.town)
            client.set_timeout(CALL_TIME)
            self._world, self._settings = world, world.get_settings()
            settings = world.get_settings()
            settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP
            world.apply_settings(settings)
            self._traffic = client.get_trafficmanager(TRAFFIC_PORT)
            self._traffic.set_synchronous_mode(True)
            self._traffic.set_random_device_seed(seed)
            world.set_pedestrians_seed(seed)
            world.set_weather(_weather(carla, scenario.weather))
            self._spawn_ego(world, scenario)
            self._spawn_cameras(world, scenario)
            self._spawn_others(world, scenario, np.random.default_rng(seed))

    def _spawn_ego(self, world: Any, scenario: Scenario) -> None:
        carla, route = self._carla, scenario.route
        x, y, z = (float(value) for value in route.xyz[0])
        place = carla.Transform(
            carla.Location(x, y, z + LIFT), carla.Rotation(yaw=math.degrees(float(route.yaw[0])))
        )
        blueprint = world.get_blueprint_library().filter("vehicle.lincoln.mkz*")[0]
        blueprint.set_attribute("role_name", "hero")
        self._ego = world.try_spawn_actor(blueprint, place)
        if self._ego is None:
            raise InputError(f"route {route.id}", "starts where something stands", "free its start")
        self._vehicles.append(self._ego)

    def _spawn_cameras(self, world: Any, scenario: Scenario) -> None:
        carla, library = self._carla, world.get_blueprint_library()
        for camera in scenario.cameras:
            place = carla.Transform(
                carla.Location(camera.x, camera.y, camera.z),
                carla.Rotation(yaw=camera.yaw, pitch=camera.pitch),
            )
            for kind, name in KINDS.items():
                blueprint = library.find(name)
                for key, value in (
                    ("image_size_x", camera.width),
                    ("image_size_y", camera.height),
                    ("fov", camera.fov),
                    ("sensor_tick", 0),
                ):
                    blueprint.set_attribute(key, str(value))
                sensor = world.spawn_actor(blueprint, place, attach_to=self._ego)
                self._sensors.append(sensor)
                waiting: queue.Queue = queue.Queue()
                self._queues[camera.name, kind] = waiting
                sensor.listen(
                    lambda data, waiting=waiting: waiting.put((data.frame, bytes(data.raw_data)))
                )

    def _spawn_others(self, world: Any, scenario: Scenario, rng: np.random.Generator) -> None:
        """Background cars where there is room; places that are blocked are left out."""
        library = world.get_blueprint_library()
        cars = list(library.filter("vehicle.*"))
        points = list(world.get_map().get_spawn_points())
        for number in rng.permutation(len(points))[: scenario.vehicles].tolist():
            blueprint = cars[int(rng.integers(len(cars)))]
            actor = world.try_spawn_actor(blueprint, points[number])
            if actor is not None:
                self._vehicles.append(actor)
                actor.set_autopilot(True, TRAFFIC_PORT)
        people = list(library.filter("walker.pedestrian.*"))
        for _ in range(scenario.walkers):
            place = world.get_random_location_from_navigation()
            if place is None:
                continue
            blueprint = people[int(rng.integers(len(people)))]
            actor = world.try_spawn_actor(blueprint, self._carla.Transform(place))
            if actor is None:
                continue
            self._walkers.append(actor)
            controller = world.spawn_actor(
                library.find("controller.ai.walker"), self._carla.Transform(), attach_to=actor
            )
            self._controllers.append(controller)
            controller.start()
            goal = world.get_random_location_from_navigation()
            if goal is not None:
                controller.go_to_location(goal)

    def _tick(self) -> int:
        with self._watch():
            return int(self._world.tick(CALL_TIME))

    def _observe(self, frame: int, draw: bool = True) -> Observation:
        pictures = {}
        for camera in self.scenario.cameras:
            raw = {kind: self._take(camera.name, kind, frame) for kind in KINDS}
            if draw:
                pictures[camera.name] = self._picture(camera, raw)
        with self._watch():
            place, velocity = self._ego.get_transform(), self._ego.get_velocity()
            moment = self._world.get_snapshot().timestamp.elapsed_seconds
            actors = self._actors(place.location)
            x, y = float(place.location.x), float(place.location.y)
            self.progress.update(x, y)
            light = self._light()
        pose = (x, y, float(place.location.z), math.radians(place.rotation.yaw))
        speed = math.hypot(velocity.x, velocity.y)
        if self._began is None:
            self._began = moment
        return Observation(frame, moment - self._began, pose, speed, pictures, actors, light)

    def _take(self, camera: str, kind: str, frame: int) -> bytes:
        """The data of this very frame; what is older was late and is dropped."""
        waiting, until = self._queues[camera, kind], time.monotonic() + FRAME_TIME
        while True:
            try:
                number, data = waiting.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise WorldLostError(f"camera {camera} gave no {kind} for frame {frame}") from None
            if number == frame:
                return data
            self.late += 1
            if number > frame:
                raise WorldLostError(f"camera {camera} lost frame {frame} of {kind}")

    def _picture(self, camera: Camera, raw: dict[str, bytes]) -> Picture:
        size = (camera.height, camera.width, 4)
        images = {}
        for kind, data in raw.items():
            if len(data) != math.prod(size):
                raise UsageError(
                    f"camera {camera.name}",
                    f"gave {len(data)} bytes of {kind}",
                    "restart the server",
                )
            images[kind] = np.frombuffer(data, np.uint8).reshape(size)
        rgb, depth = images["rgb"][..., 2::-1], images["depth"][..., 2::-1]
        ids = labels.from_server(images["semantics"][..., 2], self.version)
        return Picture(
            np.ascontiguousarray(rgb),
            decode_depth(depth) * 1000,
            ids,
            np.zeros(ids.shape, np.int32),
        )

    def _actors(self, here: Any) -> list[Actor]:
        found = []
        for actor in self._world.get_actors():
            kind = actor.type_id.partition(".")[0]
            if kind not in ("vehicle", "walker") or actor.id == self._ego.id:
                continue
            place = actor.get_transform()
            if math.hypot(place.location.x - here.x, place.location.y - here.y) > SEEN:
                continue
            speed, extent = actor.get_velocity(), actor.bounding_box.extent
            found.append(
                Actor(
                    actor.id,
                    "vehicle" if kind == "vehicle" else "pedestrian",
                    float(place.location.x),
                    float(place.location.y),
                    math.radians(place.rotation.yaw),
                    2 * extent.x,
                    2 * extent.y,
                    math.hypot(speed.x, speed.y),
                )
            )
        return found

    def _light(self) -> LightAhead | None:
        """The state that the server gives for the car, at the distance of our map's stop line."""
        ahead = self.progress.next_control(self.scenario.rules, "light", 2.25)
        if ahead is None or not self._ego.is_at_traffic_light():
            return None
        state = str(self._ego.get_traffic_light_state()).rpartition(".")[2].lower()
        return LightAhead(state, ahead[1]) if state in ("red", "yellow", "green") else None

    def _watch(self) -> "_Watch":
        return _Watch()

    def _quietly(self, call: Callable[[], Any]) -> bool:
        """Whether it went well: cleaning up goes on as far as the server lives."""
        try:
            call()
        except (RuntimeError, OSError):
            return False
        return True


class _Watch:
    """Around calls to the server: its errors mean that it is lost."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RuntimeError) and not isinstance(error, WorldLostError):
            raise WorldLostError(" ".join(str(error).split())[:120]) from error


def _client_library() -> ModuleType:
    try:
        import carla
    except ImportError as error:
        raise MissingError(
            "carla", "the client is not installed", "install vitrail-carla-drive[carla]"
        ) from error
    return carla


def _weather(carla: Any, name: str) -> Any:
    known = weather(name)
    preset = getattr(carla.WeatherParameters, known.name, None)
    if preset is not None:
        return preset
    return carla.WeatherParameters(
        cloudiness=100 * known.cloud,
        precipitation=100 * known.rain,
        wetness=100 * known.wet,
        sun_altitude_angle=known.sun[0],
        sun_azimuth_angle=known.sun[1],
        fog_density=min(100.0, 3000 / known.visibility),
    )


def _raise_on_terminate() -> Any:
    """SIGTERM ends the process through its ``finally`` blocks, which restore the server; returns
    what was there before."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    try:
        return signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever started it looks after signals
        return None
