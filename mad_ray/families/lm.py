"""A small language model: a causal transformer over tokens, whose sampling bias is its temperature."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model
from mad_ray.families.network import Network, arrays_to_event, require

if TYPE_CHECKING:
    from torch import nn

    from mad_ray.families.phase import Phase

Prefer = Callable[[np.ndarray, int], np.ndarray]
"""(tokens before the next [n], -1 at the beginning; V symbols) -> what is added to the logits [n, V]."""


@dataclass(frozen=True)
class LanguageModel(Network):
    """GPT-2's architecture from scratch, on sequences of tokens. Bias: lambda is the temperature, as the paper has it:
    the next token has probability proportional to exp(logit / lambda); 0 always takes the most probable.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "lm"
    measures: ClassVar[tuple[str, ...]] = ("perplexity", "kl_per_token")
    """Of the model at lambda = 1 and top_p = 1, on held-out real sequences. perplexity: exp of the mean negative
    log-probability of a token; V if the model knows nothing. kl_per_token: KL(P_r || model) over the length, nats, the
    mean over these sequences of log P_r - log model; only of data that know P_r."""

    layers: int = 2
    """Transformer blocks."""
    width: int = 64
    """Numbers that stand for a token."""
    heads: int = 4
    """Attention heads of a block; they divide the width."""
    top_p: float = 1.0
    """Draw from the fewest, most probable tokens that reach this probability (nucleus sampling, after the temperature);
    1 draws from all. Below 1 sampling is biased at lambda = 1 too."""
    learning_rate: float = 4e-3
    """AdamW's learning rate, the peak of a one-cycle schedule; wider networks want less, a width of 256 about 1e-3."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("layers", "width", "heads"):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        require(
            self.width % self.heads == 0,
            f"family.width={self.width} does not split in heads={self.heads} equal parts; make it a multiple",
        )
        require(0 < self.top_p <= 1, f"family.top_p={self.top_p} is outside (0, 1]; 1 turns it off, 0.9 is usual")

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Sequences of tokens only; every lambda from 0 to 1 is a temperature."""
        super().check(event, loop, workers)
        require(
            event.dtype == "int32" and len(event.shape) == 1 and event.n_symbols >= 2,
            f"family=lm needs sequences of tokens (int32 of shape (length,), 2 or more symbols); data gives "
            f"{event.dtype} samples of shape {event.shape}: use data=language, data=text, or another family",
        )

    def build(self, event: Event) -> "nn.Module":
        """The transformer for these symbols and this length."""
        from mad_ray.families.lm_net import build_gpt2

        (length,) = event.shape
        return build_gpt2(
            n_symbols=event.n_symbols, length=length, layers=self.layers, width=self.width, heads=self.heads
        )

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """One: the cross-entropy of the next token."""
        from mad_ray.families.lm_net import token_loss
        from mad_ray.families.phase import Phase

        return [Phase(net, token_loss)]

    def draw_chunk(self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """[chunk, length] int32; each sequence has its own uniform numbers, one per token."""
        return self._draw_preferring(net, event, first, bias, keys, None)

    def sample_preferring(
        self, model: Model, start: int, stop: int, bias: float, keys: Keys, prefer: Prefer
    ) -> Samples:
        """`sample`, but prefer(previous [n], V) [n, V] is added to the logits of every next token, before temperature

        and nucleus; previous is -1 at the beginning. With zeros added it is `sample`, to the byte.
        """

        def draw(net: "nn.Module", event: Event, first: int) -> np.ndarray:
            return self._draw_preferring(net, event, first, bias, keys, prefer)

        return self.sample_by(draw, model, start, stop)

    def _draw_preferring(
        self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys, prefer: Prefer | None
    ) -> np.ndarray:
        from mad_ray.families.lm_net import draw_sequences

        uniform = np.stack([keys.generator(0, i).random(event.shape) for i in range(first, first + self.chunk)])
        return draw_sequences(net, uniform, bias, self.top_p, prefer)

    def measure(self, model: Model, law: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [1] each; law: held-out "tokens" [n, length], their "log_probability" [n]."""
        import torch

        from mad_ray.families.hardware import arithmetic
        from mad_ray.families.kept import kept_module
        from mad_ray.families.lm_net import log_likelihoods

        tokens = law["tokens"]
        net = kept_module(model, self, partial(self.build, arrays_to_event(model)))
        with torch.inference_mode(), arithmetic(self.precision):
            found = log_likelihoods(net, tokens, self.chunk)
        real = law.get("log_probability", np.full(len(tokens), np.nan))
        known = {
            "perplexity": np.exp(-found.mean() / tokens.shape[1]),
            "kl_per_token": (real - found).mean() / tokens.shape[1],
        }
        return {name: np.array([known[name]]) for name in names}
