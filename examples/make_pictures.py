"""Writes examples/pictures.zip: 540 small pictures of discs, squares and triangles, as messy as a user's own.

Sizes differ, some are JPEG and some PNG, some are transparent around the shape. The same zip each time, with the same
versions of NumPy and Pillow: python examples/make_pictures.py
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

N_OF_EACH = 180
SHAPES = ("disc", "square", "triangle")


def picture(shape: str, generator: np.random.Generator) -> Image.Image:
    """One shape of a random colour, size and place, drawn four times too large and scaled down."""
    width, height = (int(side) for side in generator.integers(18, 29, 2))
    ground, colour = (tuple(int(c) for c in generator.integers(low, low + 110, 3)) for low in (130, 10))
    image = Image.new("RGBA", (4 * width, 4 * height), (*ground, 255 if generator.random() < 0.7 else 0))
    radius = 2 * min(width, height) * generator.uniform(0.45, 0.85)
    x, y = (side / 2 + generator.normal(0, 0.04 * side) for side in image.size)
    draw = ImageDraw.Draw(image)
    if shape == "disc":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))
    else:
        turn = generator.uniform(-15, 15)
        draw.regular_polygon((x, y, radius), 4 if shape == "square" else 3, turn, fill=(*colour, 255))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def encoded(image: Image.Image) -> tuple[str, bytes]:
    """(suffix, bytes): JPEG, or PNG where something is transparent."""
    stream = io.BytesIO()
    if image.getpixel((0, 0))[3] == 255:  # type: ignore[index]
        image.convert("RGB").save(stream, "JPEG", quality=80)
        return "jpg", stream.getvalue()
    image.save(stream, "PNG", optimize=True)
    return "png", stream.getvalue()


def main() -> None:
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(Path(__file__).with_name("pictures.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for shape in SHAPES:
            for i in range(N_OF_EACH):
                suffix, data = encoded(picture(shape, generator))
                # A fixed date, so that the same pictures make the same file.
                archive.writestr(zipfile.ZipInfo(f"pictures/{shape}/{i:03d}.{suffix}"), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
