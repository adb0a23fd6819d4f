"""Forward and training time of the compiled network against the loop, and the fraction of the convolution peak."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import cortexgraph as cg
from benchmarks.baseline import Loop
from benchmarks.network import READINGS, Reading, make_spec, shared_weights
from benchmarks.peak import measure_peak
from benchmarks.timing import count_flops, forward, interleaved, training_step

__all__ = ["ratios"]

TOLERANCE = 1e-4


def ratios(
    steps: list[int],
    batch: int = 64,
    rounds: int = 5,
    reading: Reading = "own",
    width: int = 1,
    device: str = "cpu",
    backend: str = "eager",
    precision: str = "fp32",
) -> Iterator[str]:
    """Lines of a Markdown table, one for each T and mode."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        peak, where = measure_peak(batch, width, rounds, device)
        yield f"Batch {batch}, {precision}, {backend}, {device}; {READINGS[reading]}."
        yield f"Convolution peak: {peak / 1e9:,.0f} GFLOP/s ({where})."
        yield ""
        columns = [
            "mode",
            "T",
            "loop (ms)",
            "cortexgraph (ms)",
            "ratio (range)",
            "by FLOPs",
            "loop of peak",
            "ours of peak",
        ]
        yield f"| {' | '.join(columns)} |"
        yield "|---|---:|---:|---:|---:|---:|---:|---:|"
        for mode in ("forward", "training"):
            for t in steps:
                yield _row(mode, t, batch, rounds, reading, width, device, backend, precision, peak)


def _row(
    mode: str,
    steps: int,
    batch: int,
    rounds: int,
    reading: Reading,
    width: int,
    device: str,
    backend: str,
    precision: str,
    peak: float,
) -> str:
    torch.manual_seed(0)
    loop = Loop(steps, reading, width).to(device)
    eager = cg.compile(make_spec(steps, reading, width)).to(device)
    shared_weights(loop, eager, width)
    x, labels = torch.randn(batch, 3, 32, 32, device=device), torch.randint(10, (batch,), device=device)
    networks = {"loop": loop, "ours": eager}
    with torch.no_grad(), torch.autocast(device, enabled=False):
        _check_equal(eager(x), loop(x), TOLERANCE if precision == "fp32" else 0.02)
    runs = {
        name: forward(network, x) if mode == "forward" else training_step(network, x, labels)
        for name, network in networks.items()
    }
    flops = {name: count_flops(run) for name, run in runs.items()}
    if backend != "eager":
        eager.compile(fullgraph=True, mode="reduce-overhead" if device != "cpu" else "default")
    times = interleaved(runs, rounds, device)
    median, least, most = times["loop"].over(times["ours"])
    fraction = {name: flops[name] / times[name].median / peak for name in runs}
    return (
        f"| {mode} | {steps} | {1e3 * times['loop'].median:,.0f} | {1e3 * times['ours'].median:,.0f} "
        f"| **{median:.2f}** ({least:.2f} – {most:.2f}) | {flops['loop'] / flops['ours']:.2f} "
        f"| {fraction['loop']:.0%} | {fraction['ours']:.0%} |"
    )


def _check_equal(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
