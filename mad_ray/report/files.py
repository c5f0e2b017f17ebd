"""Figures as files: the same bytes for the same figure, whenever and wherever they are drawn."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.report.axes import PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
PDF_DPI = 300
"""Of what is kept as pixels within a PDF."""


def figure_to_png(figure: Figure) -> bytes:
    """Nothing of the time or the machine goes in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    return buffer.getvalue()


def pixels_to_png(x: np.ndarray) -> bytes:
    """An image [C, H, W] of uint8 as it is, pixel for pixel; of one channel the same three times."""
    from matplotlib.image import imsave

    rgb = np.broadcast_to(x, (3, *x.shape[1:])) if len(x) == 1 else x[:3]
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(rgb.transpose(1, 2, 0)), format="png")
    return buffer.getvalue()


def figure_to_pdf(figure: Figure) -> bytes:
    """For print: lines as lines, text as text (embedded TrueType, which journals ask for), no date, no producer."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    FigureCanvasPdf(figure)
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Producer", "Creator"))
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", dpi=PDF_DPI, facecolor=PAPER, metadata=nothing)
    return buffer.getvalue()
