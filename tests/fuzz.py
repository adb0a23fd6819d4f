"""Mutants of valid specs, and what becomes of each: checked, unrolled, emitted and drawn, or refused with findings."""

from __future__ import annotations

import copy
import json
import random
import re
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cortexgraph.compiler import check, emit
from cortexgraph.drawing import draw, draw_unrolled
from cortexgraph.errors import CortexGraphError
from cortexgraph.ops import CELLS, OPERATIONS
from cortexgraph.spec import dumps, loads, zoo
from cortexgraph.spec.reading import read_yaml

SPECIMENS = Path(__file__).parent / "specs" / "valid"
LARGEST = 12_000
"""Bytes of a spec to start from."""

SECONDS = 4.0
"""Of processor time for one mutant; most take a hundredth of it."""

DRAWN = 15
"""One in so many of those that compile is drawn, and saved, as well."""

WORDS = [
    "image", "V1", "V2", "A", "first", "always", "last", "all", "learned", "sum", "concat", "batch", "group", "none",
    "relu", "nearest", "transposed", "pool", "skip", "zero_input", "sequential", "shared", "per_step", "modulate",
    "V1 -> V2", "image -> V1 -> V1", "A -> A", "->", "V1 ->", "", " ", "class", "{{x}}", "a'b", 'a"b', "a\nb",
    "\u202eV1", "Ｖ1", "\u0410", "None", "__import__('os')", "../x", "x" * 70, "\ud7ff", "\U0001f9e0", "#", "null", "1",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 16, 64, -1, -7, 65_536, 65_537, 10**9, 10**40, 0.5, 1.5, -0.0, 1e-9, 1e300, 1e309]
SHAPES: list[Any] = [None, True, False, [], {}, [[]], [1], [2, 3], [1, 1], [1, 2, 3], {"from": 1}, {"from": 2, "to": 1}]
PIECES = [
    "{", "}", "[", "]", ":", ": ", "- ", "->", "&a ", "*a", "!!int ", "'", '"', "\\", "\t", "\n", "  ", "#", "|", ">",
    "?", ".nan", ".inf", "-1", "0", "1e999", "null", "true", "~", "\x00", "\x1b", "\u2028", "ü", "%", "---", "<<: ",
]  # fmt: skip


def seeds() -> list[str]:
    """The texts of valid specs."""
    paths = [*sorted(SPECIMENS.rglob("*.yaml")), *zoo().values()]
    return [text for path in paths if len(text := path.read_text(encoding="utf-8")) < LARGEST]


def mutants(seed: int, count: int) -> Iterator[str]:
    """Texts of specs, three in four of them mutated as data, the others as text."""
    source, texts = random.Random(seed), seeds()
    parsed = [read_yaml(text).data for text in texts]
    for _ in range(count):
        if source.randrange(4):
            data = copy.deepcopy(source.choice(parsed))
            for _ in range(source.choice([1, 1, 1, 2, 3, 5])):
                _mutate(data, source, parsed)
            yield json.dumps(_with_few_steps(data), ensure_ascii=False)
        else:
            yield mutated_text(source.choice(texts), source)


def _with_few_steps(data: Any) -> Any:
    """A large number of steps is legal, and takes its time."""
    time = data.get("time") if isinstance(data, dict) else None
    if isinstance(time, dict) and isinstance(time.get("steps"), int) and 30 < time["steps"] <= 100_000:
        time["steps"] = 30
    return data


def mutated_text(text: str, source: random.Random) -> str:
    for _ in range(source.randint(1, 4)):
        at, until = sorted(source.randrange(len(text) + 1) for _ in range(2))
        match source.randrange(4):
            case 0:
                text = text[:at] + source.choice(PIECES + WORDS) + text[at:]
            case 1:
                text = text[:at] + text[min(until, at + 8) :]
            case 2:
                text = text[:until] + text[at : at + 20] + text[until:]
            case _:
                text = text[:at] + source.choice(PIECES) + text[at + 1 :]
    return text


VALUES = [
    "0", "-1", "1.5", "1e300", "9" * 30, "9" * 5000, "65536", "99999", "true", "null", "[]", "{}", "[1, [2]]", "{a: 1}",
    "''", '"x"', "image", "V1 -> V1", ".nan", "-.inf", "[V1]", "{from: 1}", "0x10", "2001-01-01", "!!str 3", "&a 3",
    "*a", "relu", "[relu]", "[{conv: {kernel: 99999}}]", "[{gabor: 65535}]", "[1, 99999]", "\ud800", "\x00", "\x1b",
]  # fmt: skip
VALUE = re.compile(r"(?<=: )[^,{}\[\]#\n]+")


