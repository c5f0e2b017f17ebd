"""A study -> its trajectories: cases x grid x random points x seeds, each checked before anything starts."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mad_ray.config.blocks import loop_of, make_data, make_family, make_interventions, make_metrics
from mad_ray.config.ecosystems import has_pool, make_ecosystem
from mad_ray.config.interventions import check_interventions
from mad_ray.config.limits import require_feasible
from mad_ray.config.load import merge
from mad_ray.config.model import Config, RandomSearch, StudySettings
from mad_ray.config.validate import unknown
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.trajectory import Trajectory, member_trajectory, pool_trajectory
from mad_ray.metrics.measure import LABELLED_NAMES, MODE_NAMES, MODEL_NAMES, TEXT_NAMES

VARIABLE = ("data", "family", "loop", "interventions", "ecosystem", "metrics", "n_generations", "seeds")
OF_LAWS = {
    "tail_recall": ("rare", "rare pairs"),
    "rule_error": ("rules", "rules"),
    "kl_per_token": ("log_probability", "probabilities"),
}
"""Metric -> the fact of P_r that it needs, and what that fact is called."""
LAWS = ("uniform", "log_uniform", "integers", "log_integers", "choice")


def expand(config: Config) -> list[Trajectory]:
    """All trajectories of a study. InvalidInput if any of them cannot be run to its end."""
    study = config.study
    for name in ("map", "limit", "baseline"):
        if getattr(study, name):
            raise InvalidInput(f"study.{name} does not go with kind curves; set study.kind to grid or boundary")
    found: list[Trajectory] = []
    for label, over, path in _cases(study):
        base = {name: getattr(study, name) for name in VARIABLE}
        resolved = merge(as_mappings(base), as_mappings(over))
        if resolved["ecosystem"]:
            is_alone = not (study.cases or study.grid or study.random)
            found += _members("" if is_alone else label, resolved, path, config.run.most_workers)
        else:
            found += _trajectories(label, resolved, path, config.run.most_workers)
    return found


def _cases(study: StudySettings) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(label, overrides, path for messages) of every combination of case, grid and random point."""
    cases = study.cases or {"": {}}
    for (case, over), point in itertools.product(cases.items(), _points(study)):
        path = f"study.cases.{case}" if case else "study"
        for key in over:
            if key not in VARIABLE:
                raise unknown(f"{path}.{key}", key, VARIABLE)
        label = ", ".join([*filter(None, [case]), *(f"{name}={value_text(value)}" for name, value in point.items())])
        for name, value in point.items():
            over = merge(over, nested(name, value))
        yield label or study.name, over, path


def _points(study: StudySettings) -> list[dict[str, Any]]:
    for name, values in study.grid.items():
        check_path(name, "study.grid")
        if not values:
            raise InvalidInput(f"study.grid.{name}: no values; give at least one")
    n_random = 1 if study.random is None else study.random.n
    require_feasible(math.prod(map(len, study.grid.values())) * n_random, "study.grid: combinations x random points")
    grid = [dict(zip(study.grid, values, strict=True)) for values in itertools.product(*study.grid.values())]
    if study.random is None:
        return grid
    drawn = [_draw(study.random, i) for i in range(study.random.n)]
    return [{**point, **extra} for point in grid for extra in drawn]


def _draw(search: RandomSearch, i: int) -> dict[str, Any]:
    point = {}
    for name, law in search.space.items():
        check_path(name, "study.random.space")
        uniform = Keys((search.seed,)).at("random", name).generator(0, i).random()
        point[name] = _quantile(name, law, uniform)
    return point


def _quantile(name: str, law: dict[str, Any], u: float) -> Any:
    """The u-quantile of a law of the search space; floats to 6 digits, so that a label tells the whole value."""
    path = f"study.random.space.{name}"
    if len(law) != 1:
        raise InvalidInput(f"{path}: expected exactly one of {', '.join(LAWS)}")
    ((kind, given),) = law.items()
    if kind not in LAWS:
        raise unknown(f"{path}.{kind}", kind, LAWS)
    if not isinstance(given, (list, tuple)) or not given:
        raise InvalidInput(f"{path}.{kind}={given!r}: expected a list")
    if kind == "choice":
        return given[int(u * len(given))]
    numbers = int if kind.endswith("integers") else (int, float)
    is_range = len(given) == 2 and all(isinstance(v, numbers) and not isinstance(v, bool) for v in given)
    if not (is_range and -math.inf < given[0] < given[1] < math.inf) or (kind.startswith("log") and given[0] <= 0):
        raise InvalidInput(f"{path}.{kind}={list(given)}: expected [low, high] with low < high (log: low > 0)")
    low, high = given
    whole = kind.endswith("integers")
    if whole:
        low, high = low - 0.5, high + 0.5
    if kind.startswith("log"):
        low = max(low, given[0] / 2)
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    else:
        value = low + u * (high - low)
    return min(max(round(value), given[0]), given[1]) if whole else float(f"{value:.6g}")


