"""Errors of the ranks that wait for a lost rank, without the text that PyTorch puts around them."""

import re

from mtl.runs.run_folder import rank

# what gloo, nccl and the store say of it
_LOST = re.compile(
    r"\bgloo\b|\bNCCL\b|ProcessGroup|TCPStore|pair closure|Timed out waiting \d+ms|by peer|(?:Read|Write) error \["
)


def rank_error(text: str) -> str | None:
    """The message of an error by which PyTorch says that another rank does not answer; None for any other error.

    Args:
        text: what PyTorch raised.
    """
    if not _LOST.search(text):
        return None
    reason = re.sub(r"^\[[^\]]*\]\s*", "", text.strip().splitlines()[0]).split(". ")[0]
    return (
        f"rank {rank()} timed out waiting for another rank ({reason[:160]}). That one was killed, hangs, or does "
        "something else; look at its messages. The last checkpoint is complete: `fit --resume RUN` continues from it."
    )
