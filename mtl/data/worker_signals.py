"""What a loader's process does with signals: the process that trains decides when training ends, not the workers."""

import signal

from lightning.fabric.utilities.seed import pl_worker_init_function

GRACE_S = 20


def start_worker(worker_id: int) -> None:
    """Begin a loader's process: as Lightning does, but it outlives what was meant for its parent.

    Ctrl-C goes to every process of a terminal, and SLURM sends SIGTERM to every process of a job. A worker that dies of
    it ends its parent within a step, before the state is saved. It ends with its parent anyway.

    Args:
        worker_id: number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        # its own parent means it, but only when it hangs
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_S))
    pl_worker_init_function(worker_id)