def _trajectories(label: str, resolved: dict[str, Any], path: str, workers: int) -> list[Trajectory]:
    data = make_data(resolved["data"], f"{path}.data")
    family = make_family(resolved["family"], f"{path}.family")
    loop = loop_of(resolved["loop"], f"{path}.loop")
    metrics = make_metrics(resolved["metrics"], f"{path}.metrics")
    interventions = make_interventions(resolved["interventions"], f"{path}.interventions")
    n_generations, seeds = counts(resolved, path)
    settings = (data, family, loop, metrics, n_generations)
    found = [Trajectory(*settings, seed, label, interventions=interventions) for seed in seeds]
    check_trajectory(found[0], label, workers)
    return found


def _members(label: str, resolved: dict[str, Any], path: str, workers: int) -> list[Trajectory]:
    """The trajectories of an ecosystem's members, and of its pool: each a case of its own."""
    data = make_data(resolved["data"], f"{path}.data")
    metrics = make_metrics(resolved["metrics"], f"{path}.metrics")
    n_generations, seeds = counts(resolved, path)
    ecosystem, names = make_ecosystem(resolved, n_generations, path)
    heads = [member_trajectory(data, metrics, n_generations, ecosystem, name) for name in names]
    if has_pool(resolved, ecosystem, metrics, path):
        heads.append(pool_trajectory(data, metrics, n_generations, ecosystem))
    heads = [replace(head, case=f"{label} · {head.member}" if label else head.member) for head in heads]
    for head in heads:
        check_trajectory(head, head.case, workers)
    return [replace(head, seed=seed) for head in heads for seed in seeds]


def counts(resolved: dict[str, Any], path: str) -> tuple[int, tuple[int, ...]]:
    n, seeds = resolved["n_generations"], resolved["seeds"]
    if type(n) is not int or n < 1:
        raise InvalidInput(f"{path}.n_generations={n!r}: expected an integer, at least 1")
    if type(seeds) is int and seeds >= 1:
        require_feasible(seeds, f"{path}.seeds")
        return n, tuple(range(seeds))
    if isinstance(seeds, (list, tuple)) and seeds and all(type(s) is int and 0 <= s < 2**63 for s in seeds):
        if len(set(seeds)) == len(seeds):
            return n, tuple(seeds)
        raise InvalidInput(f"{path}.seeds={list(seeds)}: a seed stands twice; repetitions would not be independent")
    raise InvalidInput(f"{path}.seeds={seeds!r}: expected how many (at least 1), or a list of integers in [0, 2^63)")


def check_trajectory(trajectory: Trajectory, label: str, workers: int) -> None:
    """What only data, family, loop and metrics together can tell."""
    data, loop, metrics = trajectory.data, trajectory.loop, trajectory.metrics
    if data.n_rows is not None:
        t = trajectory.exhausted_at(data.n_rows)
        if t == 1:
            raise InvalidInput(
                f"{label}: loop.n_initial={loop.n_initial} exceeds the {data.n_rows:,} training rows of "
                f"{data.name}; lower n_initial"
            )
        if t is not None:
            raise InvalidInput(
                f"{label}: fresh data exhausted at t={t}: {trajectory.n_real(t):,} rows needed, {data.n_rows:,} exist; "
                f"lower loop.n_fresh or n_generations (all {trajectory.n_generations} need "
                f"{trajectory.n_real(trajectory.n_generations):,})"
            )
    if data.n_held_out is not None and metrics.n > data.n_held_out:
        raise InvalidInput(
            f"{label}: metrics.n={metrics.n} exceeds the {data.n_held_out:,} held-out samples of {data.name}; "
            "lower metrics.n, since every metric compares as many real samples"
        )
    _check_features(trajectory, label)
    _check_names(trajectory, label)
    trajectory.family.check(data.event, loop, workers)
    check_interventions(trajectory, label)


