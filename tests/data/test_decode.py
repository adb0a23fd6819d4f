"""Decoding: size, channels, bit depth, orientation and transparency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cortexgraph.data.decode import decode_files, fit_array


def decode(image: Image.Image, file: Path, size: tuple[int, int] = (4, 4), channels: int = 3) -> torch.Tensor:
    image.save(file)
    return decode_files([file], size, channels)[0]


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """[H, W, C] → [C, H, W]"""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def ramp(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8))


def test_an_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = decode(ramp(6, 9), tmp_path / "a.png", (6, 9))
    assert torch.equal(pixels, as_tensor(np.asarray(ramp(6, 9))))


def test_shrinking_averages(tmp_path: Path) -> None:
    board = np.indices((32, 32)).sum(0) % 2 * 255
    pixels = decode(Image.fromarray(board.astype(np.uint8)), tmp_path / "a.png", (4, 4), 1)
    assert ((pixels.float() - 127.5).abs() < 8).all()


def test_a_wide_image_is_cut_around_its_middle(tmp_path: Path) -> None:
    pixels = decode(ramp(10, 30), tmp_path / "a.png", (10, 10))
    assert pixels[1, 0].tolist() == list(range(10, 20))


def test_a_small_image_is_enlarged(tmp_path: Path) -> None:
    pixels = decode(Image.new("RGB", (2, 2), (9, 8, 7)), tmp_path / "a.png", (6, 5))
    assert pixels.shape == (3, 6, 5)
    assert pixels[:, 3, 3].tolist() == [9, 8, 7]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_colour_to_grey_and_back(tmp_path: Path, ending: str) -> None:
    colour = Image.new("RGB", (4, 4), (255, 0, 0))
    assert decode(colour, tmp_path / f"a.{ending}", channels=1)[0, 0, 0] == pytest.approx(76, abs=1)
    grey = Image.new("L", (4, 4), 50)
    assert decode(grey, tmp_path / f"b.{ending}")[:, 0, 0].tolist() == [50, 50, 50]


def test_a_large_jpeg_equals_its_lossless_copy(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:256, :256]
    smooth = Image.fromarray(np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8))
    smooth.save(tmp_path / "a.jpg", quality=95)
    difference = decode(smooth, tmp_path / "a.png", (16, 16)).int() - decode_files([tmp_path / "a.jpg"], (16, 16), 3)
    assert difference.abs().max() <= 4


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((4, 4), 65535 // 2, np.uint16))
    assert decode(deep, tmp_path / "a.png")[:, 0, 0].tolist() == [127, 127, 127]


def test_transparent_becomes_white(tmp_path: Path) -> None:
    assert decode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), tmp_path / "a.png")[:, 0, 0].tolist() == [255] * 3
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "b.png", transparency=b"\x00")
    assert decode_files([tmp_path / "b.png"], (4, 4), 3)[0, :, 0, 0].tolist() == [255] * 3


def test_photographs_are_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90° clockwise to view
    ramp(6, 9).save(tmp_path / "a.png", exif=exif)
    pixels = decode_files([tmp_path / "a.png"], (9, 6), 3)[0]
    assert torch.equal(pixels, as_tensor(np.rot90(np.asarray(ramp(6, 9)), -1)))


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode_files([tmp_path / "a.gif"], (4, 4), 3)[0, :, 0, 0].tolist() == [255, 0, 0]


def test_arrays_are_fitted_alike(tmp_path: Path) -> None:
    image = ramp(16, 16)
    fitted = fit_array(np.asarray(image)[None], (8, 8), 1)
    assert torch.equal(fitted[0], decode(image, tmp_path / "a.png", (8, 8), 1))
    assert fit_array(np.asarray(image)[None], (16, 16), 3).shape == (1, 3, 16, 16)