def mutated_lines(text: str, source: random.Random) -> str:
    """Lines removed, repeated, exchanged and indented; values replaced and exchanged; keys repeated and renamed."""
    lines = text.split("\n")
    for _ in range(source.choice([1, 1, 1, 2, 3, 5])):
        at, other = source.randrange(len(lines)), source.randrange(len(lines))
        line, values = lines[at], [*VALUE.finditer(lines[at])]
        keys = [*re.finditer(r"\b(\w+): ([^,{}\[\]#\n]*)", line)]
        match source.randrange(9):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(other, line)
            case 2:
                lines[at], lines[other] = lines[other], line
            case 3:
                lines[at] = " " * source.randrange(5) + line.lstrip()
            case 4 if len(values) > 1:
                one, two = sorted(source.sample(values, 2), key=lambda value: value.start())
                middle = line[one.end() : two.start()]
                lines[at] = line[: one.start()] + two[0] + middle + one[0] + line[two.end() :]
            case 5 if keys:
                key = source.choice(keys)
                lines[at] = f"{line[: key.start()]}{key[0]}, {line[key.start() :]}"
            case 6 if keys:
                key, name = (
                    source.choice(keys),
                    source.choice(["from", "to", "size", "body", "tie", "resize", "at", "x"]),
                )
                lines[at] = line[: key.start()] + name + line[key.end(1) :]
            case _ if values:
                value = source.choice(values)
                lines[at] = line[: value.start()] + source.choice(VALUES) + line[value.end() :]
    return "\n".join(lines)


def _places(data: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every container with each of its keys or indices."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        found.append((data, key))
        if isinstance(value, dict | list):
            _places(value, found)
    return found


def _mutate(data: Any, source: random.Random, others: list[Any]) -> None:
    places = _places(data, [])
    if not places:
        return
    container, key = source.choice(places)
    match source.randrange(14):
        case 0:
            del container[key]
        case 1 | 2:
            container[key] = _value(source)
        case 3 | 8 | 9:  # what stands under such a key, or anywhere, in another spec
            elsewhere = _places(source.choice(others), [])
            alike = [place for place in elsewhere if place[1] == key]
            other, at = source.choice(alike if alike and source.randrange(5) else elsewhere)
            container[key] = copy.deepcopy(other[at])
        case 4 if isinstance(container, dict):
            container[source.choice([*WORDS, *(str(k) for _, k in places)])] = container.pop(key)
        case 5 if isinstance(container, list):
            container.insert(
                source.randrange(len(container) + 1), copy.deepcopy(source.choice([container[key], _value(source)]))
            )
        case 6 if isinstance(container, dict):
            container[source.choice([str(k) for _, k in places])] = _value(source)
        case _:
            _nudge(container, key, source)


def _nudge(container: Any, key: Any, source: random.Random) -> None:
    value = container[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = source.choice([value + 1, value - 1, value * 2, value // 2, -value, float(value), str(value)])
    elif isinstance(value, str) and value:
        at = source.randrange(len(value))
        container[key] = value[:at] + source.choice(["", "x", value[at] * 2, " ", "-"]) + value[at + 1 :]
    elif isinstance(value, list):
        container[key] = value * 2 if source.randrange(2) else value[::-1]
    else:
        container[key] = [value]


def _value(source: random.Random) -> Any:
    match source.randrange(5):
        case 0:
            return source.choice(WORDS)
        case 1:
            return source.choice(NUMBERS)
        case 2:
            return copy.deepcopy(source.choice(SHAPES))
        case 3:
            word = source.choice([*OPERATIONS, *CELLS])
            return [source.choice([word, {word: source.choice(NUMBERS)}, {word: {"kernel": 3}}])]
        case _:
            return {source.choice(WORDS): source.choice(NUMBERS)}


# ---- what becomes of a mutant ------------------------------------------------


def fuzz(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """The numbers of mutants that compiled, were found fault with, and were refused; and every failure."""
    signal.signal(signal.SIGPROF, _too_slow)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    for text in mutants(seed, count):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcomes[_outcome(text, draws=not outcomes["compiled"] % DRAWN)] += 1
        except Exception as error:
            told = "".join(traceback.format_exception(error, limit=-4))
            failures.append(f"{told}\n{text}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return outcomes, failures


def _too_slow(*_: Any) -> None:
    raise TimeoutError(f"a mutant takes more than {SECONDS} s")


def _outcome(text: str, *, draws: bool) -> str:
    try:
        spec = loads(text, file="mutant.yaml")
    except CortexGraphError as error:
        _assert_told(error)
        return "refused"
    errors = [finding for finding in check(spec) if finding.severity == "error"]
    try:
        source = emit(spec)
    except CortexGraphError as error:
        _assert_told(error)
        assert errors, f"checked, but not compiled: {error}"
        return "found fault with"
    assert not errors, f"compiled in spite of {errors[0]}"
    compile(source, "mutant", "exec")
    if draws:
        with tempfile.TemporaryDirectory() as folder:
            draw(spec).save(Path(folder) / "areas.svg")
            draw_unrolled(spec).save(Path(folder) / "updates.svg")
        assert loads(dumps(spec)) == spec
    return "compiled"


def _assert_told(error: CortexGraphError) -> None:
    assert error.diagnostics
    for finding in error.diagnostics:
        assert finding.found
        assert str(finding).encode().decode().replace("\n", "").isprintable(), "a control character comes through"
