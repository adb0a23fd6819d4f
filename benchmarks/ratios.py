"""Forward and training time of the compiled network against the loop, and the fraction of the convolution peak."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

import cortexgraph as cg
from benchmarks.baseline import Loop
from benchmarks.network import READINGS, Reading, make_spec, shared_weights
from benchmarks.peak import measure_peak
from benchmarks.timing import Run, Setting, count_flops, forward, interleaved, training_step

__all__ = ["ratios"]

TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 1e-4}
"""To which the logits agree before anything is timed; bf16 is compared without autocast."""

COLUMNS = (
    "mode",
    "T",
    "baseline (ms)",
    "cortexgraph (ms)",
    "ratio (range)",
    "by FLOPs",
    "baseline, % of peak",
    "cortexgraph, % of peak",
)


def ratios(steps: list[int], reading: Reading, setting: Setting) -> Iterator[str]:
    """Lines of a Markdown table, one for each T and mode."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = setting.precision == "tf32"
    with torch.autocast(setting.device, torch.bfloat16, enabled=setting.precision == "bf16"):
        peak, where = measure_peak(setting)
        yield f"{setting.words}; {READINGS[reading]}."
        yield f"Convolution peak: {peak / 1e9:,.0f} GFLOP/s ({where})."
        yield ""
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|---|{'---:|' * (len(COLUMNS) - 1)}"
        for mode in ("forward", "training"):
            for t in steps:
                yield _row(mode, t, _runs(mode, t, reading, setting), setting, peak)


def _runs(mode: str, steps: int, reading: Reading, setting: Setting) -> dict[str, tuple[Run, int]]:
    """What is timed, with the FLOPs that it executes: loop and compiled network, whose logits agree."""
    torch.manual_seed(0)
    device = setting.device
    loop = Loop(steps, reading, setting.width).to(device)
    ours = cg.compile(make_spec(steps, reading, setting.width), memory_format="channels_last").to(device)
    shared_weights(loop, ours, setting.width)
    x = torch.randn(setting.batch, 3, 32, 32, device=device)
    labels = torch.randint(10, (setting.batch,), device=device)
    with torch.no_grad(), torch.autocast(device, enabled=False):
        tolerance = TOLERANCE[setting.precision]
        torch.testing.assert_close(ours(x), loop(x), rtol=tolerance, atol=tolerance)

    def run(network: nn.Module) -> Run:
        return forward(network, x) if mode == "forward" else training_step(network, x, labels)

    flops = {name: count_flops(run(network)) for name, network in (("loop", loop), ("ours", ours))}
    if setting.backend == "inductor":
        ours = cg.compile(
            make_spec(steps, reading, setting.width), memory_format="channels_last", backend="inductor"
        ).to(device)
        shared_weights(loop, ours, setting.width)
    return {"loop": (run(loop), flops["loop"]), "ours": (run(ours), flops["ours"])}


def _row(mode: str, steps: int, runs: dict[str, tuple[Run, int]], setting: Setting, peak: float) -> str:
    flops = {name: count for name, (_, count) in runs.items()}
    times = interleaved({name: run for name, (run, _) in runs.items()}, setting)
    median, least, most = times["loop"].over(times["ours"])
    fraction = {name: flops[name] / times[name].median / peak for name in runs}
    return (
        f"| {mode} | {steps} | {1e3 * times['loop'].median:,.0f} | {1e3 * times['ours'].median:,.0f} "
        f"| **{median:.2f}** ({least:.2f} – {most:.2f}) | {flops['loop'] / flops['ours']:.2f} "
        f"| {fraction['loop']:.0%} | {fraction['ours']:.0%} |"
    )
