"""The self-consuming loop: which rows make up the training set D^t. Everything here is pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from mad_ray.core.errors import InvalidInput
from mad_ray.core.settings import STRICT

MAX_MEMORY = 1_000_000


@dataclass(frozen=True)
class Slice:
    """Rows start..stop of one source: the real data (generation 0), or the samples that G^generation published."""

    generation: int
    start: int
    stop: int
    member: str = ""
    """In an ecosystem, whose samples; empty for the reader's own."""

    @property
    def n(self) -> int:
        return self.stop - self.start

    @property
    def is_real(self) -> bool:
        return self.generation == 0


@dataclass(frozen=True)
class Loop:
    """How D^t is mixed from fixed real, fresh real and synthetic samples. D^1 is always n_initial real samples."""

    __pydantic_config__ = STRICT

    n_initial: int
    """n_ini: real samples in D^1."""
    n_fixed: int = 0
    """Of the initial samples, how many stay in every D^t. At most n_initial."""
    n_fresh: int = 0
    """n_r of the fresh data loop: new real samples in each D^t, t >= 2."""
    n_synthetic: int = 0
    """n_s: synthetic samples in each D^t, t >= 2."""
    memory: int = 1
    """K: the n_synthetic samples are drawn in equal shares from G^{t-K} .. G^{t-1}."""
    accumulate: bool = False
    """Keep all earlier synthetic sets as well: D^t holds n_synthetic samples of each of G^1 .. G^{t-1}."""
    bias: float = 1.0
    """lambda, the sampling bias in [0, 1]: 1 samples the model as it is, 0 its modes only."""

    def __post_init__(self) -> None:
        for name in ("n_fixed", "n_fresh", "n_synthetic"):
            _require(getattr(self, name) >= 0, f"loop.{name}={getattr(self, name)} is negative; give 0 or more samples")
        _require(self.n_initial >= 1, f"loop.n_initial={self.n_initial}: D^1 needs a real sample; raise n_initial")
        _require(
            self.n_fixed <= self.n_initial,
            f"loop.n_fixed={self.n_fixed} exceeds n_initial={self.n_initial}; the fixed set is part of D^1: "
            "lower n_fixed or raise n_initial",
        )
        _require(
            0.0 <= self.bias <= 1.0,
            f"loop.bias={self.bias} is outside [0, 1]; lambda = 1 is unbiased, 0 samples the modes only",
        )
        _require(self.memory >= 1, f"loop.memory={self.memory}; K is at least 1 (the previous generation)")
        _require(self.memory <= MAX_MEMORY, f"loop.memory={self.memory}; K is at most {MAX_MEMORY:,} generations")
        _require(
            self.memory == 1 or not self.accumulate,
            f"loop.memory={self.memory} with accumulate: accumulate keeps every generation anyway; drop one of them",
        )
        _require(
            self.n_fixed + self.n_fresh + self.n_synthetic > 0,
            "loop: D^2 would be empty; give at least one of n_fixed, n_fresh, n_synthetic",
        )

    def n_real(self, n_generations: int) -> int:
        """Real rows that generations 1..n_generations use up."""
        return self.n_initial + max(0, n_generations - 1) * self.n_fresh

    def exhausted_at(self, n_rows: int, n_generations: int) -> int | None:
        """The first generation whose D^t would need more real rows than exist; None if there are enough."""
        if self.n_initial > n_rows:
            return 1
        if self.n_real(n_generations) <= n_rows:
            return None
        return 2 + (n_rows - self.n_initial) // self.n_fresh


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidInput(message)


def compose(loop: Loop, t: int) -> tuple[Slice, ...]:
    """Where every row of D^t lies: real rows first, then synthetic rows from the oldest generation to the newest.

    Real rows: 0..n_initial are D^1's, the fixed set is the first n_fixed of them, and generation t takes the next
    n_fresh rows nobody has seen. With memory K, a model of age a gives share a of m = min(K, t - 1) shares, so that
    (once t > K) no published sample enters two training sets.
    """
    if t < 1:
        raise ValueError(f"generation t={t}; generations count from 1")
    if t == 1:
        return (Slice(0, 0, loop.n_initial),)
    fresh = loop.n_initial + (t - 2) * loop.n_fresh
    parts = [Slice(0, 0, loop.n_fixed), Slice(0, fresh, fresh + loop.n_fresh), *_synthetic(loop, t)]
    return tuple(part for part in parts if part.n > 0)


