"""Words for findings, tables and drawings: lists, suggestions, counts, sizes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby, islice

PRINTED_WIDTH = r"([0-9]{1,4}(?:\.[0-9]{1,4})?) ?(cm|mm|in|pt)"
"""A length with its unit, such as `8.5cm`."""

GPU = "cuda:[0-9]{1,2}"
"""One GPU by its number."""

MANY, MOST = 100, 40


SYNONYMS = {
    "kernel": "kernelsize ksize filtersize receptivefield",
    "channels": "filters numfilters nfilters features numfeatures nfeatures outchannels numchannels nchannels maps "
    "featuremaps units neurons hiddensize",
    "from": "source src pre presynaptic input sender start layer area",
    "to": "target dst dest destination post postsynaptic output receiver end",
    "kind": "type",
    "cell": "type celltype",
    "size": "imagesize inputsize resolution height shape spatialsize hw width",
    "stride": "strides step subsampling downsample",
    "norm": "normalization normalisation batchnorm batchnormalization layernorm groupnorm instancenorm bn batchnorm2d "
    "normalise normalize",
    "activation": "nonlinearity nonlin act activationfunction relu",
    "classes": "numclasses nclasses outputs numoutputs nlabels units",
    "steps": "step timesteps numsteps nsteps t unrollsteps iterations recurrentsteps length duration unroll",
    "readout": "readouts decoder classifier head output outputs",
    "area": "areas layers layer nodes",
    "connection": "connections edges edge link",
    "areas": "area layers nodes regions populations modules",
    "connections": "connection edges projections links synapses",
    "delay": "lag latency delaysteps timedelay axonaldelay",
    "dt_ms": "dt timestep stepms",
    "tau_ms": "tau timeconstant",
    "weights": "weightsharing shareweights shared",
    "tie": "tied tiedto shareswith tieweights",
    "groups": "numgroups ngroups",
    "eps": "epsilon",
    "momentum": "decay",
    "gain": "scale weight alpha",
    "order": "updateorder schedule unrolling ordertype mode",
    "level": "depth hierarchy rank",
    "body": "operations ops block",
    "transform": "operation ops layer layers conv operations",
    "conv_gru": "gru grucell convgrucell",
    "conv_lstm": "lstm lstmcell convlstmcell",
    "simple": "rnn vanillarnn elman none vanilla null",
    "leaky": "leakyintegrator euler ctrnn",
    "batch": "batchnorm batchnorm2d bn batchnormalization",
    "layer": "layernorm ln",
    "group": "groupnorm gn",
    "instance": "instancenorm instancenorm2d in",
    "local_response": "lrn localresponsenorm divisivenorm divisive",
    "conv": "conv2d convolution pointwise 1x1 conv1x1",
    "conv_transpose": "convtranspose2d deconv deconvolution transposedconv",
    "linear": "dense fullyconnected fc lin lineardecay",
    "max_pool": "maxpool2d pool maxpooling downsample",
    "avg_pool": "avgpool2d averagepool meanpool globalavgpool adaptiveavgpool2d gap",
    "dropout": "dropout2d",
    "noise": "gaussiannoise",
    "std": "sigma stddev scale",
    "identity": "none linear noop skip eye",
    "silu": "swish",
    "saturating": "clippedrelu",
    "flatten": "none identity",
    "avg": "mean average gap globalavg adaptiveavg global adaptive averagepool",
    "antialiased": "antialias",
    "pad": "reflectionpad2d replicationpad2d zeropad2d",
    "ceil_mode": "ceil",
    "nearest": "nearestneighbor nearestneighbour upsample",
    "bilinear": "linear interpolate bicubic",
    "transposed": "deconv convtranspose",
    "sum": "add plus",
    "concat": "cat concatenate",
    "modulate": "gate gating modulatory multiplicative",
    "drive": "driving additive",
    "feedforward": "ff bottomup forward",
    "feedback": "fb topdown backward",
    "lateral": "recurrent horizontal self intra lat",
    "simultaneous": "parallel synchronous biological streaming sync",
    "sequential": "feedforward serial ordered bottomup",
    "per_step": "unshared timedependent pertime independent separate",
    "last": "final end",
    "image": "input inputs img picture stimulus stimuli retina pixels",
    "input": "image images inputs stimulus picture",
    "name": "title label id",
    "references": "citation citations cite refs bibliography",
    "resize": "interpolation interpolate upsample upsampling scalefactor",
    "present": "presented presentation duration shown",
    "at": "steps timesteps time step when",
    "always": "on every all",
    "never": "off none disabled lesioned",
    "first": "once initial onset",
    "all": "every each",
    "max": "maxpool globalmax maximum",
    "divisive": "shunting division",
    "he": "kaiming henormal heuniform kaimingnormal",
    "zeros": "zero",
    "shared": "tied same common",
    "zero_input": "zeros zero",
    "skip": "none ignore",
    "residual": "resblock resnet resnetblock basicblock shortcut skip",
    "depthwise": "dw dwconv depthwiseconv2d",
    "relu": "rectified rectify rectifier",
    "sigmoid": "sigm",
    "product": "multiply times mul hadamard glu",
    "square": "squared sqr pow2",
    "power": "pow exponent",
    "clamp": "clip hardtanh",
    "reciprocal_gated": "recip reciprocalgatedcell",
    "pool": "avg adaptive downsample max avgpool",
    "none": "no off false",
    "gabor": "gaborbank gaborfilters",
    # of training
    "lr": "learningrate learnrate eta baselr maxlr peaklr initiallr",
    "epochs": "epoch nepochs numepochs maxepochs",
    "batch_size": "batch bs minibatch minibatchsize",
    "weight_decay": "wd l2 decay regularization regularisation",
    "optimizer": "optim optimiser opt",
    "schedule": "scheduler lrscheduler lrschedule",
    "ema": "movingaverage modelema polyak swa",
    "clip": "gradclip gradientclip gradclipnorm clipgradnorm clipgrad maxgradnorm gradientclipval",
    "augment": "augmentation augmentations dataaugmentation",
    "seed": "randomseed randomstate rngseed",
    "precision": "amp dtype mixedprecision",
    "validation": "val valsplit valfraction valimages validationsplit",
    "label_smoothing": "smoothing",
    "warmup": "warmupratio warmupshare warmupsteps warmupepochs",
    "device": "gpu accelerator",
    "devices": "gpus ngpus numgpus numdevices worldsize",
    "out": "output outdir outputdir savedir logdir rundir",
    "data": "dataset",
    "logger": "log tracker loggers",
    "adamw": "adam adamax nadam",
    "sgd": "nesterov sgdnesterov",
    "one-cycle": "onecycle onecyclelr",
    "cosine": "cos cosineannealing cosineannealinglr cosinedecay",
    "constant": "const fixed flat none",
    "step": "steplr multistep multisteplr piecewise",
    "cross-entropy": "ce crossentropy crossentropyloss nll softmax xent",
    "mse": "mseloss l2 meansquarederror",
    "squared-error": "squarederror brier",
    "32": "fp32 float32 float full single 32true",
    "16": "fp16 float16 half 16mixed",
    "bf16": "bfloat16 bfloat bf16mixed",
    "cuda": "gpu nvidia",
    "cifar10": "cifar",
}
"""What the words of the language are called elsewhere, small and without spaces and underscores."""


def synonym(word: str, choices: Iterable[str]) -> str | None:
    """The choice that equals the word up to capitals and underscores, or that another field calls by it.

    >>> synonym("kernel_size", ["channels", "kernel"]), synonym("Linear", ["identity", "linear"])
    ('kernel', 'linear')
    """
    plain = "".join(sign for sign in word[:100].lower() if sign.isalnum())
    lower = {choice.lower().replace("_", ""): choice for choice in reversed([*choices])}
    other = (choice for choice in reversed(lower.values()) if plain in SYNONYMS.get(choice.lower(), "").split())
    return lower.get(plain) or next(other, None) if plain else None


def similar(word: str, choices: Iterable[str]) -> str | None:
    """The choice that the word probably means: another name for it, its beginning, or a misspelling, capitals aside.

    >>> similar("Chanels", ["channels", "size"])
    'channels'
    >>> similar("resnet18", ["resnet20", "resnet18_imagenet"])
    'resnet18_imagenet'
    """
    choices = [*choices]
    if (choice := synonym(word, choices)) or word.lower() in SYNONYMS:  # a word of the language is not a misspelling
        return choice
    by_lower = {choice.lower(): choice for choice in choices}
    if longer := [choice for choice in by_lower if choice.startswith(word[:100].lower()) and len(word) > 2]:
        return by_lower[min(longer, key=len)]
    if len(by_lower) > MANY:  # comparing is slow
        near = (c for c in by_lower if c[:1] == word[:1].lower() and abs(len(c) - len(word)) <= 2)
        by_lower = {choice: by_lower[choice] for choice in islice(near, MANY)}
    match = get_close_matches(word[:100].lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[match[0]] if match else None


ALIKE = (
    "A\u0391\u0410 B\u0392\u0412 C\u03f9\u0421 E\u0395\u0415 G\u050c H\u0397\u041d J\u037f\u0408 "
    "K\u039a\u041a\u212a M\u039c\u041c N\u039d O0\u039f\u041e P\u03a1\u0420 Q\u051a S\u0405 T\u03a4\u0422 "
    "V\u0474 W\u051c X\u03a7\u0425 Y\u03a5\u04ae Z\u0396 a\u0430\u0251 c\u03f2\u0441 d\u0501 e\u0435 g\u0261 "
    "h\u04bb i\u0456\u0131 j\u03f3\u0458 l1I\u0399\u0406\u04c0\u04cf o\u03bf\u043e p\u0440 q\u051b s\u0455 "
    "v\u03bd\u0475 w\u051d x\u0445 y\u0443"
)
"""Letters of Latin, each followed by what looks like it in Latin, Greek and Cyrillic (after Unicode's confusables)."""

FOLDED = str.maketrans({sign: letters[0] for letters in ALIKE.split() for sign in letters[1:]})


def skeleton(name: str) -> str:
    """The visual form of a name: names that look alike have the same skeleton.

    >>> skeleton("V1") == skeleton("\uff361") != skeleton("V2")
    True
    """
    folded = unicodedata.normalize("NFKC", name).translate(FOLDED)
    return " ".join("".join(sign for sign in folded if unicodedata.category(sign) != "Cf").split())


def suggest(word: str, choices: Iterable[str], otherwise: str) -> str:
    """A repair that names the choice probably meant, or `otherwise`."""
    alike = next((choice for choice in choices if skeleton(choice) == skeleton(word)), None)
    if alike is not None:
        other = next((sign for sign in word if sign not in alike), word)
        spelt = unicodedata.name(other[0], "another letter").lower()
        return f"It looks like `{alike}`, but has {spelt} in it: retype the name."
    near = similar(word, choices)
    return f"Did you mean `{near}`?" if near else otherwise


def suggest_registered(word: str, names: Iterable[str], otherwise: str = "Give one of these names.") -> str:
    """A repair for a name that is not registered; files of the user register others."""
    return suggest(word, names, f"{otherwise} To use your own, import the file that registers it: --import FILE.")


def unknown_area(name: str, known: Iterable[str], repair: str = "Name a declared area.") -> tuple[str, str, str]:
    """What was found, what is expected and the repair, where no area has a name."""
    names = [*known]
    return f"no area is called `{shortened(name)}`", f"there are {quoted(names)}", suggest(name, names, repair)


def shortened(text: str, width: int = 60) -> str:
    """The text on one line, without control characters, and cut where it is longer than `width`."""
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(items: list[str], conjunction: str = "and") -> str:
    """The items as an enumeration."""
    return f" {conjunction} ".join([", ".join(items[:-1])] * bool(items[:-1]) + items[-1:])


def quoted(words: Iterable[str], conjunction: str = "and") -> str:
    """The words in backticks, as an enumeration.

    >>> quoted(["steps", "order", "silence"], "or")
    '`steps`, `order` or `silence`'
    """
    items = [f"`{shortened(word)}`" for word in words]
    if len(items) > MOST:
        items[MOST - 1 :] = [f"{len(items) - MOST + 1:,} more"]
    return listed(items, conjunction)


def repeated(values: Iterable[object]) -> list[object]:
    """The values that occur more than once, in their order; 1 and 1.0 are the same value, and true is another.

    >>> repeated(["a", 1, True, 1.0])
    [1]
    """
    hashable = (value if isinstance(value, Hashable) else str(value) for value in values)
    counts = Counter((isinstance(value, bool), value) for value in hashable)
    return [value for (_, value), count in counts.items() if count > 1]


def flow(value: object, default: Callable[[object], object] | None = None) -> str:
    """A number of steps or an order as a user writes it.

    >>> flow(("V1", ("V2", "V4")))
    '[V1, [V2, V4]]'
    """
    return json.dumps(value, ensure_ascii=False, default=default).replace('"', "")


OPTION = re.compile(
    r"(?P<command>`cortexgraph [^`]*`)|--set (?P<path>\S+?)=(?P<set>'[^']*'|[^\s,]*[^\s,.])"
    r"|`--(?P<quoted>[a-z-]+)(?: (?P<words>[^`]+))?`"
    r"|--(?P<plain>[a-z-]+)(?: (?P<word>N|[0-9]+|auto|bf16|sqrt|train|test|ray|slurm)\b)?"
)
SWITCHES = ("download", "overwrite", "reciprocal", "resume")
"""Options that take no value."""
ARGUMENTS = {"input": "input_area", "readout": "readout_area"}
"""Options whose argument has another name."""


def python_words(text: str) -> str:
    """A text about command-line options for users of Python: each option becomes an argument.

    >>> python_words("Name another with --out, or give --overwrite.")
    'Name another with `out`, or give `overwrite=True`.'
    >>> python_words("Give --set readout.classes=10, or --device auto.")
    'Give `cg.load(spec, ["readout.classes=10"])`, or `device="auto"`.'
    """

    def argument(match: re.Match[str]) -> str:
        if match["command"]:
            return match["command"]
        if match["path"]:
            return f'`cg.load(spec, ["{match["path"]}={match["set"].strip(chr(39))}"])`'
        name, value = match["quoted"] or match["plain"], match["words"] or match["word"]
        if name in SWITCHES or name.removeprefix("no-") in SWITCHES:
            return f"`{name.removeprefix('no-')}={name in SWITCHES}`"
        name = ARGUMENTS.get(name, name).replace("-", "_")
        if value is None:
            return f"`{name}`"
        return f"`{name}={value}`" if value == "N" or value.isdecimal() else f'`{name}="{value}"`'

    return OPTION.sub(argument, text) if "--" in text else text


def count_text(count: float) -> str:
    """A count in three figures at most: 950, 18.4 k, 1.2 M."""
    if count < 1000:
        return f"{count:g}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        value = count / size
        if value < 999.5 or unit == "T":
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    raise AssertionError(count)


PLOT_FORMATS = ("png", "svg", "pdf")
"""Of figures, such as training curves; pictures of networks also have .dot."""
PLOT_SUFFIXES = [f".{form}" for form in PLOT_FORMATS]


def parameters_text(total: int, trained: int, frozen: int = 0) -> str:
    """All learned numbers, and how many of them training changes where these are fewer.

    >>> parameters_text(328_122, 327_770)
    '328,122 parameters (327,770 trained; no readout depends on the others)'
    """
    parts = [f"{trained:,} trained", *[f"{frozen:,} frozen"] * bool(frozen)]
    parts += ["no readout depends on the others"] * (trained + frozen < total)
    return f"{total:,} parameters" + f" ({'; '.join(parts)})" * (len(parts) > 1)


def with_article(noun: str) -> str:
    """The noun with its indefinite article.

    >>> with_article("UnrolledGraph")
    'an UnrolledGraph'
    """
    return f"{'an' if noun[:1].lower() in {*'aeiou'} else 'a'} {noun}"


def by(pair: tuple[int, int]) -> str:
    """A pair for people: `3 × 5`."""
    return f"{pair[0]} × {pair[1]}"


def step_ranges(steps: Sequence[int]) -> str:
    """Rising steps in short.

    >>> step_ranges([1, 2, 3, 5])
    '1–3, 5'
    """
    runs: list[list[int]] = []
    for step in dict.fromkeys(steps):
        if runs and step == runs[-1][-1] + 1:
            runs[-1].append(step)
        else:
            runs.append([step])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs) or "–"


