"""A figure on the page: the picture, its interactive twin in the picture's place, and its files beside the page."""

from __future__ import annotations

import base64
import pathlib
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from mad_ray.report.files import DPI, figure_to_pdf, figure_to_png
from mad_ray.report.live import to_item
from mad_ray.report.symbols import to_prose

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from matplotlib.figure import Figure

CSS_DPI = 96
HINT = "Point at it to read off values, drag to zoom."
LEGEND_HINT = "Point at it to read off values, drag to zoom, click on a name to hide its line."
LEGEND = '"name":"Legend"'


class Plates:
    """Saves each figure as PNG and PDF, hands back the HTML that shows it, and keeps what the interactive ones need."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.n_saved = 0
        self.items: list[str] = []

    def embed(
        self, figure: Figure, name: str, caption: str = "", live: LayoutDOM | None = None, data: Sequence[str] = ()
    ) -> str:
        """File names count up, so that two cases of similar names never share one. data: files of its numbers."""
        self.n_saved += 1
        stem = f"{self.n_saved:02d}-{slug(name)}"
        png = figure_to_png(figure)
        (self.folder / f"{stem}.png").write_bytes(png)
        (self.folder / f"{stem}.pdf").write_bytes(figure_to_pdf(figure))
        stage = hint = ""
        if live is not None:
            self.items.append(to_item(live, f"f{len(self.items) + 1}"))
            stage = f'<div class="sheet live" id="live-{len(self.items)}" data-item="data-{len(self.items)}"></div>'
            hint = f'<span class="hint">{LEGEND_HINT if LEGEND in self.items[-1] else HINT} </span>'
        below = f"{to_prose(caption)} " if caption else ""
        return (
            f'<figure class="plate">{stage}<div class="sheet still">{picture(png, name)}</div>'
            f"<figcaption>{below}{hint}{links([f'{stem}.png', f'{stem}.pdf', *data])}</figcaption></figure>\n"
        )

    def film(self, gif: bytes, name: str, caption: str) -> str:
        """An animated GIF, within the page and beside it. Its width stands in its bytes 6 and 7."""
        self.n_saved += 1
        file = f"{self.n_saved:02d}-{slug(name)}.gif"
        (self.folder / file).write_bytes(gif)
        data, width = base64.b64encode(gif).decode(), int.from_bytes(gif[6:8], "little")
        image = f'<img alt="{escape(name)}" width="{width}" src="data:image/gif;base64,{data}">'
        return (
            f'<figure class="plate"><div class="sheet">{image}</div>'
            f"<figcaption>{to_prose(caption)} {links([file])}</figcaption></figure>\n"
        )


def picture(png: bytes, alt: str) -> str:
    """An image inside the page itself."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(alt)}" width="{css_width(png)}" src="data:image/png;base64,{data}">'


def css_width(png: bytes) -> int:
    """The width at which figures of one DPI have letters of one size; a PNG's width stands in its bytes 16 to 20."""
    return round(int.from_bytes(png[16:20], "big") * CSS_DPI / DPI)


def links(files: Sequence[str]) -> str:
    """ "PNG · PDF · CSV (cells)": the same figure and its numbers as files beside the page."""
    kinds = [file.rpartition(".")[2].upper() for file in files]
    names = [
        kind if kinds.count(kind) == 1 else f"{kind} ({file.rpartition('.')[0]})"
        for file, kind in zip(files, kinds, strict=True)
    ]
    written = [f'<a href="{escape(file)}">{escape(name)}</a>' for file, name in zip(files, names, strict=True)]
    return f'<span class="files">{" · ".join(written)}</span>'


def slug(name: str) -> str:
    """A file name of at most 60 safe characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "figure"
