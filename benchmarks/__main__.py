"""`python -m benchmarks PART …`: print measurements as Markdown."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.end_to_end import end_to_end
from benchmarks.ingredients import ingredients
from benchmarks.memory import memory
from benchmarks.network import READINGS
from benchmarks.ratios import ratios
from benchmarks.size import size
from benchmarks.streaming import streaming
from benchmarks.timing import CLOCKS, Setting

PARTS = ("ratios", "memory", "size", "end-to-end", "ingredients", "streaming")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 6, 8, 16], help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts; default: %(default)s")
    parser.add_argument("--reading", choices=[*READINGS], default="own", help="of the baseline; default: %(default)s")
    parser.add_argument("--width", type=int, default=1, help="divides the channels; default: %(default)s")
    parser.add_argument("--threads", type=int, help="on a shared machine 1 gives steadier figures; default: torch's")
    parser.add_argument("--clock", choices=[*CLOCKS], default="wall", help="cpu: of this process; default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    parser.add_argument("--backend", choices=["eager", "inductor"], default="eager", help="default: %(default)s")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32", help="default: %(default)s")
    parser.add_argument("--data", type=Path, help="of end-to-end: folder with train/ and test/ (default: made here)")
    parser.add_argument("--images", type=int, default=5000, help="of end-to-end, streaming; default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="of streaming; default: %(default)s")
    found = parser.parse_args(arguments)
    if unknown := set(found.parts) - {*PARTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    return found


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{gpu}; Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def measure(given: argparse.Namespace) -> Iterator[str]:
    parts = given.parts or PARTS
    if given.threads:
        torch.set_num_threads(given.threads)
    fields = {field.name: getattr(given, field.name) for field in dataclasses.fields(Setting)}
    setting = Setting(**fields)
    yield machine()
    if "ratios" in parts:
        yield "\n## Against the loop\n"
        yield from ratios(given.steps, given.reading, setting)
    if "memory" in parts:
        yield "\n## Memory against T\n"
        yield from memory(width=given.width)
    if "size" in parts:
        yield "\n## Compile time against size\n"
        yield from size([10, 100, 1000])
    if "end-to-end" in parts:
        yield "\n## An epoch from end to end\n"
        yield from end_to_end(given.data, given.images, given.rounds, given.precision)
    if "ingredients" in parts:
        yield "\n## Ingredients of training\n"
        yield from ingredients(setting)
    if "streaming" in parts:
        yield "\n## Streamed images\n"
        yield from streaming(given.images, given.rounds, given.workers)


def main() -> None:
    for line in measure(parse()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
