"""Sample strips: what the models of each generation draw, beneath what they should look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.study import CaseInfo
from mad_ray.analysis.trend import spread
from mad_ray.report.axes import INK, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 12
MAX_IMAGES = 16
GAP = 0.08
"""Between images, in image widths; the real row stands off by three of them."""


def strip_figure(case: CaseInfo, seed: int) -> Figure:
    """One trajectory. Rows: real data on top, then generations 1, 2, ... (evenly thinned to MAX_ROWS)."""
    from matplotlib.figure import Figure

    rows = strip_rows(case.strips[seed], case.real_strip)
    picture, centres, size = mosaic([images for _, images in rows])
    height, width = picture.shape[:2]
    inches = np.clip(size / 110, 0.42, 0.9) / size
    figure = Figure(figsize=(0.75 + inches * width, 0.1 + inches * height), facecolor=PAPER)
    left, bottom = 0.7 / figure.get_figwidth(), 0.05 / figure.get_figheight()
    ax = figure.add_axes((left, bottom, inches * width / figure.get_figwidth(), 1 - 2 * bottom))
    ax.imshow(picture, interpolation="nearest", aspect="auto")
    ax.set_xticks([])
    ax.set_yticks(centres, [name for name, _ in rows], fontsize=9, color=INK)
    ax.tick_params(length=0, pad=6)
    ax.spines[:].set_visible(False)
    return figure


def strip_rows(strips: dict[int, np.ndarray], real_strip: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
    """(label, images) from top to bottom. ValueError without any."""
    generations = sorted(strips)
    if not generations:
        raise ValueError("no sample strips")
    kept = [generations[i] for i in spread(len(generations), MAX_ROWS)]
    real = [] if real_strip is None else [("real", real_strip)]
    return real + [(f"t = {t}", strips[t]) for t in kept]


def mosaic(rows: list[np.ndarray]) -> tuple[np.ndarray, list[float], int]:
    """Rows of images, uint8 [m, C, H, W] -> (picture [H, W, 3], each row's centre, image size in pixels)."""
    n = min(MAX_IMAGES, max(len(row) for row in rows))
    _, _, h, w = rows[0].shape
    scale = max(1, -(-48 // max(h, w)))
    h, w = h * scale, w * scale
    gap = max(1, round(GAP * w))
    tops = [i * (h + gap) + (2 * gap if i > 0 else 0) for i in range(len(rows))]
    picture = np.full((tops[-1] + h, n * (w + gap) - gap, 3), 255, np.uint8)
    for top, row in zip(tops, rows, strict=True):
        for i, image in enumerate(row[:n]):
            picture[top : top + h, i * (w + gap) : i * (w + gap) + w] = _to_rgb(image, scale)
    return picture, [top + h / 2 for top in tops], max(h, w)


def _to_rgb(image: np.ndarray, scale: int) -> np.ndarray:
    """[C, H, W] -> [scale H, scale W, 3]."""
    rgb = np.broadcast_to(image, (3, *image.shape[1:])) if len(image) == 1 else image[:3]
    return rgb.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
