"""Signal handling in loader workers: the training process decides when training ends, not its workers."""

import os
import signal
import threading

from lightning.fabric.utilities.seed import pl_worker_init_function


def start_worker(worker_id: int) -> None:
    """Initialise a worker as Lightning does, and ignore signals that are meant for its parent.

    Ctrl-C and the end of a terminal reach every process of it, and SLURM sends SIGTERM to every process of a job. A
    worker that dies from it kills its parent in the middle of a step, before the checkpoint is saved. A SIGTERM from
    the parent still ends the worker.

    Args:
        worker_id: number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # missing on macOS, where SIGTERM ends the worker
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, name="signals", daemon=True).start()
    pl_worker_init_function(worker_id)


def _obey_parent() -> None:
    while True:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == os.getppid():
            os._exit(0)
