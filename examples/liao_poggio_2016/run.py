"""The questions of Liao & Poggio (2016): nine experiments, one after another.

    python examples/liao_poggio_2016/run.py --data path/to/cifar10            # small: some 50 minutes of one CPU core
    python examples/liao_poggio_2016/run.py --setting medium --data cifar10   # medium: estimated 11 hours of one core
    python examples/liao_poggio_2016/run.py --setting full --data cifar10     # full: for a GPU

Repeat the same command to continue after an interruption. Runs that two experiments share are trained once. `report.py`
then makes the tables and figures of docs/liao_poggio_2016.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cortexgraph.data.load import as_path
from cortexgraph.errors import CortexGraphError
from cortexgraph.experiment import load_experiment
from cortexgraph.experiment.compare import compare

HERE = Path(__file__).parent
QUESTIONS = {
    "weights": "(a) shared and unshared weights",
    "weights_training": "(a) shared and unshared weights after less training",
    "norm": "(b) batch norm: per step, shared, none",
    "readout_time": "(c) readout time",
    "states": "(d) one, two and three states",
    "states_matched": "(d) three states with equal numbers of parameters",
    "order": "(e) order of transitions",
    "lesions": "(f) lesions",
    "trained_without": "(f) networks trained without lateral or feedback connections",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=("small", "medium", "full"), default="small")
    parser.add_argument("--data", required=True, help="cifar10 (as cortexgraph train downloads it), or a folder")
    parser.add_argument("--out", type=Path, default=Path("runs/liao_poggio_2016"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", choices=QUESTIONS, nargs="+", default=list(QUESTIONS))
    arguments = parser.parse_args()
    source = str(as_path(arguments.data).resolve()) if as_path(arguments.data).is_dir() else arguments.data
    failed = 0
    for name in arguments.only:
        experiment = load_experiment(HERE / arguments.setting / f"{name}.yaml")
        data = experiment.data.arguments | {"source": source}
        print(QUESTIONS[name], flush=True)
        result = compare(
            experiment,
            arguments.out / name,
            data=data,
            jobs=arguments.jobs,
            reuse=[arguments.out],
            tell=lambda line: print(line, flush=True),
        )
        failed += len(result.failures)
    return int(failed > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CortexGraphError as error:
        sys.exit(str(error))
