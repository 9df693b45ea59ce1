"""Services that are changed from one drawn spec to another, beside fresh ones of each spec.

A fresh service of every accepted spec stays where it is. The walkers go from spec to spec,
sometimes over others in between, and must each time come to be what the fresh one is.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from chaos.laboratory import PATIENCE_SECONDS, Laboratory, tracebacks, unknown_kinds
from chaos.process import Process
from chaos.proxy import Proxy
from chaos.scenarios import Person
from chaos.specs import drawn_specs
from chaos.state import CHILDREN, NAME, PLURAL, State, differences
from support.api import ApiFailed, Json

_REST_SECONDS = 6.0
_IN_BETWEEN = (0, 0, 1, 2)
_REFUSED = 422
# Reasons for which a spec that the API server took has no, or not all, children.
_REFUSALS = {"InvalidSpec", "Forbidden", "QuotaExceeded", "PolicyRefused", "ReconcileFailed"}


@dataclass
class Walked:
    """What came of it; a transition is one change of a service's spec that was accepted."""

    seed: int
    specs: int = 0
    refused: int = 0
    compared: int = 0
    transitions: int = 0
    refusals: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.specs} specs accepted and {self.refused} refused by the API server; "
            f"{self.transitions} transitions, {self.compared} states compared, "
            f"{self.refusals} refused changes, {len(self.failures)} failures (seed {self.seed})"
        )


@dataclass
class Walker:
    """A service on its way; `shows` is the state in which it was when it last arrived."""

    person: Person
    namespace: str
    spec: int
    shows: State = field(default_factory=dict)
    over: list[int] = field(default_factory=list)


async def walk(laboratory: Laboratory, seed: int, specs: int, rounds: int) -> Walked:
    """Draw specs, and let one walker for each of them go `rounds` steps."""
    result = Walked(seed)
    chance = random.Random(seed)
    drawn = drawn_specs(4 * specs, seed)
    chance.shuffle(drawn)
    accepted, refused, fresh = await _fresh(laboratory, drawn, specs)
    result.specs, result.refused = len(accepted), len(refused)
    async with laboratory.proxy() as proxy, _operator(laboratory, proxy) as operator:
        await operator.started()
        await laboratory.rest(proxy, fresh, _REST_SECONDS)
        states = await laboratory.states(fresh)
        goals = [comparable(states[name]) for name in fresh]
        names = await laboratory.namespaces(len(accepted))
        walkers = [
            Walker(Person(laboratory.api, name), name, number) for number, name in enumerate(names)
        ]
        await asyncio.gather(*(one.person.create_spec(accepted[one.spec]) for one in walkers))
        result.failures += await _arrive(laboratory, walkers, accepted, goals)
        for _ in range(rounds):
            targets = list(range(len(accepted)))
            chance.shuffle(targets)
            await asyncio.gather(
                *(
                    _step(one, target, accepted, refused, result, random.Random(chance.random()))
                    for one, target in zip(walkers, targets, strict=False)
                )
            )
            result.compared += len(walkers)
            result.failures += await _arrive(laboratory, walkers, accepted, goals)
        result.failures += tracebacks(operator)
        assert not unknown_kinds(proxy), f"written but never compared: {unknown_kinds(proxy)}"
    await laboratory.clear([*fresh, *names])
    return result


def _operator(laboratory: Laboratory, proxy: Proxy) -> Process:
    """One that serves all namespaces; nothing is lost here that a resync would have to find."""
    return laboratory.operator(proxy, [], RESYNC_SECONDS="600")


async def _fresh(
    laboratory: Laboratory, drawn: Sequence[Json], wanted: int
) -> tuple[list[Json], list[Json], list[str]]:
    """Create a service of each spec; gives those accepted and refused, and where they are."""
    accepted: list[Json] = []
    refused: list[Json] = []
    names = await laboratory.namespaces(wanted)
    for one in drawn:
        if len(accepted) == wanted:
            break
        person = Person(laboratory.api, names[len(accepted)])
        (accepted if await _accepted(person.create_spec(one)) else refused).append(one)
    return accepted, refused, names[: len(accepted)]


