"""`ResumedRecord`: the command and the config of a run that is resumed become its record when it trains, not before."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.runs.record import add_record


class ResumedRecord(Callback):
    """A command that is refused, by the checkpoint or by the data, leaves the record of the run as it is.

    Otherwise a wrong flag would stay in `config.yaml`, and the next `--resume` without it would be refused as well.

    Args:
        folder: the run folder.
        config: the complete config as YAML.
        arguments: the command line behind `mtl`.
    """

    from_config: ClassVar[bool] = False

    def __init__(self, folder: Path, config: str, arguments: Sequence[str]) -> None:
        self.folder, self.config, self.arguments = folder, config, list(arguments)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        add_record(self.folder, self.config, self.arguments)
