"""The real client of the hub against a server on this machine: what is pushed is opened, and what breaks is told."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import cortexgraph as cg
from cortexgraph.errors import DataError
from cortexgraph.training import load_run

from .server import TOKEN, Hub, serving
from .test_hub import NET, command, outputs

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload"),  # of the client's own uploads
]
AIRPLANE = str(Path(__file__).parents[2] / "examples" / "airplane.png")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("logging.raiseExceptions", False)  # the client's handler keeps the stream of an earlier test
    with serving() as hub:
        _client(monkeypatch, hub.address, tmp_path / "cache")
        yield hub


def _client(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Point the client, which has read its variables, to an address."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    values = {"ENDPOINT": address, "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}"}
    values |= {"HF_HUB_CACHE": str(cache), "HF_XET_CACHE": str(cache)}
    for name, value in values.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the server speaks LFS


def refused(*words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The one finding of a command that is refused."""
    capsys.readouterr()
    assert command(monkeypatch, *words) == 1
    error = capsys.readouterr().err
    assert error.count("[hub]") == 1, error
    assert "Traceback" not in error
    return error


def test_push_then_predict_from_pretrained_and_eval(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "push", "ventral-cifar10", NET, "--license", "mit", "--private") == 0
    repository = hub.repositories[NET]
    assert f"shared at {hub.address}/{NET}/commit/" in capsys.readouterr().out
    assert (repository.private, len(repository.commits)) == (True, 2)
    assert sum(request.startswith("PUT /lfs/") for request in hub.requests) == 2  # the weights and the drawing
    repository.commits[-1]["pytorch_model.bin"] = b"cos\nsystem\n"  # someone else's, and a table of an earlier run
    repository.commits[-1]["validation.json"] = b"{}"
    assert command(monkeypatch, "predict", AIRPLANE, "--weights", f"hf://{NET}") == 0
    assert "airplane" in capsys.readouterr().out
    logits = outputs(load_run("ventral-cifar10"))
    assert torch.equal(outputs(cg.from_pretrained(NET)), logits)
    assert not [request for request in hub.requests if "pytorch_model" in request or "README" in request]
    first, _ = repository.find("main") or ("", {})

    cg.push("ventral-strong-cifar10", NET, licence="mit")
    assert set(repository.commits[-1]) == set(repository.commits[-2]) - {"validation.json"}
    assert cg.from_pretrained(NET).spec.name == "ventral_strong"
    assert torch.equal(outputs(cg.from_pretrained(NET, revision=first)), logits)
    with pytest.raises(DataError, match="it has no revision `v9`"):
        cg.from_pretrained(NET, revision="v9")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DataError, match="you are not logged in"):
        cg.push("ventral-cifar10", NET)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="the hub has no such network, or it is private"):
        cg.from_pretrained(NET)
    assert len(repository.commits) == 3


def test_an_upload_that_breaks_off_leaves_the_repository_as_it_was(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    push = ("push", "ventral-cifar10", NET, "--license", "mit")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between its attempts
    for pattern, status in (("PUT /lfs", 0), ("PUT /lfs", 403), (r"POST .*/commit/", 500), (r"POST .*/preupload", 0)):
        hub.breaks = (pattern, status)
        error = refused(*push, capsys=capsys, monkeypatch=monkeypatch)
        assert f"hf://{NET}: " in error
        assert "Repeat the command; until it succeeds, the hub shows what it showed before." in error
        assert ("No more room for you" in error) == (status == 403)
        assert hub.repositories[NET].commits == [{}]
    hub.breaks = None
    hub.repositories[NET].commits[-1]["pytorch_model.bin"] = b"cos\nsystem\n"
    error = refused("predict", AIRPLANE, "-w", f"hf://{NET}", capsys=capsys, monkeypatch=monkeypatch)
    assert "it holds no network of cortexgraph.\n  Name a repository that `cortexgraph push` filled." in error
    assert command(monkeypatch, *push) == 0
    assert len(hub.repositories[NET].commits) == 2
    hub.breaks = ("GET .*/resolve/.*/weights", 403)
    assert "No more room" in refused("eval", f"hf://{NET}", capsys=capsys, monkeypatch=monkeypatch)


def test_what_the_hub_refuses(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    for words in (("push", "ventral-cifar10", NET), ("predict", AIRPLANE, "-w", f"hf://{NET}")):
        error = refused(*words, capsys=capsys, monkeypatch=monkeypatch)
        assert "the hub does not accept your token.\n  Run `hf auth login`" in error
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    error = refused("push", "ventral-cifar10", "other/ventral", capsys=capsys, monkeypatch=monkeypatch)
    assert "403 Forbidden: You don't have the rights to create a model under the namespace other/ventral" in error
    error = refused("predict", AIRPLANE, "-w", "hf://lab/nothing", capsys=capsys, monkeypatch=monkeypatch)
    assert "the hub has no such network, or it is private" in error
    assert hub.repositories == {}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _client(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}", tmp_path / "cache")
    error = refused("push", "ventral-cifar10", NET, capsys=capsys, monkeypatch=monkeypatch)
    assert "the hub was not reached (" in error
    assert "Try again when you are online." in error
    error = refused("predict", AIRPLANE, "-w", f"hf://{NET}", capsys=capsys, monkeypatch=monkeypatch)
    assert "it is not in the cache, and the hub was not reached" in error
