"""What a loader's process does with signals: the process that trains decides when training ends, not the workers."""

import os
import signal
import threading

from lightning.fabric.utilities.seed import pl_worker_init_function


def start_worker(worker_id: int) -> None:
    """Begin a loader's process: as Lightning does, but it outlives what was meant for its parent.

    Ctrl-C goes to every process of a terminal, and SLURM sends SIGTERM to every process of a job. A worker that dies of
    it takes its parent down in the middle of a step, before the state is saved. It still ends with its parent.

    Args:
        worker_id: number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on a Mac: there SIGTERM ends it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, name="signals", daemon=True).start()
    pl_worker_init_function(worker_id)


def _obey_parent() -> None:
    while True:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == os.getppid():
            os._exit(0)
