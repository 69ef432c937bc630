"""One route from start to end: a world, a policy, a trace and a score."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carla_drive.driving.policies import Decision, Policy
from carla_drive.scoring.score import Score, Scorer
from carla_drive.scoring.trace import to_row
from carla_drive.world.interface import Observation, Scenario, World, WorldLostError

STOPPED = "stopped by hand"  # the end of a route that ctrl-C ended


@dataclass(frozen=True)
class Moment:
    seen: Observation
    decision: Decision


def moments(
    world: World,
    scenario: Scenario,
    make_policy: Callable[[World, Scenario], Policy],
    seed: int,
    scorer: Scorer,
    *,
    pictures_every: int = 0,
) -> Iterator[Moment]:
    """Drives until ``scorer`` says that the route has ended. Pictures are drawn where the policy
    wants them, and each ``pictures_every`` steps for a film."""
    seen = world.reset(scenario, seed)
    policy = make_policy(world, scenario)
    while True:
        decision = policy.act(seen)
        scorer.feed(to_row(seen, decision.control))
        yield Moment(seen, decision)
        if scorer.end:
            return
        wants = getattr(policy, "wants_pictures", lambda: policy.needs_pictures)()
        film = pictures_every > 0 and (seen.frame + 1) % pictures_every == 0
        seen = world.step(decision.control, draw=bool(wants or film))


def drive(
    world: World,
    scenario: Scenario,
    make_policy: Callable[[World, Scenario], Policy],
    seed: int,
    trace: Path,
    *,
    watch: Callable[[Moment], None] | None = None,
    pictures_every: int = 0,
) -> Score:
    """Writes ``trace``, a row a step, while it drives; ``watch`` sees every moment.

    A world that is lost, or a policy that fails, ends the route; what was reached counts. So does
    ctrl-C, and ``STOPPED`` says so.
    """
    scorer = Scorer(scenario.graph, scenario.rules, scenario.route)
    end = ""
    with trace.open("w", encoding="utf-8") as lines:
        try:
            for moment in moments(
                world, scenario, make_policy, seed, scorer, pictures_every=pictures_every
            ):
                row = to_row(moment.seen, moment.decision.control)
                lines.write(json.dumps(row, separators=(",", ":")) + "\n")
                if watch is not None:
                    watch(moment)
        except WorldLostError as error:
            end = f"simulator lost: {error}"
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
            end = f"agent failed: {error}"
        except KeyboardInterrupt:
            end = STOPPED
    return scorer.score(end)
