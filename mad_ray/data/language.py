"""A generated language: words that follow each other by rules of known probability, many of them rare."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments
from mad_ray.core.pairs import are_rare
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.spelling import Spelling

N_TESTED = 512
"""Held-out sequences that models are tested on."""
SYLLABLES = tuple(f"{c}{v}" for c in "bdfghjklmnprstvz" for v in "aeiou")


@dataclass(frozen=True)
class Language:
    """P_r of sentences of `length` words out of V = n_words, made by an automaton whose state is the last word.

    The first word is w = 0..V-1 with probability proportional to (w + 1)^-exponent. After any word only n_rules others
    may stand, chosen at random once and for all by `grammar`; its i-th most common successor (i = 1..n_rules) follows
    with probability proportional to i^-exponent. So each pair of neighbours is a rule of known probability or breaks
    the language, and any sequence tells exactly which rules made it. Our extension: the text on which a lost tail can
    be counted.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "language"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    n_words: int = 64
    """V: words there are."""
    n_rules: int = 16
    """Words that may follow each word; there are n_words * n_rules rules."""
    exponent: float = 1.5
    """How fast rules become rare (Zipf): the i-th most common has probability proportional to i^-exponent; 0: none."""
    length: int = 32
    """Words of a sentence, the tokens of a sequence."""
    grammar: int = 0
    """Which language: another number, other rules of the same probabilities."""

    def __post_init__(self) -> None:
        if not 2 <= self.n_words <= 10_000:
            raise InvalidInput(f"data.n_words={self.n_words}: expected 2 to 10,000 words")
        if not 1 <= self.n_rules <= self.n_words:
            raise InvalidInput(
                f"data.n_rules={self.n_rules}: expected 1 to n_words={self.n_words} successors of each word"
            )
        if not 0 <= self.exponent <= 10:
            raise InvalidInput(f"data.exponent={self.exponent}: expected 0 (no rule is rare) to 10; text has about 1")
        if self.length < 2:
            raise InvalidInput(f"data.length={self.length}: a rule shows in two words or more; raise length")
        if self.grammar < 0:
            raise InvalidInput(f"data.grammar={self.grammar} is negative; give 0, 1, ...")

    @property
    def event(self) -> Event:
        return Event((self.length,), "int32", n_symbols=self.n_words)

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        """Every 1,024 sentences have a stream."""
        return Samples.of(self._addressed(keys.at("language"), start, stop))

    def held_out(self, n: int) -> Samples:
        return Samples.of(self._addressed(Keys((0,)).at("language", "held-out"), 0, n))

    def moments(self) -> Moments | None:
        """None: the mean of words says nothing."""
        return None

    @property
    def initial(self) -> np.ndarray:
        """Probabilities [V] of a sentence's first word."""
        return _zipf(self.n_words, self.exponent)

    @property
    def turns(self) -> np.ndarray:
        """Probabilities [n_rules] of the i-th most common successor, the same after every word."""
        return _zipf(self.n_rules, self.exponent)

    @property
    def successors(self) -> np.ndarray:
        """[V, n_rules] int32: the words that may follow each word, most common first."""
        return _successors(self)

    @property
    def entropy(self) -> float:
        """Nats per word of a sentence: no model's perplexity is expected below exp(entropy)."""
        return (_entropy(self.initial) + (self.length - 1) * _entropy(self.turns)) / self.length

    def log_probability(self, tokens: np.ndarray) -> np.ndarray:
        """tokens [n, length] -> [n], nats; -inf where a rule is broken."""
        follows = self.successors[tokens[:, :-1]] == tokens[:, 1:, None]
        of_turn = np.where(follows.any(axis=-1), self.turns[follows.argmax(axis=-1)], 0.0)
        with np.errstate(divide="ignore"):
            return np.log(self.initial)[tokens[:, 0]] + np.log(of_turn).sum(axis=1)

    def rules(self) -> tuple[np.ndarray, np.ndarray]:
        """(rules [m, 2] as pairs of words, share [m] of all neighbours in sentences that each makes), m = V * n_rules.

        By the words' exact distribution at each place, averaged over the places that have a successor.
        """
        successors, place, total = self.successors, self.initial, np.zeros(self.n_words)
        for _ in range(self.length - 1):
            total += place
            arriving = place[:, None] * self.turns
            place = np.bincount(successors.ravel(), arriving.ravel(), minlength=self.n_words)
        words = np.repeat(np.arange(self.n_words, dtype=np.int32), self.n_rules)
        share = (total[:, None] * self.turns).ravel() / (self.length - 1)
        return np.stack([words, successors.ravel()], axis=1), share

    def law(self) -> dict[str, np.ndarray]:
        """rules [m, 2], their share [m] of all neighbours; the rare ones of them [r, 2]; held-out tokens [512, length]

        and their log_probability [512].
        """
        return _law(self)

    def spelling(self) -> Spelling:
        """Words of a syllable or more, each followed by a space."""
        return Spelling(tuple(_word(i).encode() + b" " for i in range(self.n_words)))

    def _addressed(self, keys: Keys, start: int, stop: int) -> np.ndarray:
        successors, first, turn = self.successors, _steps(self.initial), _steps(self.turns)

        def chunk_of(b: int, chunk: int) -> np.ndarray:
            u = keys.generator(b, chunk).random((CHUNK, self.length))
            words = np.empty((CHUNK, self.length), np.int32)
            words[:, 0] = np.searchsorted(first, u[:, 0], side="right")
            taken = np.searchsorted(turn, u[:, 1:], side="right")
            for place in range(1, self.length):
                words[:, place] = successors[words[:, place - 1], taken[:, place - 1]]
            return words

        return by_chunks(chunk_of, len(keys.seeds), start, stop, self.length).astype(np.int32)


def _zipf(n: int, exponent: float) -> np.ndarray:
    """[n], proportional to 1, 2^-exponent, 3^-exponent, ..."""
    weight = np.arange(1, n + 1) ** -float(exponent)
    return weight / weight.sum()


def _steps(p: np.ndarray) -> np.ndarray:
    """The distribution function [n], ending above every uniform number."""
    total = p.cumsum()
    total[-1] = 1.0
    return total


def _entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum())


@lru_cache(maxsize=8)
def _successors(language: Language) -> np.ndarray:
    keys = Keys((language.grammar,)).at("language", "successors")
    chosen = [keys.generator(0, w).permutation(language.n_words)[: language.n_rules] for w in range(language.n_words)]
    return np.stack(chosen).astype(np.int32)


@lru_cache(maxsize=8)
def _law(language: Language) -> dict[str, np.ndarray]:
    rules, share = language.rules()
    tokens = language.held_out(N_TESTED).x[0]
    return {
        "rules": rules,
        "share": share,
        "rare": rules[are_rare(share)],
        "tokens": tokens,
        "log_probability": language.log_probability(tokens),
    }


def _word(i: int) -> str:
    """The i-th word: one syllable for the first 80, two for the next 6,400."""
    head, last = divmod(i, len(SYLLABLES))
    return (_word(head - 1) if head else "") + SYLLABLES[last]
