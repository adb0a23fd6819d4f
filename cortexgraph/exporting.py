"""`export`: a trained network as ONNX, as a program of `torch.export`, or as source with weights; checked when written.

The file is run on batches of several sizes and compared with the network before it gets its name, so that a file that
exists computes what the network does.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from cortexgraph.arguments import arguments_explained
from cortexgraph.brainscore import write_plugin
from cortexgraph.compiler import retimed
from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.files import replacing
from cortexgraph.loading import Images, by_input, load_class
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.ops.elementwise import Noise
from cortexgraph.program import check_choice
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order

Format = Literal["onnx", "pt2", "source", "brainscore"]
"""ONNX; a program of `torch.export`; a Python file that needs only torch, with its weights beside it; or the folder of
a model plug-in of Brain-Score."""

FILES = ("onnx", "pt2", "source")
SUFFIXES: Mapping[str, Format] = {".onnx": "onnx", ".pt2": "pt2", ".py": "source"}
CHECKED_BATCHES = (1, 2, 5)
TOLERANCE = 1e-4
"""Largest difference to the network's logits, absolute below 1 and relative above."""

Run = Callable[[Images], list[Tensor]]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: one file, or for `source` the Python file and its weights.
        difference: the largest to the network's logits, absolute below 1 and relative above.
        batches: sizes of the batches that were compared.
        note: how the images have to be scaled, where the run says it.
    """

    files: tuple[Path, ...]
    difference: float
    batches: tuple[int, ...]
    note: str


@arguments_explained
def export(
    run: str | Path | TrainedRun | nn.Module,
    path: str | Path,
    to: Format | None = None,
    *,
    steps: int | None = None,
    order: Order | None = None,
) -> Exported:
    """Export the network of a run, with the weights that it keeps.

    Args:
        run: a run or its folder, or the name of a trained network that ships; or a network of `cg.compile`, whose file
            does not say how images are scaled.
        path: file to write; an existing one is replaced. Of `brainscore`, a new folder.
        to: the format; by default that of the suffix: .onnx, .pt2 or .py.
        steps: number of steps T; by default as trained.
        order: order of updates; by default as trained.

    Raises:
        DataError: if this is not a run, it is damaged, or the file cannot be written.
        CompileError: for an unknown format, or if the network does not compile.
        CortexGraphError: if a library is missing, the network cannot be exported, or the file computes something else.
    """
    if to == "brainscore":
        plugin = write_plugin(opened(cast(TrainedRun, run)), path, steps=steps, order=order)
        return Exported((plugin.folder,), plugin.difference, (2,), plugin.note)
    if isinstance(run, nn.Module):
        own = unwrapped(run)
        return export_network(own.under(retimed(own.spec, steps, order)), path, to, {"network": own.spec.name})
    run = opened(run)
    network, card = run.compile(steps, order), run.card
    metadata = {
        "network": run.spec.name,
        "spec_sha256": run.spec.digest,
        "data": run.data,
        "classes": card.classes,
        "mean": card.mean,
        "std": card.std,
    }
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (card.mean, card.std))
    note = f"images are scaled to [0, 1], then (x − mean) / std with mean {mean} and std {std}"
    return export_network(network, path, to, metadata, note)


def export_network(
    network: CompiledNetwork,
    path: str | Path,
    to: Format | None = None,
    metadata: Mapping[str, object] | None = None,
    note: str = "",
) -> Exported:
    """Export a compiled, eager network for batches of images [B, C, H, W] of any size B, in evaluation mode.

    Path and kind are as for `export`, and so are exceptions. The file keeps the metadata (not `source`); the note goes
    into the result.
    """
    path = Path(path)
    to = _checked_format(network, path, to)
    writers = {"onnx": _write_onnx, "pt2": _write_pt2, "source": _write_source}
    files = (path, path.with_suffix(".pt")) if to == "source" else (path,)
    training = network.training
    network.eval()
    try:
        with ExitStack() as stack:
            temporary = [stack.enter_context(replacing(file)) for file in files]
            with _explained(to):
                run = writers[to](network, temporary, metadata or {})
                difference = _compared(network, run, path)
    finally:
        network.train(training)
    return Exported(files, difference, CHECKED_BATCHES, note)


def _checked_format(network: CompiledNetwork, path: Path, to: Format | None) -> Format:
    """The format, that of the suffix if none is given.

    Raises: as `export`.
    """
    if not path.name or path.is_dir():
        repair = "Name a file, such as network.onnx."
        raise DataError(Diagnostic("suffix", str(path), "this is a folder", "a file is needed", repair))
    to = to or SUFFIXES.get(path.suffix)
    if to is None:
        expected, repair = f"the suffixes are {', '.join(SUFFIXES)}", "Write one of them, or choose with --to."
        raise DataError(Diagnostic("suffix", str(path), f"the suffix is {path.suffix!r}", expected, repair))
    check_choice("to", to, FILES)
    weights = path.with_suffix(".pt")
    if SUFFIXES.get(path.suffix, to) != to:
        found = f"the suffix {path.suffix} is that of {SUFFIXES[path.suffix]}"
        expected = f"the format {to} was asked for"
        raise DataError(Diagnostic("suffix", str(path), found, expected, "Leave the format out, or change the suffix."))
    if to == "source" and path == weights:
        raise DataError(Diagnostic("suffix", str(path), "the weights have this name", repair=f"Write {path.stem}.py."))
    if network.options.record:
        found, expected = "the network also returns recorded states", "an exported network returns logits"
        raise CortexGraphError(Diagnostic("cannot-export", f"to {to}", found, expected, "Compile it without `record`."))
    if _is_noisy(network):
        found, expected = "the network adds noise in evaluation", "an exported network is compared with it"
        repair = "Remove `evaluation: true` from the noise."
        raise CortexGraphError(Diagnostic("cannot-export", f"to {to}", found, expected, repair))
    if to == "source" and weights.exists() and not path.exists():
        found = "a file of this name exists, and the weights would replace it"
        repair = f"Remove it, or choose a name other than {path.name}."
        raise DataError(Diagnostic("exists", str(weights), found, repair=repair))
    if to == "onnx":
        require("onnx")
    return to


def _is_noisy(network: CompiledNetwork) -> bool:
    """Whether two evaluations of the network differ."""
    areas = network.unrolled.areas
    chains = [*(area.body for area in areas.areas), *(connection.transform for connection in areas.connections)]
    chains += [readout.transform for readout in areas.readouts if readout.transform is not None]
    operations = (link.operation for chain in chains for _, link in chain.walk())
    return any(isinstance(operation, Noise) and operation.evaluation for operation in operations)


@contextmanager
def _explained(to: Format) -> Iterator[None]:
    """Say whose refusal it is when an exporter, or what runs its file, does not take the network."""
    try:
        yield
    except (CortexGraphError, OSError):
        raise
    except Exception as error:  # the exporters raise many kinds of errors
        found = f"torch refused: {(str(error).strip().splitlines() or [type(error).__name__])[0]}"
        repair = "A custom operation may have no counterpart there; `--to source` takes every network."
        if to == "source":
            repair = "Compile the network again, and report this if it stays so."
        raise CortexGraphError(Diagnostic("cannot-export", f"to {to}", found, repair=repair)) from error


# ---- formats -----------------------------------------------------------------


def _images(network: CompiledNetwork, batch: int) -> Images:
    """Images or videos of random numbers, of the kind, type and device that the network takes."""
    unrolled, like = network.unrolled, next(network.parameters(), torch.empty(0))
    generator, images = torch.Generator().manual_seed(batch), {}
    for each in unrolled.areas.inputs:
        frames = (unrolled.steps,) if each.name in unrolled.videos else ()
        images[each.name] = torch.randn(batch, *frames, *each.shape, generator=generator).to(like)
    return images if len(images) > 1 else images[each.name]


def _program(network: CompiledNetwork) -> ExportedProgram:
    x, sizes = _images(network, 2), {0: Dim("batch")}
    dynamic = sizes if isinstance(x, Tensor) else dict.fromkeys(x, sizes)
    return torch.export.export(network, (x,), dynamic_shapes={"x": dynamic}, strict=False)  # the default from torch 2.7


def _write_pt2(network: CompiledNetwork, paths: Sequence[Path], metadata: Mapping[str, object]) -> Run:
    buffer = io.BytesIO()  # on a full disk torch ends the process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its archives
        torch.export.save(_program(network), buffer, extra_files={"cortexgraph.json": json.dumps(dict(metadata))})
        paths[0].write_bytes(buffer.getbuffer())
        program = torch.export.load(paths[0]).module()
    return lambda x: _in_order(program(x))


def _write_onnx(network: CompiledNetwork, paths: Sequence[Path], metadata: Mapping[str, Any]) -> Run:
    import onnx
    import onnxruntime

    file, areas = str(paths[0]), network.unrolled.areas
    readouts, inputs = [readout.name for readout in areas.readouts], areas.input_names
    names = inputs if len(inputs) > 1 else ("images",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        program: Any = torch.onnx.export(
            _program(network),
            input_names=names,
            output_names=["logits"] if len(readouts) == 1 else readouts,
            dynamo=True,
            external_data=False,
            verbose=False,
            custom_translation_table={torch.ops.aten.upsample_nearest2d.vec: _nearest},
        )
        program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
        program.save(file)
    onnx.checker.check_model(file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    device = next(network.parameters(), torch.empty(0)).device

    def run(x: Images) -> list[Tensor]:
        images = {name: value.cpu().numpy() for name, value in by_input(x, names).items()}
        return [torch.from_numpy(y).to(device) for y in session.run(None, images)]

    return run


def _nearest(input: Any, output_size: Sequence[int], scale_factors: Sequence[float] | None = None) -> object:
    """Nearest-neighbour interpolation by torch's own indices: runtimes round those of ONNX's `Resize` otherwise.

    The parameters have the names of torch's operation, by which torch 2.8 decides whether a translation fits.
    """
    from onnxscript import opset18

    for axis, (old, new) in enumerate(zip(input.shape[2:], output_size, strict=True), 2):
        indices = functional.interpolate(torch.arange(float(old))[None, None], size=new)
        constant = opset18.Constant(value_ints=indices.flatten().int().tolist())
        input = cast(Any, opset18).Gather(input, constant, axis=axis)
    return input


def _write_source(network: CompiledNetwork, paths: Sequence[Path], metadata: Mapping[str, object]) -> Run:
    source, weights = paths
    source.write_text(str(network.source), encoding="utf-8")
    buffer = io.BytesIO()
    torch.save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}, buffer)
    weights.write_bytes(buffer.getbuffer())
    again = load_class(source.read_text(encoding="utf-8"), "exported")().eval()
    again.load_state_dict(torch.load(weights, weights_only=True))
    again.to(next(network.parameters(), torch.empty(0)))
    return lambda x: _in_order(again(x))


def _in_order(logits: Tensor | dict[str, Tensor]) -> list[Tensor]:
    return [logits] if isinstance(logits, Tensor) else [*logits.values()]


# ---- check -------------------------------------------------------------------


def _compared(network: CompiledNetwork, run: Run, path: Path) -> float:
    """The largest difference to the network over batches of several sizes; CortexGraphError if it is too large."""
    differences = []
    with torch.no_grad():
        for batch in CHECKED_BATCHES:
            x = _images(network, batch)
            for exported, expected in zip(run(x), _in_order(network(x)), strict=True):
                if not expected.isfinite().all():
                    found = "the network's logits are infinite or not a number"
                    repair = "Check its weights, or train again."
                    raise CortexGraphError(Diagnostic("not-finite", str(path), found, repair=repair))
                differences.append(((exported - expected).abs() / expected.abs().clamp_min(1)).max())
    worst = float(torch.stack(differences).max())  # NaN if any is
    if not worst <= TOLERANCE:
        found = f"what was exported differs from the network by {worst:.1e}"
        most = f"at most {TOLERANCE:.0e} is rounding"
        repair = "Nothing was written; export to another format, and report this."
        raise CortexGraphError(Diagnostic("export-differs", str(path), found, most, repair))
    return worst
