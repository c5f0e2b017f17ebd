"""A small causal transformer, transformers' GPT-2 architecture (Radford et al. 2019): its loss, sampling and testing.

Imports torch. Tokens are 0..V-1; token V begins every sequence and is never drawn.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mad_ray.shims import mend_torchvision


def build_gpt2(*, n_symbols: int, length: int, layers: int, width: int, heads: int) -> nn.Module:
    """GPT-2 from scratch, without dropout. Attention is written out, so that its gradients are deterministic."""
    mend_torchvision()
    from transformers import GPT2Config, GPT2LMHeadModel

    config: Any = GPT2Config(
        vocab_size=n_symbols + 1,
        n_positions=length,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=n_symbols,
        eos_token_id=n_symbols,
    )
    config._attn_implementation = "eager"
    return GPT2LMHeadModel(config)


def next_logits(net: Any, tokens: Tensor) -> Tensor:
    """tokens [b, L] -> logits [b, L, V] float32 of each token, given those before it."""
    n_symbols = net.config.vocab_size - 1
    begin = torch.full_like(tokens[:, :1], n_symbols)
    logits = net(input_ids=torch.cat([begin, tokens[:, :-1]], dim=1), use_cache=False).logits
    return logits[..., :n_symbols].float()


def token_loss(net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
    """Mean cross-entropy of the tokens x [b, L], in nats."""
    tokens = x.long()
    return functional.cross_entropy(next_logits(net, tokens).flatten(0, 1), tokens.flatten())


def log_likelihoods(net: nn.Module, tokens: np.ndarray, chunk: int) -> np.ndarray:
    """tokens [n, L] -> log-probability [n] of each sequence, nats, float64; `chunk` sequences at a time."""
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(tokens), chunk):
        x = torch.from_numpy(tokens[start : start + chunk].astype(np.int64)).to(device)
        log_p = next_logits(net, x).double().log_softmax(dim=-1)
        found.append(log_p.gather(-1, x[..., None])[..., 0].sum(dim=1).cpu().numpy())
    return np.concatenate(found)


def tempered(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """logits [b, V] -> probabilities [b, V], float64: softmax(logits / temperature), at 0 all on the first largest.

    Of these the nucleus is kept (Holtzman et al. 2020): the fewest, most probable tokens that reach top_p together.
    """
    if temperature == 0:
        return functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).double()
    # From the largest down, so that no temperature is too small: at worst the others underflow to 0.
    below = logits.double() - logits.max(dim=-1, keepdim=True).values.double()
    p = (below / temperature).softmax(dim=-1)
    if top_p >= 1:
        return p
    ordered, place = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.zeros_like(p).scatter(-1, place, (before < top_p).double())
    return p * kept / (p * kept).sum(dim=-1, keepdim=True)


def choose(p: Tensor, u: Tensor) -> Tensor:
    """p [b, V] and uniform numbers u [b] in [0, 1) -> tokens [b], by the inverse of the distribution function.

    None of probability 0 (core/counts.py: uniform_to_symbols has the same rule).
    """
    total = p.cumsum(dim=-1)
    return torch.searchsorted(total, (u * total[:, -1])[:, None], right=True)[:, 0]


def draw_sequences(
    net: Any,
    uniform: np.ndarray,
    temperature: float,
    top_p: float,
    prefer: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> np.ndarray:
    """uniform [n, L], float64: one number per token -> tokens [n, L] int32, each step fed with the last token only.

    The keys and values of earlier tokens are kept (tests/families/test_lm.py: test_the_cache_changes_nothing).
    prefer(last tokens [n], -1 at the beginning; V) [n, V]: added to the logits.
    """
    device = next(net.parameters()).device
    n_symbols = net.config.vocab_size - 1
    u = torch.from_numpy(uniform).to(device)
    last = torch.full((len(uniform), 1), n_symbols, device=device)
    kept, drawn = None, []
    for place in range(uniform.shape[1]):
        found = net(input_ids=last, past_key_values=kept, use_cache=True)
        kept = found.past_key_values
        logits = found.logits[:, -1, :n_symbols]
        if prefer is not None:
            logits = logits.double() + _preference(prefer, last[:, 0], n_symbols)
        p = tempered(logits, temperature, top_p)
        last = choose(p, u[:, place])[:, None]
        drawn.append(last)
    return torch.cat(drawn, dim=1).cpu().numpy().astype(np.int32)


def _preference(prefer: Callable[[np.ndarray, int], np.ndarray], last: Tensor, n_symbols: int) -> Tensor:
    previous = last.cpu().numpy()
    found = prefer(np.where(previous == n_symbols, -1, previous), n_symbols)
    return torch.from_numpy(np.asarray(found, np.float64)).to(last.device)