def _check_names(trajectory: Trajectory, label: str) -> None:
    """Each metric that was asked for by name must be known to somebody."""
    data, family, metrics = trajectory.data, trajectory.family, trajectory.metrics
    measures = getattr(family, "measures", ())
    law = data.law() if hasattr(data, "law") else {}
    for name in metrics.names:
        # The pool is no model, its members are.
        if name in MODEL_NAMES and name not in measures and not trajectory.is_pool:
            known = f"it knows {', '.join(measures)}" if measures else "it knows nothing of itself"
            raise InvalidInput(f"{label}: metrics.names: family={family.name} does not measure {name}; {known}")
        if name in MODE_NAMES and "centres" not in law:
            raise InvalidInput(f"{label}: metrics.names: {name} needs data with modes, and {data.name} has none known")
        if name in LABELLED_NAMES:
            _check_labels(trajectory, label, f"names: {name}")
        if name in TEXT_NAMES and not data.event.n_symbols:
            raise InvalidInput(f"{label}: metrics.names: {name} needs text, and {data.name} is none")
        if name in OF_LAWS and OF_LAWS[name][0] not in law:
            raise InvalidInput(
                f"{label}: metrics.names: {name} needs data of known {OF_LAWS[name][1]}, and those of {data.name} are "
                f"not known; leave {name} out, or use data=language"
            )
    if metrics.downstream:
        _check_labels(trajectory, label, "downstream: true")
    is_vectors = data.event.dtype != "uint8" and len(data.event.shape) == 1 and not data.event.n_symbols
    if metrics.snapshots and not is_vectors:
        raise InvalidInput(f"{label}: metrics.snapshots are for vectors; samples of {data.name} are kept anyway")


def _check_labels(trajectory: Trajectory, label: str, what: str) -> None:
    """Classifiers and classes need labels, of the data and of what the family draws."""
    data, family = trajectory.data, trajectory.family
    if data.event.n_classes < 2:
        raise InvalidInput(
            f"{label}: metrics.{what} needs labelled data, and {data.name} has no labels; take it out, or use others"
        )
    # A family of the user's own may draw labels without saying so.
    if getattr(family, "is_conditional", None) is False:
        raise InvalidInput(
            f"{label}: metrics.{what} needs labelled samples, and family={family.name} as set draws none; take it out, "
            "or use a conditional family"
        )


def _check_features(trajectory: Trajectory, label: str) -> None:
    data, metrics = trajectory.data, trajectory.metrics
    is_image = data.event.dtype == "uint8" and len(data.event.shape) == 3
    if data.event.n_symbols and metrics.features != "ngrams":
        raise InvalidInput(
            f"{label}: metrics.features={metrics.features} would take the numbers of tokens for quantities; use ngrams "
            f"with {data.name}"
        )
    if metrics.features == "ngrams" and not data.event.n_symbols:
        raise InvalidInput(f"{label}: metrics.features=ngrams counts tokens, and {data.name} is no text; use identity")
    if metrics.features not in ("identity", "ngrams") and not is_image:
        raise InvalidInput(f"{label}: metrics.features={metrics.features} needs images; use identity with {data.name}")
    if metrics.features == "lenet" and data.event.n_classes < 2:
        raise InvalidInput(f"{label}: metrics.features=lenet learns from labels; {data.name} has none: use identity")
    if metrics.features == "inception":
        from mad_ray.metrics.inception import Inception

        Inception(metrics.weights, metrics.weights_sha256)


def check_path(name: str, path: str) -> None:
    head = name.partition(".")[0]
    if head not in VARIABLE:
        raise unknown(f"{path}.{name}", head, VARIABLE)


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def as_mappings(block: dict[str, Any]) -> dict[str, Any]:
    """`family: ddpm` as {name: ddpm}, so that blocks merge alike."""
    named = {k: {"name": v} for k, v in block.items() if k in ("data", "family") and isinstance(v, str)}
    return {**block, **named}


def value_text(value: Any) -> str:
    # Two values must not share a label: it is the case's name.
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
