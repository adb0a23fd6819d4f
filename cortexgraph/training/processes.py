"""Several processes that train one network: which of them this is, how they start, and what the end of one means."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, ClassVar

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.training.settings import TrainSettings, stored_settings

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables by which torchrun, SLURM and Lightning number processes and nodes."""
PARENT = "CORTEXGRAPH_PARENT"
"""The process that started this one to train along."""
LOOK_EVERY_S, GRACE_S = 0.2, 5.0
"""How often the first process looks at the others; how long it may take to leave a collective that lost one."""
CONNECTION_LOST = 75
"""Exit code of a process that ended because another one did."""


def is_first_process() -> bool:
    """Whether this process writes, prints and holds the lock: of several that train together, only the first does."""
    names = ("RANK",) if "TORCHELASTIC_RUN_ID" in os.environ else RANKS  # srun may have started torchrun on the nodes
    ranks = [os.environ.get(name, "0") for name in names]
    return not any(rank.isdecimal() and int(rank) for rank in ranks)


def wait_for_first_process() -> None:
    """Leave it to the first process to report what this one has found too: srun and torchrun then end this one."""
    if PARENT not in os.environ and not is_first_process():
        time.sleep(GRACE_S)


def cluster_environment() -> ClusterEnvironment:
    """What numbers the processes: torchrun, srun with several tasks, or Lightning for those that we start.

    Raises:
        CortexGraphError: if srun has started different numbers of tasks on the nodes.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        _describe_step(SLURMEnvironment.resolve_root_node_address)
        return SLURMEnvironment(auto_requeue=False)  # runs resume from their own checkpoints
    return LightningEnvironment()


def _describe_step(first_node: Callable[[str], str]) -> None:
    """Describe this step of srun by the variables that Lightning reads.

    Some of them are missing after `srun --ntasks`, and some describe the allocation, of which a step may be a part.
    """
    step = {name: os.environ.get(f"SLURM_STEP_{name}", "1") for name in ("NUM_TASKS", "NUM_NODES", "TASKS_PER_NODE")}
    tasks, nodes = int(step["NUM_TASKS"]), int(step["NUM_NODES"])
    if "," in step["TASKS_PER_NODE"] or tasks % nodes:
        found, expected = f"srun started {step['TASKS_PER_NODE']} tasks on {nodes} nodes", "each needs as many"
        repair = "Say how many tasks srun starts on each node."
        raise CortexGraphError(Diagnostic("environment", "nodes", found, expected, repair))
    counts = {"NTASKS": tasks, "NNODES": nodes, "NTASKS_PER_NODE": tasks // nodes}
    os.environ.update({f"SLURM_{name}": str(value) for name, value in counts.items()})
    os.environ.setdefault("MASTER_ADDR", first_node(os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    job, number = (int(os.environ.get(name, "0")) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    os.environ.setdefault("MASTER_PORT", str(15_000 + (job + 1_000 * number) % 10_000))  # of its own for each step


@contextmanager
def training_together(processes: int, world: int, repair: str) -> Iterator[None]:
    """Run a block in all processes. If one of them ends too early, so does the block, and the others with it.

    Args:
        processes: on this machine.
        world: on all machines.
        repair: how to go on with the run.

    Raises:
        CortexGraphError: naming the process that ended.
    """
    if world == 1:
        yield
        return
    companions = _Companions(repair)
    companions.start(processes)
    try:
        yield
    except Exception as error:
        of_connection = not isinstance(error, CortexGraphError) and _is_of_connection(error)
        if of_connection and PARENT in os.environ:
            os._exit(CONNECTION_LOST)
        finding = companions.wait_for_finding() if of_connection else None
        companions.kill()  # they wait for this one
        if finding is None:
            raise
        raise CortexGraphError(finding) from None
    finally:
        companions.stopping = True


def _is_of_connection(error: Exception) -> bool:
    """Whether a collective failed because another process is gone."""
    import torch

    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


class _Companions:
    """The other processes of this machine. They run this program from its start, and join in where it trains.

    Lightning starts processes in the same way, but kills all of them without a word if one ends.

    Attributes:
        processes: those that this program has started, with what they write to standard error.
        stopping: whether the block is left, so that processes may end.
    """

    processes: ClassVar[list[tuple[subprocess.Popen[bytes], IO[bytes]]]] = []

    def __init__(self, repair: str) -> None:
        self.repair, self.stopping = repair, False

    def start(self, count: int) -> None:
        """Start the others, unless torchrun, SLURM or an earlier training of this program did so, and watch them."""
        if parent := os.environ.get(PARENT):
            threading.Thread(target=end_with_parent, args=(int(parent),), daemon=True).start()
        elif count > 1 and not cluster_environment().creates_processes_externally:
            self._start(count)
        if self.processes:
            threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, count: int) -> None:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(_free_port()))
        os.environ["LOCAL_RANK"] = "0"
        for rank in range(1, count):
            errors = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
            own = os.environ | {"LOCAL_RANK": str(rank), PARENT: str(os.getpid())}
            command = [sys.executable, *sys.orig_argv[1:]]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": errors}
            self.processes.append((subprocess.Popen(command, env=own, **quiet), errors))  # type: ignore[call-overload]

    def kill(self) -> None:
        """End the others."""
        for process, _ in self.processes:
            process.kill()

    def finding(self) -> Diagnostic | None:
        """The finding for a process that ended by an error; of several, for the one that was first."""
        ended = [(process.poll(), rank) for rank, (process, _) in enumerate(self.processes, start=1)]
        failed = sorted((code == CONNECTION_LOST, code, rank) for code, rank in ended if code)
        if not failed:
            return None
        _, code, rank = failed[0]
        found = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
        errors = self.processes[rank - 1][1]
        errors.seek(0)
        text = errors.read().decode(errors="replace").strip()
        words = text.splitlines()[-1].strip() if "Traceback" in text else text
        reason = f": {words[-500:]}" if words and code > 0 else ""
        place = f"process {rank} of {len(self.processes) + 1}"
        return Diagnostic("process-ended", place, f"{found}{reason}".rstrip("."), repair=self.repair)

    def wait_for_finding(self) -> Diagnostic:
        """The finding after the connection to another process was lost."""
        until = time.monotonic() + GRACE_S
        while self.processes and time.monotonic() < until:
            if finding := self.finding():
                return finding
            time.sleep(LOOK_EVERY_S)
        found = "the connection to another process of this run was lost"
        return Diagnostic("process-ended", "devices", found, repair=self.repair)

    def _watch(self) -> None:
        """When a process ends by an error, end the others: this one by the error of the connection, or at once."""
        while not self.stopping:
            if finding := self.finding():
                self.kill()
                time.sleep(GRACE_S)
                if not self.stopping:  # it hangs in a collective
                    print(finding, file=sys.stderr, flush=True)
                    os._exit(1)
                return
            time.sleep(LOOK_EVERY_S)


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, so that a kill leaves none behind."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(CONNECTION_LOST)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


# ---- what the settings may ask for -------------------------------------------------


def on_these_machines(settings: TrainSettings) -> TrainSettings:
    """The settings, with as many devices and nodes as torchrun or srun has started processes for, unless they say it.

    Raises:
        CortexGraphError: if torchrun or SLURM started others, nothing says which of several nodes this is, or there is
            no program that other processes could run.
        SpecError: if a batch does not divide among the processes.
    """
    started = _started(cluster_environment())
    if started is not None:
        nodes, devices = started
        if settings.processes == 1 and started != (1, 1):
            settings = stored_settings(settings.model_dump() | {"nodes": nodes, "devices": devices})
        if started != (settings.nodes, settings.devices):
            repair = "Leave --nodes and --devices out, or give them as torchrun or srun has them."
            found = f"{settings.nodes} × {settings.devices} processes were asked for"
            raise CortexGraphError(
                Diagnostic("environment", "devices", found, f"{nodes} × {devices} were started", repair)
            )
        return settings
    if settings.nodes > 1 and not {"NODE_RANK", "MASTER_ADDR"} <= os.environ.keys():
        found, expected = f"{settings.nodes} nodes were asked for", "nothing says which of them this is"
        repair = "Start the command on every node by torchrun or srun, or set NODE_RANK, MASTER_ADDR and MASTER_PORT."
        raise CortexGraphError(Diagnostic("environment", "nodes", found, expected, repair))
    if settings.devices > 1:
        _check_program(settings.devices)
    return settings


def resumed_on_these_machines(settings: TrainSettings) -> TrainSettings:
    """The settings of a run that is resumed, without its devices and nodes where torchrun or srun say others.

    Nor do those of several nodes count where nothing has started other nodes.
    """
    is_alone = settings.nodes > 1 and "NODE_RANK" not in os.environ
    is_elsewhere = is_alone or _started(cluster_environment()) is not None
    return settings.model_copy(update={"devices": 1, "nodes": 1}) if is_elsewhere else settings


def _started(environment: ClusterEnvironment) -> tuple[int, int] | None:
    """How many nodes, and processes on each, torchrun or srun has started; None for processes that we start."""
    name = type(environment).__name__
    if name == "LightningEnvironment":
        return None
    if name == "SLURMEnvironment":
        return int(os.environ["SLURM_NNODES"]), int(os.environ["SLURM_NTASKS_PER_NODE"])
    world = int(os.environ.get("WORLD_SIZE", "1"))
    on_each = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    return world // on_each, on_each


def _check_program(devices: int) -> None:
    """Refuse several processes where there is no program to start again, or other ones run already."""
    found, repair = f"{devices} processes are needed", "Train in a script, by `cortexgraph train`, or with `devices=1`."
    if not hasattr(sys.modules["__main__"], "__file__") and "-c" not in sys.orig_argv:
        expected = "there is no program here that they could run"
        raise CortexGraphError(Diagnostic("no-program", "devices", found, expected, repair))
    if _Companions.processes and len(_Companions.processes) + 1 != devices:
        expected = f"an earlier training of this program has started {len(_Companions.processes) + 1}"
        raise CortexGraphError(Diagnostic("no-program", "devices", found, expected, "Train in another program."))
