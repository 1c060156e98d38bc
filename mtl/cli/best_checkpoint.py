"""`BestCheckpoint`: the checkpoint callback of every run, with settings of its own in the config (`checkpoint:`)."""

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/best.ckpt` and `checkpoints/last.ckpt` in the run folder.

    Args:
        monitor: what decides which epoch was best.
        mode: whether more (`max`) or less (`min`) of it is better.
        save_last: keep the last state too, to continue from.
        save_top_k: how many of the best to keep; -1 keeps all.
        filename: name of the best one, without `.ckpt`.
        dirpath: another folder than `checkpoints/` in the run folder.
        every_n_epochs: epochs between two looks.
        save_weights_only: leave out the state of the optimiser; such a file cannot be continued from.
    """

    def __init__(
        self,
        monitor: str = "val/score",
        mode: str = "max",
        save_last: bool = True,
        save_top_k: int = 1,
        filename: str = "best",
        dirpath: str | None = None,
        every_n_epochs: int | None = None,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_last=save_last,
            save_top_k=save_top_k,
            every_n_epochs=every_n_epochs,
            save_weights_only=save_weights_only,
            auto_insert_metric_name=False,
            # one best file that is replaced; more than one need numbers
            enable_version_counter=save_top_k != 1,
        )
