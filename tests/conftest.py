"""What every test shares: one thread, fixed seeds, no network logger, and processes that talk over gloo.

`pytest --contract my.module.Class` runs the contract tests of its family (method, head, backbone, schedule, ...) on a
class of yours, and nothing else; `--contract my/config.yaml` those of a config. It may be given more than once.
"""

import inspect
import io
import os
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.contract.kit.failures import lines_of_failures
from tests.contract.kit.found import choose, families

os.environ.setdefault("WANDB_MODE", "offline")
# pictures are drawn without a screen
os.environ.setdefault("MPLBACKEND", "agg")

RunRanks = Callable[..., list[Any]]
PATIENCE_S = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "run the contract tests on this class, or on this config file; may be given more than once"
    parser.addoption("--contract", metavar="CLASS", action="append", default=[], help=words)


def pytest_configure(config: pytest.Config) -> None:
    if names := config.getoption("--contract"):
        try:
            choose(*names)
        except ValueError as error:
            raise pytest.UsageError(f"--contract {' '.join(names)}: {error}") from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = config.getoption("--contract")
    if not names:
        _leave_for_the_night(config, items)
        return
    own = set()
    for name, chosen in zip(names, choose(*names), strict=True):
        taken = {item for item in items if any(_is_same(value, chosen) for value in _parameters(item))}
        if not taken:
            raise pytest.UsageError(
                f"no contract test takes {name}; here they take configs and the concrete subclasses of "
                f"{', '.join(sorted(families))}"
            )
        own |= taken
    config.hook.pytest_deselected(items=[item for item in items if item not in own])
    items[:] = [item for item in items if item in own]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption("--contract"):
        item.user_properties.append(("hint", inspect.getdoc(getattr(item, "function", None)) or ""))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What is wrong with a class, once for each test: one fault fails many cases."""
    failed = terminalreporter.stats.get("failed", [])
    if config.getoption("--contract") and failed:
        terminalreporter.section("what does not hold, and the usual cause")
        for line in lines_of_failures(failed):
            terminalreporter.write_line(line)


def _leave_for_the_night(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "nightly" not in config.option.markexpr:
        late = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=late)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


def _is_same(value: Any, chosen: type | Path) -> bool:
    return value is chosen or (isinstance(value, Path) and value == chosen)


def _parameters(item: pytest.Item) -> list[Any]:
    call = getattr(item, "callspec", None)
    return list(call.params.values()) if call is not None else []


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)  # a run with `deterministic: warn` leaves it on


@pytest.fixture(scope="session")
def run_ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRanks]:
    """`run_ranks(work, *args, ranks=2)`: call `work(rank, *args)` in processes joined by gloo; their results in order.

    `work` must be a function at the top level of its module, and its result plain data and tensors. The processes stay
    for the next test; those of a failed test are replaced.
    """
    teams: dict[int, _Team] = {}

    def run(work: Callable[..., Any], *args: Any, ranks: int = 2) -> list[Any]:
        if ranks not in teams:
            teams[ranks] = _Team(ranks, tmp_path_factory.mktemp("gloo"))
        try:
            return teams[ranks].run(work, *args)
        except BaseException:
            teams.pop(ranks).stop()
            raise

    yield run
    for team in teams.values():
        team.stop()


class _Team:
    """Processes of one gloo group that wait for work."""

    def __init__(self, ranks: int, folder: Path) -> None:
        # one process imports everything, and ranks are copies of it: four at once would need half a minute of two cores
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(["tests.contract.kit.runs"])
        self.pipes, self.processes = [], []
        for rank in range(ranks):
            ours, theirs = context.Pipe()
            self.pipes.append(ours)
            self.processes.append(context.Process(target=_serve, args=(rank, ranks, str(folder), theirs), daemon=True))
            self.processes[-1].start()

    def run(self, work: Callable[..., Any], *args: Any) -> list[Any]:
        for pipe in self.pipes:
            pipe.send_bytes(pickle.dumps((work, args)))
        results: dict[int, Any] = {}
        end = time.monotonic() + PATIENCE_S
        while len(results) < len(self.pipes):
            for rank, (pipe, process) in enumerate(zip(self.pipes, self.processes, strict=True)):
                if rank in results or not pipe.poll(0.01):
                    if not process.is_alive():
                        raise RuntimeError(f"rank {rank} died with exit code {process.exitcode}")
                    continue
                failure, result = torch.load(io.BytesIO(pipe.recv_bytes()), weights_only=False)
                if failure:
                    raise RuntimeError(f"rank {rank}:\n{failure}")
                results[rank] = result
            if time.monotonic() > end:
                raise TimeoutError(f"only ranks {sorted(results)} came back within {PATIENCE_S} s")
        return [results[rank] for rank in range(len(self.pipes))]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


def _serve(rank: int, ranks: int, folder: str, pipe: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    while True:
        work, args = pickle.loads(pipe.recv_bytes())
        torch.manual_seed(0)
        try:
            answer = (None, work(rank, *args))
        except Exception:  # noqa: BLE001, the parent raises it
            answer = (traceback.format_exc(), None)
        buffer = io.BytesIO()
        torch.save(answer, buffer)
        pipe.send_bytes(buffer.getvalue())
