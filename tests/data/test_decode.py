"""One image's bytes -> pixels: every rule that the settings state, on images made to tell."""

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from mad_ray.data.decode import Refused, decode_image
from tests.data.pictures import encoded, picture


def decoded(data: bytes, size: int = 8, channels: int = 3, resize: str = "none", scaling: str = "lanczos"):
    x = decode_image(data, size, channels, resize, scaling)
    assert (x.shape, x.dtype) == ((channels, size, size), np.uint8)
    return x


def test_colour_as_it_is() -> None:
    np.testing.assert_array_equal(decoded(encoded(picture(0))), picture(0).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_formats_without_loss_agree(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decoded(encoded(picture(1), kind, **options)), picture(1).transpose(2, 0, 1))


def test_jpeg_is_near() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 8)[:, None, None], (8, 8, 3)).astype(np.uint8)
    error = decoded(encoded(smooth, "JPEG", quality=95)).astype(int) - smooth.transpose(2, 0, 1)
    assert np.abs(error).max() <= 4


def test_grey_is_luma_and_colour_of_grey_is_three_times_the_same() -> None:
    rgb = picture(2).astype(float)
    luma = rgb @ [0.299, 0.587, 0.114]
    # Pillow's weights are fractions of 65,536, rounded.
    np.testing.assert_allclose(decoded(encoded(picture(2)), channels=1)[0], luma, atol=0.51)
    grey = picture(2)[..., 0]
    np.testing.assert_array_equal(decoded(encoded(grey)), np.stack([grey] * 3))
    np.testing.assert_array_equal(decoded(encoded(grey), channels=1)[0], grey)


def test_alpha_is_laid_on_white() -> None:
    alpha = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    rgba = np.dstack([picture(3), alpha])
    share = alpha[..., None] / 255
    expected = share * picture(3) + (1 - share) * 255
    np.testing.assert_allclose(decoded(encoded(rgba)), expected.transpose(2, 0, 1), atol=1)
    grey_alpha = np.dstack([picture(3)[..., 0], alpha])
    image = decoded(encoded(grey_alpha, mode="LA"), channels=1)[0]
    np.testing.assert_allclose(image, expected[..., 0], atol=1)


def test_what_is_transparent_was_never_black() -> None:
    """Laid on white before it is scaled: no dark seams."""
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:16] = 255
    assert decoded(encoded(rgba), 8, resize="squash").min() == 255


def test_palettes_with_and_without_a_transparent_colour() -> None:
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[:4] = (255, 0, 0)
    flat[4:] = (0, 0, 255)
    np.testing.assert_array_equal(decoded(encoded(flat, "PNG", "P")), flat.transpose(2, 0, 1))
    image = Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=image.getpixel((0, 0)))
    seen = decoded(stream.getvalue())
    assert (seen[:, :4] == 255).all()
    np.testing.assert_array_equal(seen[:, 4:], flat.transpose(2, 0, 1)[:, 4:])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_16_bits_the_high_byte_is_kept(kind: str) -> None:
    grey = (np.arange(64, dtype=np.uint16) * 1031).reshape(8, 8)
    assert Image.open(io.BytesIO(encoded(grey, kind))).mode == "I;16"
    np.testing.assert_array_equal(decoded(encoded(grey, kind), channels=1)[0], grey >> 8)


def test_black_and_white() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (8, 8)).astype(bool)
    np.testing.assert_array_equal(decoded(encoded(bits), channels=1)[0], 255 * bits)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright_as_exif_says(orientation: int) -> None:
    """The eight orientations of EXIF, from its own table: where row 0 and column 0 are."""
    scene = picture(5)
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: scene[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(np.ascontiguousarray(stored), "PNG", exif=exif)
    np.testing.assert_array_equal(decoded(data), scene.transpose(2, 0, 1))


def test_of_an_animation_the_first_picture() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert (decoded(stream.getvalue())[:, 0, 0] == (255, 0, 0)).all()


def test_crop_scales_the_shorter_side_and_keeps_the_middle() -> None:
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    assert (decoded(encoded(wide), resize="crop", scaling="box") == 200).all()
    assert (decoded(encoded(wide.transpose(1, 0, 2).copy()), resize="crop", scaling="box") == 200).all()
    odd = np.arange(11, dtype=np.uint8)[None].repeat(8, 0)
    np.testing.assert_array_equal(decoded(encoded(odd), channels=1, resize="crop")[0, 0], np.arange(1, 9))


def test_fit_shows_the_whole_on_white_and_squash_the_whole_squashed() -> None:
    wide = np.full((8, 16, 3), 100, np.uint8)
    fit = decoded(encoded(wide), resize="fit")
    assert (fit[:, [0, 1, 6, 7]] == 255).all()
    assert (fit[:, 2:6] == 100).all()
    assert (decoded(encoded(wide), resize="squash") == 100).all()


def test_scaling_down_does_not_alias() -> None:
    """Of a fine checkerboard every filter but nearest sees grey."""
    board = (255 * (np.indices((64, 64)).sum(0) % 2)).astype(np.uint8)
    for scaling in ("lanczos", "bicubic", "bilinear", "box"):
        inner = decoded(encoded(board), 8, 1, "squash", scaling)[0, 1:-1, 1:-1]
        assert np.abs(inner.astype(int) - 127).max() <= 3, scaling
    assert set(np.unique(decoded(encoded(board), 8, 1, "squash", "nearest"))) <= {0, 255}


def test_box_is_the_mean() -> None:
    x = picture(6, 16, 16)
    mean = x.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    # Pillow rounds twice, after each direction.
    np.testing.assert_allclose(decoded(encoded(x), resize="squash", scaling="box"), mean, atol=1)


def test_what_has_the_size_is_left_alone() -> None:
    for resize in ("crop", "fit", "squash"):
        np.testing.assert_array_equal(decoded(encoded(picture(7)), resize=resize), picture(7).transpose(2, 0, 1))


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 150])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])
def test_no_cut_file_passes(kind: str, cut: int) -> None:
    with pytest.raises(Refused) as caught:
        decoded(encoded(picture(8), kind)[:cut])
    assert caught.value.problem == "unreadable"
    assert caught.value.found


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_are_refused_or_decoded_and_nothing_else(seed: int) -> None:
    """Whatever Pillow's readers trip over, it is told as an image that cannot be read."""
    generator = np.random.default_rng(seed)
    data = bytearray(encoded(picture(seed), ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"][seed % 6]))
    for place in generator.integers(4, len(data), 12):
        data[place] = generator.integers(256)
    with contextlib.suppress(Refused):
        decoded(bytes(data), resize="squash")


def test_sizes_are_told() -> None:
    with pytest.raises(Refused) as caught:
        decoded(encoded(picture(0, 9, 7)))
    assert (caught.value.problem, caught.value.found) == ("of another size", "9x7")
