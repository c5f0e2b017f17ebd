"""Small pieces of HTML. Every text passes through `escape`; only these functions write tags around it."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mad_ray.report.live import POLICY
from mad_ray.report.style import CSS


def document(title: str, body: str, scripts: str = "") -> str:
    """A whole page that needs no other file and may ask no network for one."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}{scripts}</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], n_left: int = 1) -> str:
    """A table of ready-made cells; the first n_left columns are text, the others numbers."""
    kinds = ["" if i < n_left else ' class="number"' for i in range(len(head))]
    top = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>'


def fold(summary: str, inner: str) -> str:
    """Closed until the reader opens it."""
    return f"<details><summary>{escape(summary)}</summary><div>{inner}</div></details>\n"


def paragraphs(text: str) -> str:
    """Blank lines part paragraphs."""
    return "".join(f"<p>{escape(' '.join(part.split()))}</p>\n" for part in text.split("\n\n") if part.strip())


def facts(values: Mapping[str, Any]) -> str:
    """A nested mapping as a two-column table: dotted names, plain values."""
    return table(("", ""), [(escape(name), escape(text)) for name, text in _leaves(values)], n_left=2)


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{name}.{key}" if name else str(key))]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(name, ", ".join(str(item) for item in value))]
    return [(name, f"{value:,.6g}" if isinstance(value, float) else str(value))]
