"""Decoding: size, channels, bit depth, orientation and transparency."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cortexgraph.data import decode as decode_module
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


def png_of_16_bits(levels: np.ndarray, colour_type: int, transparent: bytes = b"") -> bytes:
    """A PNG file of levels [H, W, C], written without PIL, which cannot."""
    height, width = levels.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    body = chunk(b"tRNS", transparent) if transparent else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def tiff_of_16_bits(levels: np.ndarray, order: str, alpha: int = 0) -> bytes:
    """An uncompressed TIFF file of levels [H, W, C] in one of both orders of bytes."""
    height, width, channels = levels.shape
    pixels = levels.astype(f"{order}u2").tobytes()
    tags = [
        (256, width),
        (257, height),
        (259, 1),
        (262, 2),
        (273, 8),
        (277, channels),
        (278, height),
        (279, len(pixels)),
    ]
    place = 8 + len(pixels)
    tags = sorted([*tags, (258, place), *([(338, alpha)] if channels == 4 else [])])
    count = {258: channels}
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 4 if tag in (273, 279) else 3, count.get(tag, 1))
        + (struct.pack(f"{order}I", value) if tag in (258, 273, 279) else struct.pack(f"{order}HH", value, 0))
        for tag, value in tags
    )
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    head = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)
    return head + struct.pack(f"{order}I", place + len(bits)) + pixels + bits + directory


def random_levels(channels: int) -> np.ndarray:
    levels = np.random.default_rng(channels).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    levels[0, :6] = np.array([0, 128, 129, 255, 256, 65535], np.uint16)[:, None]
    return levels


def divided(levels: np.ndarray) -> np.ndarray:
    """One rule for all images: levels of 16 bits divided by 257, rounded."""
    return np.rint(levels / 257).astype(np.uint8)


@pytest.mark.parametrize("form", ["png", "<tiff", ">tiff"])
def test_colours_of_16_bits_follow_the_rule_of_greys(tmp_path: Path, form: str) -> None:
    levels = random_levels(3)
    (tmp_path / "a").write_bytes(png_of_16_bits(levels, 2) if form == "png" else tiff_of_16_bits(levels, form[0]))
    assert torch.equal(decode_files([tmp_path / "a"], (5, 7), 3)[0], as_tensor(divided(levels)))
    grey = random_levels(1)
    (tmp_path / "b").write_bytes(png_of_16_bits(grey, 0))
    assert torch.equal(decode_files([tmp_path / "b"], (5, 7), 1)[0], as_tensor(divided(grey)))


@pytest.mark.parametrize(("colour_type", "channels"), [(4, 2), (6, 4)])
def test_transparent_images_of_16_bits_follow_the_rule_too(tmp_path: Path, colour_type: int, channels: int) -> None:
    levels = random_levels(channels)
    levels[..., -1] = np.where(np.indices((5, 7)).sum(0) % 2, 65535, 0)
    (tmp_path / "a").write_bytes(png_of_16_bits(levels, colour_type))
    expected = np.where(levels[..., -1:] > 0, divided(levels[..., :-1]), 255) * np.ones((1, 1, 3), np.uint8)
    assert torch.equal(decode_files([tmp_path / "a"], (5, 7), 3)[0], as_tensor(expected.astype(np.uint8)))


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_the_transparent_colour_of_16_bits_becomes_white(tmp_path: Path, colour_type: int, channels: int) -> None:
    levels = random_levels(channels)
    (tmp_path / "a").write_bytes(png_of_16_bits(levels, colour_type, levels[2, 3].astype(">u2").tobytes()))
    expected = divided(levels) * np.ones((1, 1, 3), np.uint8)
    expected[(levels == levels[2, 3]).all(-1)] = 255
    assert torch.equal(decode_files([tmp_path / "a"], (5, 7), 3)[0], as_tensor(expected))


@pytest.mark.parametrize("alpha", [1, 2])
def test_tiff_with_alpha(tmp_path: Path, alpha: int) -> None:
    """`alpha` 1: the colours are multiplied by it already."""
    levels = random_levels(4)
    levels[..., 3] = 65535
    (tmp_path / "a").write_bytes(tiff_of_16_bits(levels, "<", alpha))
    assert torch.equal(decode_files([tmp_path / "a"], (5, 7), 3)[0], as_tensor(divided(levels[..., :3])))


def test_large_images_are_converted_strip_by_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "STRIP_PIXELS", 15)
    test_colours_of_16_bits_follow_the_rule_of_greys(tmp_path, "png")
    test_transparent_becomes_white(tmp_path)


@pytest.mark.parametrize("kind", ["16-bit RGBA", "8-bit RGBA", "float"])
def test_a_small_file_of_many_pixels_does_not_fill_the_memory(tmp_path: Path, kind: str) -> None:
    """2000 × 2000 pixels in a file of some kB: the peak grows by a few images of them, not by a dozen."""
    side = 2000
    file = tmp_path / ("a.tiff" if kind == "float" else "a.png")
    if kind == "16-bit RGBA":
        row = b"\0" + bytes(8 * side)
        file.write_bytes(png_of_16_bits(np.zeros((1, 1, 4), np.uint16), 6))
        pack = zlib.compressobj()
        data = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
        whole = png_of_16_bits(np.zeros((0, side, 4), np.uint16), 6)
        header = struct.pack(">II", side, side)
        whole = whole[:16] + header + whole[24:29] + struct.pack(">I", zlib.crc32(b"IHDR" + header + whole[24:29]))
        image = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
        file.write_bytes(whole + image + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    else:
        Image.new("F" if kind == "float" else "RGBA", (side, side)).save(file, compression="tiff_lzw")
    assert file.stat().st_size < 500_000
    code = (
        "import resource, sys; from pathlib import Path; from cortexgraph.data.decode import decode_files\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_files([Path(sys.argv[1])], (32, 32), 3)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 4 * 4 * side * side, f"{int(done.stdout) / 1024:.0f} MB"


def test_resize_keeps_the_middle_of_any_shape(tmp_path: Path) -> None:
    """As Resize(256) and CenterCrop((128, 224)) do: of 400 × 400 pixels, x from 25 to 375 and y from 100 to 300."""
    across = np.broadcast_to(np.arange(400) / 399 * 255, (400, 400)).astype(np.uint8)
    Image.fromarray(np.stack([across, across.T, across], 2)).save(tmp_path / "a.png")
    x, y, _ = decode_files([tmp_path / "a.png"], (128, 224), 3, 256)[0].float() / 255 * 399
    assert (round(float(x[0, 0])), round(float(x[0, -1]))) == pytest.approx((25, 374), abs=2)
    assert (round(float(y[0, 0])), round(float(y[-1, 0]))) == pytest.approx((100, 299), abs=2)


def test_a_small_part_of_a_large_jpeg_keeps_its_detail(tmp_path: Path) -> None:
    stripes = np.broadcast_to((np.arange(1200) // 4 % 2 * 255).astype(np.uint8), (1200, 1200))
    for name in ("a.jpg", "a.png"):
        Image.fromarray(stripes).save(tmp_path / name, quality=95)
    jpeg, png = (decode_files([tmp_path / name], (32, 32), 1, 1200).float() for name in ("a.jpg", "a.png"))
    assert float((jpeg - png).abs().mean()) < 3