def _synthetic(loop: Loop, t: int) -> list[Slice]:
    if loop.accumulate:
        return [Slice(g, 0, loop.n_synthetic) for g in range(1, t)]
    m = min(loop.memory, t - 1)
    share = [loop.n_synthetic * a // m for a in range(m + 1)]
    return [Slice(t - a, share[a - 1], share[a]) for a in range(m, 0, -1)]


def pieces(loop: Loop, part: Slice) -> tuple[Slice, ...]:
    """A slice of D^t cut wherever a slice of any other generation begins or ends.

    So cut, two pieces that any two training sets hold are equal or disjoint: what is drawn for a piece as a whole (its
    moments, its counts) can be drawn by itself, and is the same wherever the piece returns.
    """
    cuts = _real_cuts(loop) if part.is_real else _synthetic_cuts(loop.n_synthetic, loop.memory, part.generation)
    return cut(part, cuts)


def cut(part: Slice, points: Iterable[int]) -> tuple[Slice, ...]:
    """The slice cut at those points, ascending, that lie within it."""
    ends = [part.start, *(point for point in points if part.start < point < part.stop), part.stop]
    return tuple(replace(part, start=low, stop=high) for low, high in pairwise(ends) if high > low)


def _real_cuts(loop: Loop) -> tuple[int, ...]:
    return loop.n_fixed, loop.n_initial


@lru_cache(maxsize=4096)
def _synthetic_cuts(n_synthetic: int, memory: int, g: int) -> tuple[int, ...]:
    """Where D^{g+1} .. D^{g+K} cut the samples of G^g. While fewer than K models exist, shares are larger."""
    shares = ((a, min(memory, g + a - 1)) for a in range(1, memory + 1))
    return tuple(sorted({n_synthetic * end // m for a, m in shares for end in (a - 1, a)}))


def reaches_back(loop: Loop, t: int) -> int:
    """The oldest generation whose samples D^{t+1}, D^{t+2}, ... can hold; t + 1 if none is ever needed again."""
    if not loop.n_synthetic:
        return t + 1
    return 1 if loop.accumulate else max(1, t + 1 - loop.memory)


def fully_synthetic(*, n_initial: int, n_synthetic: int | None = None, **rest: Any) -> Loop:
    """D^t is n_synthetic samples of G^{t-1} only (default: n_initial of them)."""
    return Loop(n_initial=n_initial, n_synthetic=n_initial if n_synthetic is None else n_synthetic, **rest)


def synthetic_augmentation(
    *, n_initial: int, n_synthetic: int | None = None, n_fixed: int | None = None, **rest: Any
) -> Loop:
    """The initial real samples stay in every D^t, and n_synthetic samples of G^{t-1} join them.

    `accumulate: true` is the paper's linearly growing pool, all generations' samples so far.
    """
    n_fixed = n_initial if n_fixed is None else n_fixed
    n_synthetic = n_initial if n_synthetic is None else n_synthetic
    return Loop(n_initial=n_initial, n_fixed=n_fixed, n_synthetic=n_synthetic, **rest)


def fresh_data(*, n_fresh: int, n_synthetic: int, n_initial: int | None = None, **rest: Any) -> Loop:
    """n_fresh new real samples in each D^t, and n_synthetic samples of G^{t-1} (default n_initial: n_fresh)."""
    return Loop(n_initial=n_fresh if n_initial is None else n_initial, n_fresh=n_fresh, n_synthetic=n_synthetic, **rest)


def fresh_share(*, n: int, real_share: float, **rest: Any) -> Loop:
    """Fresh data of a fixed size: of the n rows of D^t a share p is new and real, the rest comes from G^{t-1}."""
    if not (0.0 < real_share <= 1.0):
        raise InvalidInput(f"loop.real_share={real_share} is outside (0, 1]; give the share of D^t that is real")
    n_fresh = round(n * real_share)
    if n_fresh < 1:
        raise InvalidInput(f"loop.n={n} with real_share={real_share} leaves no real row; raise one of them")
    return fresh_data(n_fresh=n_fresh, n_synthetic=n - n_fresh, **rest)


PRESETS: dict[str, Callable[..., Loop]] = {
    "fully_synthetic": fully_synthetic,
    "synthetic_augmentation": synthetic_augmentation,
    "fresh_data": fresh_data,
    "fresh_share": fresh_share,
}


def make_loop(settings: Mapping[str, Any]) -> Loop:
    """A Loop from settings: `kind` names a preset; without it the fields are the Loop's own."""
    rest = dict(settings)
    kind = rest.pop("kind", None)
    return Loop(**rest) if kind is None else PRESETS[kind](**rest)


def describe(loop: Loop) -> str:
    """The loop in the paper's words, for readers: "fresh data (n_r = 100, n_s = 900), lambda = 0.8"."""
    synthetic = f"{loop.n_synthetic:,} a generation, all kept" if loop.accumulate else f"{loop.n_synthetic:,}"
    parts = []
    if loop.n_fixed:
        parts.append(f"{loop.n_fixed:,} fixed real")
    if loop.n_fresh:
        parts.append(f"n_r = {loop.n_fresh:,} fresh real")
    if loop.n_synthetic:
        memory = f" from the last {loop.memory} generations" if loop.memory > 1 else ""
        parts.append(f"n_s = {synthetic} synthetic{memory}")
    return f"{_kind(loop)}: {' + '.join(parts)}; lambda = {loop.bias:g}"


def _kind(loop: Loop) -> str:
    if not loop.n_synthetic:
        return "real data only"
    return {
        (False, False): "fully synthetic",
        (True, False): "synthetic augmentation",
        (False, True): "fresh data",
        (True, True): "mixed",
    }[bool(loop.n_fixed), bool(loop.n_fresh)]
