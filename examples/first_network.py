"""A first network: declare three areas in Python, compile, draw, train for one step, record.

    python examples/first_network.py [FOLDER]

The script writes the spec, the emitted source and both drawings into FOLDER (default: `runs/first_network`). It prints
the activity of V4 over time, before and after the feedback from IT to V4 is cut.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from torch.nn import functional as F

import cortexgraph as cg


def declare() -> cg.NetworkSpec:
    """Return a spec of three areas with feedback from IT to V4 and a lateral connection in V4."""
    return cg.NetworkSpec.model_validate(
        {
            "cortexgraph": 1,
            "name": "first",
            "input": {"channels": 3, "size": 32},
            "defaults": {"area": {"norm": {"kind": "batch", "per_step": True}}},
            "areas": {
                "V1": {"channels": 16, "size": 32},
                "V4": {"channels": 32, "size": 16},
                "IT": {"channels": 64, "size": 8},
            },
            "connections": ["image -> V1 -> V4 -> IT", "V4 -> V4", {"from": "IT", "to": "V4", "kernel": 1}],
            "readout": {"from": "IT", "classes": 10, "at": "all"},
            "time": {"steps": 6},
        }
    )


def train_one_step(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Take one step of stochastic gradient descent on the mean loss over the readout steps; return the loss."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    logits = network(images)  # [B, readout steps, classes]
    steps = logits.shape[1]
    loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(steps))
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def v4_over_time(network: torch.nn.Module, images: torch.Tensor) -> dict[int, float]:
    """Return the mean activity of V4 at each recorded step."""
    _, states = network.eval()(images)
    return {step: float(state.mean()) for (area, step), state in states.items() if area == "V4"}


def main(folder: Path) -> None:
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    spec = declare()
    cg.save(spec, folder / "first.yaml")
    cg.draw(spec, folder / "areas.svg")
    cg.draw_unrolled(spec, folder / "unrolled.svg")

    network = cg.compile(spec)
    (folder / "first.py").write_text(network.source)
    images, labels = torch.randn(16, 3, 32, 32), torch.randint(10, (16,))
    print(f"loss of the first step: {train_one_step(network, images, labels):.3f}")

    # No readout depends on V4 at step 6, so the norm of that update has no trained parameters.
    recorded = cg.compile(spec, record={"V4": [2, 3, 4, 5]})
    recorded.load_state_dict(network.state_dict())
    # V4 is recorded beyond the last update that the readout reaches: said once, as a warning
    warnings.filterwarnings("ignore", category=cg.CortexGraphWarning)
    intact = v4_over_time(recorded, images)
    torch.nn.init.zeros_(recorded.IT_to_V4.conv.weight)
    lesioned = v4_over_time(recorded, images)
    print("mean activity of V4:")
    for step, value in intact.items():
        print(f"  step {step}: {value:.4f}, without feedback {lesioned[step]:.4f}")
    print(f"wrote {', '.join(sorted(path.name for path in folder.iterdir()))} into {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/first_network"))
