"""One image file's bytes -> uint8 [channels, size, size], by a stated rule. Imports Pillow."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from mad_ray.data.wrong_images import OTHER_SIZE, UNREADABLE


class Refused(Exception):
    """This image cannot be used."""

    def __init__(self, problem: str, found: str) -> None:
        super().__init__(problem, found)
        self.problem, self.found = problem, found


def decode_image(data: bytes, size: int, channels: int, resize: str, scaling: str) -> np.ndarray:
    """uint8 [channels, size, size]. Refused if the bytes are no whole image, or of another size where none is scaled.

    In this order: turned upright as EXIF says; 16 bits to 8 by their high byte; transparency laid on white; scaled;
    grey by ITU-R 601 luma (L = 0.299 R + 0.587 G + 0.114 B), or colour. Of animations the first picture.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that are merely large, and refuses those that are absurdly so.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as opened:
                opened.load()
                image = _to_8_bits(ImageOps.exif_transpose(opened))
    except Refused:
        raise
    # Pillow's readers raise whatever damaged bytes lead them to: OSError, SyntaxError, struct.error, IndexError ...
    except Exception as error:
        raise Refused(UNREADABLE, " ".join(str(error).split())[:120] or type(error).__name__) from error
    square = _scaled(_on_white(image), size, resize, Image.Resampling[scaling.upper()])
    array = np.asarray(square.convert("L" if channels == 1 else "RGB"), np.uint8)
    return np.ascontiguousarray(array.reshape(size, size, channels).transpose(2, 0, 1))


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Pillow reads colour of 16 bits by its high byte; grey follows suit."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise Refused(
            UNREADABLE, f"its values are of {'32 bits' if image.mode == 'I' else 'floating point'}, range unknown"
        )
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """Grey or RGB, without transparency: of a palette, of an alpha channel, or of one colour that is left out."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if is_grey else "RGB")


def _scaled(image: Image.Image, size: int, resize: str, scaling: Image.Resampling) -> Image.Image:
    """Square, of that size. Scaling down, Pillow's filters widen with the factor, as they should against aliasing."""
    if resize == "none":
        if image.size != (size, size):
            raise Refused(OTHER_SIZE, f"{image.width}x{image.height}")
        return image
    if image.size == (size, size):
        return image
    if resize == "squash":
        return image.resize((size, size), scaling)
    if resize == "fit":
        return ImageOps.pad(image, (size, size), scaling, color="white")
    return _cropped(image, size, scaling)


def _cropped(image: Image.Image, size: int, scaling: Image.Resampling) -> Image.Image:
    """The shorter side scaled to the size, then the square in the middle; of an odd rest the pixel more at the end."""
    shorter = min(image.size)
    if shorter != size:
        width, height = (max(size, round(side * size / shorter)) for side in image.size)
        image = image.resize((width, height), scaling)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))
