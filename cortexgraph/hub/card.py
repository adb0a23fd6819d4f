"""The card of a shared network: README.md with the metadata that the hub reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from cortexgraph.spec.loading import beside_zoo, bibliography, citation
from cortexgraph.training.records import Summary, summary_text
from cortexgraph.training.run import TrainedRun
from cortexgraph.training.tasks import metric_name
from cortexgraph.wording import by, count_of

DRAWING = "areas.png"
DATASETS = {"cifar10": "uoft-cs/cifar10"}
"""Data sets of cortexgraph that the hub has, by name."""
TASKS = {"class": "image-classification", "labels": "image-classification", "class-map": "image-segmentation"}
"""The hub's name of a task, by the kind of target; of others that of feature extraction."""
TAGS = ["recurrent-neural-network", "computational-neuroscience", "visual-cortex", "pytorch"]

CARD = """\
---
{metadata}---

{results}
{description}

![Areas and connections of {name}]({drawing})

## Use

```sh
pip install "cortexgraph-compiler[train,hub]"
cortexgraph predict IMAGE --weights {address}
```

```python
import torch, cortexgraph as cg
run = cg.from_pretrained("{source}")
print(run.network(run.prepare(torch.rand(1, {shape}))).shape)  # images in [0, 1]
```

`run.network` is a `torch.nn.Module`, and `run.classes` names the classes. `cortexgraph eval`, `record`, `export` and
`train --from` take `{address}` too. `spec.yaml` declares the network, which cortexgraph compiles, and
`weights.safetensors` holds its parameters: nothing in these files is executed.

## Citation

{sources}```bibtex
{citations}
```
"""


def card_text(run: TrainedRun, summary: Summary | None, name: str, licence: str | None, datasets: Sequence[str]) -> str:
    """README.md.

    Args:
        run: whose card it is.
        summary: of the run, as it is shared; None for a released model.
        name: on the hub, such as `org/name`; the path of a folder otherwise.
        licence: identifier of a licence, as the hub writes it.
        datasets: identifiers of data sets on the hub.
    """
    spec = run.spec
    results = f"# {spec.name}\n" if summary is None else summary_text(summary)
    size = spec.input.size if isinstance(spec.input.size, tuple) else (spec.input.size,) * 2
    about = f"{count_of(len(spec.areas), 'area')}, {count_of(spec.time.steps, 'step')}, images of {by(size)} pixels"
    local = "/" not in name or name.startswith((".", "/"))
    return CARD.format(
        metadata=yaml.safe_dump(_metadata(run, summary, licence, datasets), sort_keys=False, allow_unicode=True),
        results=results,
        description=" ".join(filter(None, (spec.description, f"{about[0].upper()}{about[1:]}."))),
        name=spec.name,
        drawing=DRAWING,
        source=name,
        address=name if local else f"hf://{name}",
        shape=", ".join(map(str, (spec.input.channels, *size))),
        sources=f"The network follows {citation(spec.references)}.\n\n" if spec.references else "",
        citations="\n".join([*(bibliography().get(key, "") for key in spec.references), _software()]).strip(),
    )


def _metadata(run: TrainedRun, summary: Summary | None, licence: str | None, datasets: Sequence[str]) -> dict[str, Any]:
    """What the hub reads: licence, tags, data sets, and the test accuracy (or other score) at each readout step."""
    metadata: dict[str, Any] = {} if licence is None else {"license": licence}
    metadata |= {"library_name": "cortexgraph", "pipeline_tag": TASKS.get(run.kind, "image-feature-extraction")}
    metadata |= {"tags": ["cortexgraph", *TAGS]} | ({"datasets": [*datasets]} if datasets else {})
    if summary is None:
        return metadata
    score = summary.score
    scores = [
        {"type": score, "name": f"test {metric_name(score)} at step {step}", "value": round(value, 6)}
        for step, value in summary.scores.items()
    ]
    dataset = {"name": summary.data, "type": datasets[0] if datasets else "images"}
    result = {"task": {"type": metadata["pipeline_tag"]}, "dataset": dataset, "metrics": scores}
    return metadata | {"metrics": [score], "model-index": [{"name": run.spec.name, "results": [result]}]}


def _software() -> str:
    """The BibTeX entry of cortexgraph itself, from CITATION.cff."""
    about = yaml.safe_load(beside_zoo("CITATION.cff"))
    names = " and ".join(f"{{{author['name']}}}" for author in about["authors"])
    fields = {"author": names, "title": about["title"], "version": about["version"]}
    return f"@software{{cortexgraph, {', '.join(f'{key} = {{{value}}}' for key, value in fields.items())}}}"