async def _step(
    walker: Walker,
    target: int,
    accepted: Sequence[Json],
    refused: Sequence[Json],
    result: Walked,
    chance: random.Random,
) -> None:
    """Change a walker's spec: maybe over others, maybe with an attempt that is refused."""
    walker.over = [
        walker.spec,
        *(chance.randrange(len(accepted)) for _ in range(chance.choice(_IN_BETWEEN))),
    ]
    for number in (*walker.over[1:], target):
        await walker.person.replace_spec(accepted[number])
        result.transitions += 1
    walker.spec = target
    if refused:
        odd = chance.choice(refused)
        assert not await _accepted(walker.person.replace_spec(odd)), (
            f"refused only when fresh: {odd}"
        )
        result.refusals += 1


async def _accepted(request: Awaitable[None]) -> bool:
    """Whether the API server takes a spec; anything but a refusal of the spec is raised."""
    try:
        await request
    except ApiFailed as error:
        if error.status != _REFUSED:
            raise
        return False
    return True


async def _arrive(
    laboratory: Laboratory,
    walkers: list[Walker],
    accepted: Sequence[Json],
    goals: Sequence[State],
) -> list[str]:
    """Wait until every walker is what the fresh service is.

    Gives what is not, in words; who did not arrive walks no further.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        states = {
            name: comparable(state)
            for name, state in (await laboratory.states(one.namespace for one in walkers)).items()
        }
        wrong = []
        for one in walkers:
            state = states[one.namespace]
            earlier = [one.shows, *(goals[number] for number in one.over)]
            wrong += [(one, text) for text in compare(state, goals[one.spec], earlier)]
        if not wrong or loop.time() > deadline:
            lost = {one.namespace for one, _ in wrong}
            walkers[:] = [one for one in walkers if one.namespace not in lost]
            for one in walkers:
                one.shows = states[one.namespace]
            return [
                f"{text}\n  after {[accepted[number] for number in one.over]}"
                f"\n  came {accepted[one.spec]}"
                for one, text in wrong
            ]
        await asyncio.sleep(1.0)


def comparable(state: State) -> State:
    """A state without what depends on the way by intention.

    These are the earlier revisions, and the number of replicas that an autoscaler has come to.
    """
    state = copy.deepcopy(state)
    state.pop("replicasets", None)
    # The history of revisions; which of them runs is compared in the Deployment and the status.
    state = {key: value for key, value in state.items() if not key.startswith("controllerrev")}
    if "pods" in state:
        state["pods"] = sorted(set(state["pods"]))
    scaled = f"horizontalpodautoscalers {NAME}-predictor" in state
    deployment = state.get(f"deployments {NAME}-predictor")
    status = state.get(f"{PLURAL} {NAME}", {}).get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    predictor.pop("previousRolledoutRevision", None)
    if scaled and deployment:
        deployment["spec"].pop("replicas", None)
        status.pop("replicas", None)
        (status.get("modelStatus") or {}).pop("copies", None)
    return state


def compare(state: State, goal: State, earlier: Sequence[State]) -> list[str]:
    """In what a walker differs from the fresh service of its spec.

    Where the fresh one does not serve, a walker may: with what it had. So then only children are
    compared, and one that the fresh service could not get may be as it was at any step before.
    """
    if _served(goal):
        return differences(state, goal)
    have, wanted = _children(state), _children(goal)
    found = differences({key: have[key] for key in have if key in wanted}, wanted)
    refused = _reason(goal) in _REFUSALS
    for key in sorted(have.keys() - wanted.keys()):
        if not refused or have[key] not in [_children(one).get(key) for one in earlier]:
            found.append(f"/{key} should not be there, nor did an earlier spec ask for it so")
    return found


def _children(state: State) -> Json:
    """The children, without the number of replicas: an autoscaler may be of another spec."""
    children = {key: value for key, value in state.items() if key.split()[0] in CHILDREN}
    children = copy.deepcopy(children)
    for key, child in children.items():
        if key.startswith("deployments "):
            child["spec"].pop("replicas", None)
    return children


def _ready(state: State) -> Json:
    status = state.get(f"{PLURAL} {NAME}", {}).get("status") or {}
    found: Json = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    return found


def _reason(state: State) -> str:
    return str(_ready(state).get("reason", ""))


def _served(state: State) -> bool:
    ready = _ready(state)
    return ready.get("status") == "True" and not ready.get("reason")
