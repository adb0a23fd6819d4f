"""Files that cannot be read, the zoo, the starter."""

import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.spec import load, loads, starter, zoo, zoo_path


def test_from_the_zoo_by_name():
    assert load("ventral") == load(zoo_path("ventral")) == load(str(zoo()["ventral"]))


def test_a_file_goes_before_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "ventral").write_text(starter("mine"))
    monkeypatch.chdir(tmp_path)
    assert load("ventral").name == "mine"


@pytest.mark.parametrize("name", ["vental", "specs/vental.yaml", Path("vental.yaml"), "nul\0", "x" * 5000])
def test_missing_file_says_where_to_look(name: str | Path):
    with pytest.raises(SpecError, match=r"no such file, and no zoo spec of this name\.\n.*`cortexgraph zoo`") as caught:
        load(name)
    assert ("Did you mean `ventral`?" in str(caught.value)) == ("vental" in str(name))


def test_missing_zoo_name():
    with pytest.raises(SpecError, match=r"no zoo spec is called `vental`.*\n.*Did you mean `ventral`"):
        zoo_path("vental")


def test_folder(tmp_path: Path):
    with pytest.raises(SpecError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the spec is empty"),
        (b"# nothing\n", "the spec is empty"),
        (b"- a\n", r"the spec is the list `\[a\]`"),
        (b"hello", "the spec is the text `hello`"),
        (b"name: a\nx: \xff\xfe", r":2: the file is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text"),
        (b"name: \x00", r":1: the control character"),
        (b"a: " + b"x" * 1_000_000, "larger than 1 MB"),
        (b"[" * 200_000, "nested more than 50 deep"),
        (b"a: &a [*a]", "an alias contains itself"),
        (b"? [a]\n: b\n", "a key is a list"),
        (b"true: 1\n", "the key `true` is a truth value"),
    ],
)
def test_unreadable_content(tmp_path: Path, content: bytes, text: str):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=text) as caught:
        load(path)
    assert all(finding.file == str(path) for finding in caught.value.diagnostics)


def test_alias_bomb_is_stopped():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="more than 100,000 values"):
        loads("\n".join(lines))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"a": 1,}', "the JSON cannot be read"),
        ("{a: 1}", r"x\.json:1: column 2: the JSON cannot be read"),
        ('{"a": NaN}', "`NaN` is not a JSON number"),
        ('{\n\t"name": "x",\n\t"name": "y"}', r"x\.json:3: name: the key `name` appears here and on line 2"),
        ('{"name": "\\ud800"}', "must be text of whole characters"),
        ("[" * 100_000, "nested more than 50 deep"),
        ('{"time": {"steps": %s}}' % ("9" * 5000), "the JSON cannot be read"),
    ],
)
def test_json_is_strict(content: str, text: str):
    with pytest.raises(SpecError, match=text):
        loads(content, file="x.json")


def test_json_has_lines():
    with pytest.raises(SpecError, match=r"x\.json:3: input\.size"):
        loads('{\n\t"name": "x",\n\t"input": {"size": "a"}}', file="x.json")


def test_byte_order_mark_and_windows_lines(tmp_path: Path):
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + starter("win").replace("\n", "\r\n").encode())
    assert load(path).name == "win"


@pytest.mark.parametrize("name", ["first", "7a", "null", "true", "TH/TF", "a: b", "Ü (L2/3)", "1e3", "on"])
def test_starter_loads_under_its_name(name: str):
    text = starter(name)
    assert loads(text).name == name
    assert text.count("#") > 20


@pytest.mark.parametrize("name", ["", 'a"b', "a\nb", "{x}", "x" * 65, "\\"])
def test_starter_refuses_names(name: str):
    with pytest.raises(SpecError, match="bad-name"):
        starter(name)


def test_import_is_light():
    heavy = "('torch', 'networkx', 'yaml', 'numpy')"
    script = f"import sys, cortexgraph.spec; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
