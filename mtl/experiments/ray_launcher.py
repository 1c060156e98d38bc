"""Runs on the machines of a Ray cluster, which must see the same folders: the checkout and the runs.

Source: Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError


class RayLauncher:
    """Starts each run as a task of a cluster, which waits until a machine has the CPUs and GPUs for it.

    Args:
        address: of the cluster: `auto` for the one that this machine belongs to, `local` to start one here, or
            host:port.
        cpus: of each run.
        gpus: of each run; parts of one are shared.

    Raises:
        ConfigError: if Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str, cpus: float = 1, gpus: float = 0) -> None:
        self.cpus, self.gpus = cpus, gpus
        self.ray = _connect(address)
        self.task = self.ray.remote(max_retries=0)(_run)

    def __call__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> "RayRun":
        """Start a run.

        Args:
            command: its words.
            log: what its output is added to.
            env: more variables of its environment.
        """
        for file in (_stop_file(log), _started_file(log)):
            file.unlink(missing_ok=True)
        threads = str(max(1, int(self.cpus)))
        task = self.task.options(num_cpus=self.cpus, num_gpus=self.gpus, name=" ".join(command[-8:]))
        reference = task.remote(list(command), str(log.absolute()), {**env, "OMP_NUM_THREADS": threads}, os.getcwd())
        return RayRun(self.ray, reference, log)


class RayRun:
    """A run on a cluster, with the interface of a process.

    Args:
        ray: the package.
        reference: Ray's reference to the task.
        log: where the output of the run goes.
    """

    def __init__(self, ray: Any, reference: Any, log: Path) -> None:
        self.ray, self.reference, self.log = ray, reference, log

    def wait(self) -> int:
        """The exit code; 1 where the machine was lost, which the log says."""
        try:
            return int(self.ray.get(self.reference))
        except self.ray.exceptions.RayError as error:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"\nRay lost the run: {error}\n")
            return 1

    def terminate(self) -> None:
        """End the run, also one that waits for a machine."""
        _stop_file(self.log).touch()
        if not _started_file(self.log).exists():
            self.ray.cancel(self.reference)


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError('runs on a cluster need the package ray: pip install "mtl[ray]"') from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=None if address != "local" else False)
        except ConnectionError as error:
            raise ConfigError(
                f"--ray {address}: there is no Ray cluster. Start one (`ray start --head`, and `ray start "
                "--address=HOST:PORT` on the others), or take --ray local."
            ) from error
    return ray


def _run(command: list[str], log: str, env: dict[str, str], folder: str) -> int:
    """On a machine of the cluster."""
    stop, started = _stop_file(Path(log)), _started_file(Path(log))
    started.touch()
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **env})
    asked = False
    try:
        while process.poll() is None:
            try:
                time.sleep(0.1)  # Ray's cancelling does not wake a wait
                end = stop.exists()
            except KeyboardInterrupt:  # it was cancelled just as it started
                end = True
            if end and not asked:
                process.terminate()  # once: a second one would not let the run save
                asked = True
    finally:
        if not asked:  # Ray ends this worker, as when the queue was killed
            process.terminate()
        for file in (stop, started):
            file.unlink(missing_ok=True)
    return process.returncode


def _stop_file(log: Path) -> Path:
    return log.with_suffix(".stop")


def _started_file(log: Path) -> Path:
    return log.with_suffix(".started")
