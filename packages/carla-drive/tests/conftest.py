"""A small made town, built once."""

import pytest

from carla_drive.commands.setting import Ground, made_routes
from carla_drive.roads.graph import build_graph
from carla_drive.roads.making import make_town
from carla_drive.roads.reading import parse_map
from carla_drive.roads.routes import plan_route
from carla_drive.roads.rules import build_rules
from carla_drive.roads.writing import write_map


@pytest.fixture(scope="session")
def ground() -> Ground:
    """With lights, as the file says that the writer made."""
    made = make_town(2)
    graph = build_graph(parse_map(write_map(made), made.name))
    return Ground(graph, build_rules(graph))


@pytest.fixture(scope="session")
def route(ground):
    (asked,) = made_routes(ground, 1, seed=4, least=60.0)
    return plan_route(ground.graph, asked)
