"""Huge, deep and self-multiplying specs: one finding each, within bounds of time and memory; growth is linear."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cortexgraph.compiler import check
from cortexgraph.errors import MOST_FINDINGS, SpecError
from cortexgraph.spec import loads
from tests.bounded import bounded, codes_of


def spec(
    areas: str = "V1: {channels: 4, size: 16}",
    connections: str = "image -> V1",
    readout: str = "{from: V1, classes: 3}",
    time: str = "{steps: 2}",
    more: str = "",
) -> str:
    return (
        f"name: x\n{more}input: {{size: 16}}\nareas: {{{areas}}}\nconnections: [{connections}]\n"
        f"readout: {readout}\ntime: {time}\n"
    )


def numbered(entry: str, count: int) -> str:
    return ", ".join(entry.replace("#", str(n)) for n in range(count))


def dense(count: int, steps: int = 2) -> str:
    """`count` connections among a hundred areas."""
    areas = numbered("A#: {channels: 1, size: 4}", 100)
    lines = (f"{{from: A{n % 100}, to: A{n // 100 % 100}}}" for n in range(count))
    chain = "image -> " + " -> ".join(f"A{n}" for n in range(100))
    return spec(
        areas, f"{chain}, {', '.join(lines)}", "{from: A99, classes: 2}", f"{{steps: {steps}, order: sequential}}"
    )


LONG = "x" * 400_000
NINES = "9" * 10_000
NESTED = "{residual: [" * 20 + "relu" + "]}" * 20

HOSTILE = {
    "aliases of lists": (
        "a0: &a0 [x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "too-large",
    ),
    "aliases of texts": (f"t: &t {LONG}\nreferences: [{', '.join(['*t'] * 90_000)}]\n", "too-large"),
    "aliases of keys": (f"t: &t {LONG}\nareas:\n" + "  ? *t\n  : 1\n" * 9000, "too-large"),
    "aliases of chains": (
        spec(connections=f"&c {' -> '.join(['V1'] * 50_000)}, {', '.join(['*c'] * 9000)}"),
        "too-large",
    ),
    "brackets": ("[" * 100_000, "too-deep"),
    "braces": ("{a: " * 100_000, "too-deep"),
    "dashes": ("- " * 100_000, "too-deep"),
    "blocks": ("\n".join(" " * n + "a:" for n in range(900)), "too-deep"),
    "values": ("- 1\n" * 240_000, "too-large"),
    "long text": ("a: " + "b" * 1_000_001, "too-large"),
    "a tag": ("!" * 900_000, "tag"),
    "steps": (spec(time="{steps: 1000000000}"), "out-of-range"),
    "digits": (spec(time=f"{{steps: {NINES}}}"), "wrong-type"),
    "hexadecimal digits": (spec(time=f"{{steps: 0x{NINES}}}"), "out-of-range"),
    "exponent": (spec(time="{steps: 1e999}"), "wrong-type"),
    "channels": (spec(areas="V1: {channels: 1000000000, size: 16}"), "out-of-range"),
    "size": (spec(areas="V1: {channels: 4, size: 1000000000}"), "out-of-range"),
    "kernel": (spec(connections="{from: image, to: V1, kernel: 1000000000}"), "out-of-range"),
    "classes": (spec(readout="{from: V1, classes: 1000000000}"), "out-of-range"),
    "updates": (spec(time="{steps: 100000, order: [V1, V1, V1, V1]}"), "too-many-updates"),
    "reads": (dense(2000, steps=2000), "too-many-updates"),
    "readouts at all steps": (
        spec(readout=f"[{numbered('{from: V1, classes: 2, name: r#, at: all}', 1000)}]", time="{steps: 20000}"),
        "too-many-updates",
    ),
    "a Gabor bank": (
        spec(connections="{from: image, to: V1, transform: [{gabor: {kernel: 65535}}]}"),
        "bad-operation",
    ),
    "as many updates as are allowed": (
        spec(connections="image -> V1, V1 -> V1", readout="{from: V1, classes: 2, at: all}", time="{steps: 30000}"),
        None,
    ),
    "a response beyond what is looked at": (
        spec(
            areas=numbered("A#: {channels: 1, size: 4}", 2000),
            connections=f"image -> {' -> '.join(f'A{n}' for n in range(2000))}",
            readout="{from: A1999, classes: 2}",
        ),
        "silent-readout",
    ),
    "a chain of one area": (spec(connections="image -> " + " -> ".join(["V1"] * 100_000)), "out-of-range"),
    "operations": (spec(areas=f"V1: {{channels: 4, size: 16, body: [{numbered('relu', 50_000)}]}}"), "out-of-range"),
    "readouts": (spec(readout=f"[{numbered('{from: V1, classes: 2, name: r#}', 20_000)}]"), "out-of-range"),
    "references": (spec(more=f"references: [{numbered('r#', 50_000)}]\n"), "out-of-range"),
    "groups": (spec(time=f"{{steps: 2, order: [{numbered('V1', 90_000)}]}}"), "out-of-range"),
    "unknown names": (spec(connections="image -> V1, " + numbered("B# -> C#", 9000)), "unknown-area"),
    "unknown keys": (spec(areas=numbered("A#: {chanels: 1}", 9000)), "unknown-key"),
    "wrong arrows": (spec(connections=numbered('"A# => B"', 9000)), "bad-chain"),
    "nested blocks": (spec(areas=f"V1: {{channels: 4, size: 16, body: [{NESTED}]}}"), None),
    "a line of ties": (
        spec(
            connections="image -> V1, {from: V1, to: V1, name: c-1}, "
            + ", ".join(f"{{from: V1, to: V1, name: c{n}, tie: c{n - 1}}}" for n in range(1000))
        ),
        None,
    ),
    "a list of steps": (
        spec(connections=f"{{from: image, to: V1, active: {list(range(1, 9000))}}}", time="{steps: 8999}"),
        None,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_answered_within_bounds(name: str) -> None:
    text, code = HOSTILE[name]
    found = bounded(codes_of, text, "hostile.yaml")
    if code is None:
        assert found == []
    else:
        assert found[0] == code
        assert len(found) <= 2 * MOST_FINDINGS + 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "too-deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "too-deep"),
        ("[" + ",".join(["1"] * 200_000) + "]", "too-large"),
        ('{"time": {"steps": ' + NINES + "}}", "syntax"),
        ('{"time": {"steps": NaN}}', "syntax"),
    ],
    ids=["brackets", "braces", "values", "digits", "not a number"],
)
def test_hostile_json_is_answered_within_bounds(text: str, code: str) -> None:
    assert bounded(codes_of, text, "hostile.json") == [code]


def test_more_findings_than_are_worth_reading_are_counted() -> None:
    with pytest.raises(SpecError, match="there are 1,800 more findings") as caught:
        loads(spec(areas=numbered("A#: {size: 16}", 2000)))
    assert len(caught.value.diagnostics) == MOST_FINDINGS + 1
    findings = check(loads(spec(connections="image -> V1, " + numbered("B# -> C#", 300))))
    assert [finding.code for finding in findings] == ["unknown-area"] * MOST_FINDINGS + ["more-findings"]


def tied(count: int) -> str:
    lines = (f"{{from: V1, to: V1, name: c{n}, tie: {f'c{n - 1}' if n % 2 else 'first'}}}" for n in range(count))
    return spec(connections=f"image -> V1, {{from: V1, to: V1, name: first}}, {', '.join(lines)}")


def readouts(count: int) -> str:
    return spec(readout=f"[{numbered('{from: V1, classes: 2, name: r#}', count)}]")


def operations(count: int) -> str:
    return spec(areas=f"V1: {{channels: 1, size: 16, body: [{numbered('{conv: 3}', count)}]}}")


@pytest.mark.parametrize(("make", "count"), [(dense, 2000), (tied, 800), (readouts, 800), (operations, 800)])
def test_checking_grows_linearly(make: Callable[[int], str], count: int) -> None:
    """Four times the size takes less than five times the lines of Python; quadratic growth would make it sixteen."""

    def lines_run(size: int) -> int:
        text = make(size)
        with counted_lines() as lines:
            assert not [finding for finding in check(loads(text)) if finding.severity == "error"]
        return lines()

    assert lines_run(count) < 5 * lines_run(count // 4)


@contextmanager
def counted_lines() -> Iterator[Callable[[], int]]:
    """Count the lines of Python that run, those of each turn of a loop included: work that no busy machine changes."""
    count = itertools.count()
    total = -1

    def trace(frame: object, event: str, value: object) -> object:
        next(count)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        yield lambda: total
    finally:
        sys.settrace(before)
        total = next(count)
