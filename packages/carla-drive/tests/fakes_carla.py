"""A stand-in for the CARLA client: the calls that the adapter makes, with frames that come late,
are lost, or fail when a test says so."""

from types import SimpleNamespace


class Fake:
    """The module ``carla``. ``fail_at`` names a call that raises; ``late`` frames come once more
    before the right one; ``lose`` is a frame that no camera delivers; ``dies_at`` a tick."""

    def __init__(
        self,
        *,
        fail_at="",
        late=False,
        lose=-1,
        dies_at=-1,
        version="0.9.10",
        towns=("Town01", "Town02"),
    ):
        self.fail_at, self.late, self.lose, self.dies_at = fail_at, late, lose, dies_at
        self.version, self.towns = version, towns
        self.alive, self.frame = True, 100
        self.settings = SimpleNamespace(synchronous_mode=False, fixed_delta_seconds=None)
        self.actors, self.calls, self.applied = {}, [], []
        self.town = towns[0]
        self.traffic_sync = False
        self.command = SimpleNamespace(DestroyActor=lambda actor: actor)
        self.WeatherParameters = lambda **values: SimpleNamespace(**values)
        self.VehicleControl = lambda throttle, steer, brake: SimpleNamespace(
            throttle=throttle, steer=steer, brake=brake
        )
        self.Location = lambda x=0.0, y=0.0, z=0.0: SimpleNamespace(x=x, y=y, z=z)
        self.Rotation = lambda pitch=0.0, yaw=0.0, roll=0.0: SimpleNamespace(
            pitch=pitch, yaw=yaw, roll=roll
        )
        self.Transform = lambda location=None, rotation=None: SimpleNamespace(
            location=location or self.Location(), rotation=rotation or self.Rotation()
        )

    def call(self, name):
        self.calls.append(name)
        if not self.alive or name == self.fail_at:
            raise RuntimeError("time-out of 8000ms while waiting for the simulator")

    def Client(self, host, port):
        if host == "nowhere":
            raise RuntimeError("resolve: Host not found")
        return Client(self)


class Client:
    def __init__(self, fake):
        self.fake = fake

    def set_timeout(self, seconds):
        self.fake.calls.append("set_timeout")

    def get_server_version(self):
        self.fake.call("get_server_version")
        return self.fake.version

    def get_client_version(self):
        return self.fake.version

    def get_world(self):
        self.fake.call("get_world")
        return World(self.fake)

    def get_available_maps(self):
        return [f"/Game/Carla/Maps/{town}" for town in self.fake.towns]

    def load_world(self, town):
        self.fake.call("load_world")
        self.fake.town = town
        return World(self.fake)

    def get_trafficmanager(self, port):
        self.fake.call("get_trafficmanager")
        fake = self.fake

        def synchronous(on):
            fake.call("traffic.set_synchronous_mode")
            fake.traffic_sync = on

        return SimpleNamespace(
            set_synchronous_mode=synchronous,
            set_random_device_seed=lambda seed: fake.calls.append(f"traffic seed {seed}"),
        )

    def apply_batch_sync(self, batch, tick):
        self.fake.call("apply_batch_sync")
        for actor in batch:
            self.fake.actors.pop(actor.id, None)


class World:
    def __init__(self, fake):
        self.fake = fake

    def get_map(self):
        fake = self.fake
        points = [fake.Transform(fake.Location(5.0 * k, 0.0, 0.0)) for k in range(6)]
        return SimpleNamespace(name=f"Carla/Maps/{fake.town}", get_spawn_points=lambda: points)

    def get_settings(self):
        self.fake.call("get_settings")
        return SimpleNamespace(**vars(self.fake.settings))

    def apply_settings(self, settings):
        self.fake.call("apply_settings")
        self.fake.settings = SimpleNamespace(**vars(settings))
        self.fake.applied.append(self.fake.settings)

    def set_weather(self, weather):
        self.fake.call("set_weather")

    def set_pedestrians_seed(self, seed):
        self.fake.call("set_pedestrians_seed")

    def get_blueprint_library(self):
        self.fake.call("get_blueprint_library")
        return Library()

    def get_random_location_from_navigation(self):
        return self.fake.Location(1.0, 1.0, 0.0)

    def spawn_actor(self, blueprint, place, attach_to=None):
        self.fake.call("spawn_actor")
        return Actor(self.fake, blueprint, place)

    def try_spawn_actor(self, blueprint, place):
        self.fake.call("try_spawn_actor")
        return Actor(self.fake, blueprint, place)

    def tick(self, seconds):
        self.fake.call("tick")
        self.fake.frame += 1
        if self.fake.frame == self.fake.dies_at:
            self.fake.alive = False
            raise RuntimeError("time-out of 8000ms while waiting for the simulator")
        for actor in list(self.fake.actors.values()):
            actor.deliver(self.fake.frame)
        return self.fake.frame

    def get_snapshot(self):
        self.fake.call("get_snapshot")
        return SimpleNamespace(timestamp=SimpleNamespace(elapsed_seconds=self.fake.frame * 0.05))

    def get_actors(self):
        self.fake.call("get_actors")
        return list(self.fake.actors.values())


class Library:
    def filter(self, pattern):
        return [Blueprint(pattern.rstrip("*"))]

    def find(self, name):
        return Blueprint(name)


class Blueprint:
    def __init__(self, name):
        self.name, self.values = name, {}

    def set_attribute(self, key, value):
        self.values[key] = value


class Actor:
    def __init__(self, fake, blueprint, place):
        self.fake, self.blueprint, self.place = fake, blueprint, place
        self.id = max(fake.actors, default=0) + 1
        self.type_id = blueprint.name
        self.callback = None
        self.controls = []
        self.bounding_box = SimpleNamespace(extent=SimpleNamespace(x=2.2, y=0.9))
        fake.actors[self.id] = self

    def listen(self, callback):
        self.callback = callback

    def deliver(self, frame):
        if self.callback is None or frame == self.fake.lose:
            return
        values = self.blueprint.values
        size = int(values["image_size_x"]) * int(values["image_size_y"])
        data = bytes([10, 20, 7, 255]) * size  # blue, green, red: label 7 is a road
        if self.fake.late:
            self.callback(SimpleNamespace(frame=frame - 1, raw_data=data))
        self.callback(SimpleNamespace(frame=frame, raw_data=data))

    def stop(self):
        self.fake.call("sensor.stop")
        self.callback = None

    def start(self):
        self.fake.call("controller.start")

    def go_to_location(self, place):
        self.fake.call("go_to_location")

    def set_autopilot(self, on, port):
        self.fake.call("set_autopilot")

    def apply_control(self, control):
        self.fake.call("apply_control")
        self.controls.append(control)

    def get_transform(self):
        self.fake.call("get_transform")
        return self.place

    def get_velocity(self):
        return SimpleNamespace(x=3.0, y=4.0, z=0.0)

    def is_at_traffic_light(self):
        return False