def steps_text(steps: Sequence[int]) -> str:
    """Rising steps in short, with their noun.

    >>> steps_text([4]), steps_text([4, 5, 6])
    ('step 4', 'steps 4–6')
    """
    return f"step{'s' * (len({*steps}) > 1)} {step_ranges(steps)}"


def all_fields_text(fields: Mapping[str, Mapping[int, tuple[int, int]]], sizes: Mapping[str, tuple[int, int]]) -> str:
    """The receptive fields in each input over the steps, with several inputs by name."""
    texts = {name: fields_text(fields[name], size) for name, size in sizes.items()}
    return " | ".join(f"{name} {text}" if len(sizes) > 1 else text for name, text in texts.items())


def fields_text(fields: Mapping[int, tuple[int, int]], image_size: tuple[int, int]) -> str:
    """A receptive field over the steps, runs of equal ones in short, a square by its side.

    >>> fields_text({1: (5, 5), 2: (7, 9), 3: (32, 32), 4: (32, 32)}, (32, 32))
    '1: 5; 2: 7 × 9; 3–4: all'
    """
    parts = []
    for extent, run in groupby(fields.items(), key=lambda item: item[1]):
        square = str(extent[0]) if extent[0] == extent[1] else by(extent)
        words = "all" if extent == image_size else square if all(extent) else "none"
        parts.append(f"{step_ranges([step for step, _ in run])}: {words}")
    return "; ".join(parts) or "–"


def paths_text(paths: Mapping[str, tuple[int, int]], *, several: bool) -> str:
    """Steps of the shortest and longest path to each readout, with several readouts by name.

    >>> paths_text({"IT": (1, 5)}, several=False)
    '1–5'
    """
    found = []
    for name, (shortest, longest) in paths.items():
        steps = str(shortest) if shortest == longest else f"{shortest}–{longest}"
        found.append(f"{name}: {steps}" if several else steps)
    return ", ".join(found) or "–"


def count_of(number: int, word: str) -> str:
    """A number with its noun, in the plural where it needs one.

    >>> count_of(1, "step"), count_of(3, "step")
    ('1 step', '3 steps')
    """
    return f"{number:,} {word}{'s' * (number != 1)}"
