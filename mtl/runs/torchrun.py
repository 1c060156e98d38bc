"""torchrun's key-value store: shared by the processes of one launch, also after torchrun restarts them."""

import os
from typing import Any

_GROUPS = "default_pg/"  # where torch.distributed puts the addresses of all its groups


def started_by_torchrun() -> bool:
    """Whether torchrun serves a store to this process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def attempt() -> int:
    """How often torchrun has started the processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def store() -> Any:
    """The store. It stays when the processes are started again, and so does all that is in it."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)


def forget_dead_processes(rank: int) -> None:
    """Take out of the store what processes of earlier attempts have left there; every rank must ask.

    Otherwise a rank may read the address of one that is dead, and wait for it until the time is out: PyTorch 2.15 names
    the keys of all attempts alike.

    Args:
        rank: of this process.
    """
    shared, done = store(), f"mtl/forgotten/{attempt()}"
    if rank == 0:
        if hasattr(shared, "list_keys"):
            for key in shared.list_keys():
                if key.startswith(_GROUPS):
                    shared.delete_key(key)
        shared.set(done, "")
    shared.wait([done])
