"""What a checkpoint's pickle may call: the few functions that put tensors and dicts together, looked at before a load.

torch's own list for `weights_only` is longer: `bytearray` takes any amount of memory, a `DeviceMesh` starts a process
group. Nested and shared values are counted as they stand for, and no tensor may be larger than the bytes behind it.
"""

import pickletools
import re
from typing import Any

from torch import Tensor

from mtl.config.yaml_limits import TooLarge, count

MOST_BYTES = 256_000_000  # of the pickle: names, numbers and settings; tensors lie beside it
_MOST_VALUES = 5_000_000
_GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|tensor_v3|parameter|parameter_with_state)"
    r"|torch (\w+Storage|Size|(float|bfloat|int|uint|complex|bool)\w*)|builtins set"
)
_SLACK_BYTES = 1_000_000  # that tensors may be stretched or shared by


def foreign_name(pickled: bytes) -> str | None:
    """The first name in a pickle that tensors and plain values do not need; None if there is none.

    Args:
        pickled: the pickle.

    Raises:
        ValueError: if it is damaged.
    """
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            if not _GLOBALS.fullmatch(str(argument)):
                return str(argument).replace(" ", ".")
        elif operation.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"):
            return operation.name
    return None


def check_values(state: Any, file_bytes: int) -> None:
    """Refuse what stands for far more than a file holds.

    Args:
        state: what was loaded, its tensors mapped from the file.
        file_bytes: size of the file.

    Raises:
        ValueError: saying what it is.
    """
    left = 4 * file_bytes + _SLACK_BYTES  # a tensor may stand there twice, as shared weights do
    known: set[int] = set()

    def children(value: Any) -> list[Any]:
        nonlocal left
        if isinstance(value, Tensor) and id(value) not in known:
            known.add(id(value))
            size = value.numel() * value.element_size()
            left -= size
            if left < 0 or size > max(value.untyped_storage().nbytes(), _SLACK_BYTES):
                raise ValueError(f"a tensor of shape {list(value.shape)} in it is larger than the bytes behind it")
        if isinstance(value, dict):
            return [*value.keys(), *value.values(), *vars(value).values()] if hasattr(value, "__dict__") else [
                *value.keys(), *value.values()
            ]  # fmt: skip
        return list(value) if isinstance(value, list | tuple | set) else []

    try:
        count(state, children, _MOST_VALUES)
    except TooLarge as error:
        raise ValueError(f"it {str(error).partition(';')[0].rstrip('.')}") from error
