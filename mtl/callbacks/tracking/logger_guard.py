"""A run does not end because a logger fails: one warning is logged, and training continues."""

import logging
from collections.abc import Callable
from typing import Any

from lightning.pytorch.loggers import Logger

_log = logging.getLogger(__name__)
_METHODS = (
    "log_metrics", "log_hyperparams", "log_image", "log_table", "log_text", "log_graph", "after_save_checkpoint",
    "save", "flush", "finalize",
)  # fmt: skip
_PATIENCE = 10  # failures in a row after which a logger is left alone


def guard(logger: Logger) -> Logger:
    """The same logger, whose failures are logged instead of raised.

    What it raises before training, such as a W&B that must be online and is not, still ends the run.

    Args:
        logger: any logger.
    """
    failures = _Failures()
    for name in _METHODS:
        method = getattr(type(logger), name, None)
        if callable(method) and not isinstance(vars(logger).get(name), _Guarded):
            setattr(logger, name, _Guarded(logger, method, failures))
    return logger


class _Failures:
    """What the methods of one logger share."""

    told = False


class _Guarded:
    """One method of a logger. It holds the function of the class, so that both can be pickled."""

    def __init__(self, logger: Logger, method: Callable[..., Any], failures: _Failures) -> None:
        self.logger = logger
        self.method = method
        self.failures = failures
        self.in_row = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.in_row >= _PATIENCE:
            return None
        try:
            result = self.method(self.logger, *args, **kwargs)
        except Exception as error:  # noqa: BLE001, whatever a server, a disk or somebody's code comes up with
            self.in_row += 1
            name = type(self.logger).__name__
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            if not self.failures.told:
                self.failures.told = True
                _log.warning("logger %s fails (%s); training continues, without these numbers in it.", name, reason)
            elif self.in_row == _PATIENCE:
                _log.warning("logger %s failed %d times in a row (%s); it is left alone.", name, _PATIENCE, reason)
            return None
        self.in_row = 0
        return result
