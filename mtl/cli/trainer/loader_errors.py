"""Errors of the data loader's processes, without the traceback that PyTorch puts around them."""

import re

_CAUGHT = re.compile(r"^Caught (\w+) in DataLoader worker process \d+\.\n", re.MULTILINE)
_DIED = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (?:is killed by signal: (\w+)|exited unexpectedly)")


def loader_error(text: str) -> str | None:
    """The message of an error that a loader's process raised or died of; None for any other error.

    Args:
        text: what PyTorch raised in the process that trains.
    """
    if found := _CAUGHT.search(text):
        # the last lines of the traceback: the error's name, a colon, and its message
        message = re.split(rf"\n(?:[\w.]*\.)?{found[1]}: ", text)[-1]
        return message.strip()
    if found := _DIED.search(text):
        how = f"was killed ({found[2]})" if found[2] else "ended unexpectedly"
        return (
            f"a process of the data loader {how}; most often memory was short. Lower data.num_workers or "
            "data.batch_size, or look at what the system says about that process."
        )
    return None
