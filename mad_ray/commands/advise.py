"""mad-ray advise: how much synthetic data a loop takes, or how much fresh data it needs; and on what evidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mad_ray.analysis.advice import (
    Bound,
    admissible_synthetic,
    fresh_for_share,
    fresh_for_synthetic,
    nearest_cells,
    studied_bias,
)
from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.phase_table import read_phase
from mad_ray.commands.run import compute
from mad_ray.commands.session import session_of
from mad_ray.commands.target import open_target
from mad_ray.config import parse_config
from mad_ray.config.load import merge, parse_override
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest
from mad_ray.ledger.studies import read_study

DATA = {"gaussian": "gaussian", "gmm": "modes", "kde": "modes", "categorical": "zipf"}
METRIC = {"gaussian": "w2_squared", "gmm": "frechet", "kde": "frechet", "categorical": "total_variation"}
COLUMNS = (30, 30_000, 13)
"""n_r that are searched when n_r itself is asked for: low, high, how many."""
ROUGH_FAMILIES = ("gmm", "kde")
"""Their training sets are read row by row: an answer to a tenth in a minute rather than to 3 % in hours."""
ROUGH_COLUMNS = (30, 1000, 5)
ROUGH: dict[str, Any] = {
    "n_generations": 512,
    "limit": {"half_width": 0.1, "drift": 0.05},
    "search": {"tolerance": 0.1, "budget": 100},
}


@dataclass(frozen=True)
class Question:
    """What is known, and what is asked: exactly one of n_fresh, n_synthetic, share is given."""

    n_fresh: int | None
    n_synthetic: int | None
    share: float | None
    bias: float | None
    family: str = "gaussian"
    most: int | None = None
    """Look no further than so many synthetic samples."""

    def __post_init__(self) -> None:
        given = [name for name in ("n_fresh", "n_synthetic", "share") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInput(
                f"advise: give exactly one of --n-fresh, --n-synthetic and --synthetic-share (found {len(given)}); "
                "the answer is the other side"
            )
        for name in ("n_fresh", "n_synthetic", "most"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise InvalidInput(f"advise: --{name.replace('_', '-')}={value}: give 2 or more samples")
        if self.share is not None and not 0 < self.share < 1:
            raise InvalidInput(f"advise: --synthetic-share={self.share:g} is outside (0, 1), the share n_s/(n_s + n_r)")
        if self.bias is not None and not 0 <= self.bias <= 1:
            raise InvalidInput(f"advise: --bias={self.bias:g} is outside [0, 1]; lambda = 1 is unbiased")


def advise(
    question: Question, config: str | None, overrides: Sequence[str], store: str | None, study: str | None
) -> int:
    """Answer from a finished study if one is named, else search the boundary now (what was searched is kept)."""
    if config is None and study is None:
        return _search(question, overrides, store)
    opened, name, _ = open_target(config, overrides, store, study)
    if "map" not in read_study(opened, name):
        raise InvalidInput(f"{name} is a study of curves; advice needs a map (study.kind grid or boundary)")
    _answer(question, read_phase(opened, name))
    return 0


def _search(question: Question, overrides: Sequence[str], store: str | None) -> int:
    config = parse_config(_study_for(question, overrides, store))
    session = session_of(config)
    _, lost = compute(session)
    _answer(question, read_phase(session.store, session.name))
    print(f"kept as study {session.name}: `mad-ray report --store {config.run.store} --study {session.name}`")
    return 1 if lost else 0


def _study_for(question: Question, overrides: Sequence[str], store: str | None) -> dict[str, Any]:
    """The boundary study that answers the question; its name tells its settings, so that asking again finds it."""
    if question.family not in DATA:
        raise InvalidInput(
            f"advise: --family={question.family}: a search takes too long to be an answer; run a boundary study of it "
            f"(see configs/phase/) and ask with --study. Answered at once: {', '.join(DATA)}"
        )
    n = question.n_fresh
    x = {"values": [n]} if n else {"log": list(_columns(question))}
    most = question.most or _reach(question)
    least = min(10, most // 2)
    bias = 1.0 if question.bias is None else question.bias
    study: dict[str, Any] = {
        "kind": "boundary",
        "title": "How much synthetic data is admissible?",
        "n_generations": 16384,
        "data": DATA[question.family],
        "family": question.family,
        "metrics": {"names": [METRIC[question.family]]},
        "loop": {"kind": "fresh_data", "bias": bias},
        "map": {
            "x": {"field": "loop.n_fresh", **x},
            "y": {"field": "loop.n_synthetic", "log": [least, most, 20]},
        },
    }
    if question.family in ROUGH_FAMILIES:
        study |= ROUGH
    found: dict[str, Any] = {"study": study, "run": {"runtime": "local", **({"store": store} if store else {})}}
    for override in overrides:
        found = merge(found, parse_override(override))
    # Beneath what was said: whoever sets a field knows what it costs.
    found["study"] = merge(_effort(found["study"]["data"]), found["study"])
    found["study"].setdefault("name", f"advise-{digest(found['study'])[:10]}")
    return found


def _effort(data: Any) -> dict[str, Any]:
    """A distance in few dimensions is noisy: in d = 100 it varies by 2 % between two models, in one by 140 %."""
    d = data.get("d", 100) if isinstance(data, dict) else 100
    if not isinstance(d, int) or d < 1 or d >= 50:
        return {"seeds": 8, "metrics": {"per_octave": 8}}
    found: dict[str, Any] = {"seeds": 64, "baseline": {"seeds": min(1000, 6400 // d)}}
    if d >= 10:
        return {**found, "metrics": {"per_octave": 16}}
    return {**found, "metrics": {"per_octave": 64}, "limit": {"half_width": 0.05, "drift": 0.03}}


def _reach(question: Question) -> int:
    """How far to look if nobody says: well beyond what is asked about."""
    if question.n_fresh is not None:
        return (10 if question.family in ROUGH_FAMILIES else 100) * question.n_fresh
    if question.n_synthetic is not None:
        return 4 * question.n_synthetic
    assert question.share is not None
    return max(100, math.ceil(2 * _columns(question)[1] * question.share / (1 - question.share)))


def _columns(question: Question) -> tuple[int, int, int]:
    return ROUGH_COLUMNS if question.family in ROUGH_FAMILIES else COLUMNS


def _answer(question: Question, result: PhaseResult) -> None:
    bias = question.bias
    if question.n_fresh is not None:
        bound = admissible_synthetic(result, question.n_fresh, bias)
        _say(_of_fresh(question, bound, result), question, result)
    elif question.n_synthetic is not None:
        bound = fresh_for_synthetic(result, question.n_synthetic, bias)
        _say(_of_synthetic(question, bound, result), question, result)
    else:
        assert question.share is not None
        _say(_of_share(question.share, *fresh_for_share(result, question.share, bias)), question, result)


def _of_fresh(question: Question, bound: Bound, result: PhaseResult) -> str:
    start = f"with n_r = {question.n_fresh:,} fresh samples in each generation"
    assert result.y is not None
    if bound.kind == "above":
        return f"{start}, up to n_s = {bound.value:,.0f} synthetic samples are admissible, the most that was looked at"
    if bound.kind == "below":
        return f"{start}, no synthetic samples are admissible: already n_s = {result.y.values[0]:,.0f} hurt"
    share = bound.value / (bound.value + (question.n_fresh or 0))
    return f"{start}, use at most n_s = {bound.value:,.0f} synthetic ones{_interval(bound)}: {share:.0%} of the data"


def _of_synthetic(question: Question, bound: Bound, result: PhaseResult) -> str:
    start = f"n_s = {question.n_synthetic:,} synthetic samples in each generation"
    if bound.kind == "below":
        return f"{start} hurt whatever n_r is, up to the {result.x.values[-1]:,.0f} that were looked at"
    if bound.kind == "above":
        return f"{start} are admissible from n_r = {bound.value:,.0f} on, the fewest that were looked at"
    return f"{start} need n_r = {bound.value:,.0f} fresh ones or more{_interval(bound)}"


def _of_share(share: float, start: Bound, end: Bound) -> str:
    text = f"a share of {share:.0%} synthetic data"
    if start.kind == "below":
        return f"{text} hurts at every n_r from {start.low:,.0f} to {start.high:,.0f}"
    first = "" if start.kind == "above" else f" needs n_r = {start.value:,.0f} or more{_interval(start)}"
    last = "" if end.kind == "above" else f" at most n_r = {end.value:,.0f}{_interval(end)}: beyond it, it hurts"
    if not first and not last:
        return f"{text} is admissible at every n_r from {start.value:,.0f} to {end.value:,.0f}"
    return f"{text}{first}{' and' if first and last else ''}{' is admissible with' if last and not first else ''}{last}"


def _interval(bound: Bound) -> str:
    if not math.isfinite(bound.low) or not math.isfinite(bound.high):
        return ""
    return f" [{bound.low:,.0f}, {bound.high:,.0f}]"


def _say(answer: str, question: Question, result: PhaseResult) -> None:
    """The answer first, then what it rests on."""
    print(f"\nanswer: {answer}.\n")
    study = result.identity["study"]
    lam = studied_bias(result, question.bias)
    family, data = (_name(study.get(block)) for block in ("family", "data"))
    print(f"evidence: {family} on {data}, lambda = {lam:g}; limits of {result.metric}, 95 % intervals")
    print(
        f"  {result.n_done:,} cells computed, {len(result.baseline)} fits on real samples alone; "
        f"admissible means {result.value} >= {result.level:g}, what as many real samples alone would give"
    )
    for row in nearest_cells(result, question.n_fresh, question.bias).itertuples():
        print(
            f"  n_r = {row.x:,.0f}, n_s = {row.y:,.0f}: {result.value} = {row.value:.3f} "
            f"[{row.low:.3f}, {row.high:.3f}] after {row.generations} generations, {row.state}"
        )


def _name(block: Any) -> str:
    return block.get("name", "?") if isinstance(block, dict) else str(block or "digits")
