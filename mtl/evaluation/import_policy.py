"""What a config or a checkpoint may import: our own parts and the libraries they are made of, not any code there is.

A `class_path` is an instruction to import and call something. Configs travel (papers, issues, sweeps), so only known
packages and the modules a user names may be reached; the refusal comes before the import.
"""

import os
from collections.abc import Iterable
from typing import Any

ENV = "MTL_ALLOW"  # modules that a user allows, with commas between
ALLOWED = ("mtl", "torch", "torchvision", "lightning", "timm")
# parts of allowed packages that run, fetch or unpickle what their arguments name
DENIED = (
    "lightning.app",
    "torch.distributed.elastic",
    "torch.distributed.launcher",
    "torch.distributed.run",
    "torch.hub",
    "torch.jit",
    "torch.load",
    "torch.multiprocessing",
    "torch.package",
    "torch.serialization",
    "torch.utils.cpp_extension",
    "torch.utils.model_zoo",
    "torchvision.datasets.utils",
)

_user_modules: set[str] = set()


def allow_imports(modules: Iterable[str] = ()) -> None:
    """Switch the policy on for every parser of this process, and let some more modules in.

    Args:
        modules: dotted names; each lets in everything below it. Those in MTL_ALLOW are let in too.

    Raises:
        ValueError: if a name is not a dotted name.
    """
    from jsonargparse import set_parsing_settings

    for module in [*modules, *os.environ.get(ENV, "").replace(",", " ").split()]:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ValueError(f"{module!r} is not the dotted name of a module, such as `paper` or `paper.heads`.")
        _user_modules.add(module)
    settings: dict[str, Any] = {
        "import_path_denylist": ["*", *DENIED],
        "import_path_allowlist": [*ALLOWED, *sorted(_user_modules)],
        # a spec inside an untyped argument stays a dict, and no config is fetched from an address
        "instantiate_subclass_spec_in_any": False,
        "config_read_mode_fsspec_enabled": False,
    }
    set_parsing_settings(**settings)


def is_allowed(class_path: str) -> bool:
    """Whether a dotted path may be imported; the most specific entry decides.

    Args:
        class_path: dotted path of a class or a module.
    """
    parts = class_path.split(".")
    allowed = {*ALLOWED, *_user_modules}
    for end in range(len(parts), 0, -1):
        entry = ".".join(parts[:end])
        if entry in allowed:
            return True
        if entry in DENIED:
            return False
    return False
