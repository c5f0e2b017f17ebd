"""The paper's symbols, n_e/n_r and lambda, as figures, pages and canvases write them. Any other text stays text."""

import re
from collections.abc import Callable
from html import escape

from mad_ray.report.axes import literal

GREEK = {"lambda": "λ", "mu": "μ", "sigma": "σ", "alpha": "α", "beta": "β", "tau": "τ"}
SYMBOL = re.compile(r"([A-Za-z]|" + "|".join(GREEK) + r")(?:_([A-Za-z0-9]{1,5}))?")
IN_PROSE = re.compile(r"\b(?:n_(?:e|r|s|ini|fixed)|lambda)\b")
SUBSCRIPTS = str.maketrans("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")


def to_mathtext(label: str) -> str:
    """n_e/n_r -> $n_{e}/n_{r}$, for matplotlib."""
    return _typeset(label, lambda inner: f"${inner}$", _mathtext, literal)


def to_html(label: str) -> str:
    """n_s -> <i>n</i><sub>s</sub>."""
    return _typeset(label, lambda inner: inner, _html, escape)


def to_unicode(label: str) -> str:
    """n_s -> nₛ, for canvases and tooltips that know no markup."""
    return _typeset(label, lambda inner: inner, _unicode, lambda text: text)


def to_unicode_words(words: str) -> str:
    """ "lambda = 0.85" -> "λ = 0.85"."""
    name, equals, value = words.partition(" = ")
    return f"{to_unicode(name)}{equals}{value}"


def to_prose(words: str) -> str:
    """HTML of a sentence of ours, in which the paper's symbols stand out."""
    return IN_PROSE.sub(lambda found: to_html(found[0]), escape(words))


def _typeset(
    label: str, around: Callable[[str], str], one: Callable[[str, str], str], other: Callable[[str], str]
) -> str:
    """A quotient of symbols, each written by `one` (base, index); anything else by `other`."""
    found = [SYMBOL.fullmatch(part) for part in label.split("/")]
    written = [one(match[1], match[2] or "") for match in found if match is not None]
    return around("/".join(written)) if len(written) == len(found) else other(label)


def _mathtext(base: str, index: str) -> str:
    return (rf"\{base}" if base in GREEK else base) + (f"_{{{index}}}" if index else "")


def _html(base: str, index: str) -> str:
    return f"<i>{GREEK.get(base, base)}</i>" + (f"<sub>{index}</sub>" if index else "")


def _unicode(base: str, index: str) -> str:
    small = index.translate(SUBSCRIPTS)
    return GREEK.get(base, base) + (small if not index.isascii() or small != index else f"_{index}" if index else "")
