"""`BoxPictures`: held-out samples with predicted and true boxes and maps, for W&B in training, as a PNG at the end."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from mtl.callbacks.model_parts import model_of
from mtl.drawing.figure_file import not_costing
from mtl.drawing.grid import draw_grid
from mtl.drawing.sample import Picture, take_picture
from mtl.drawing.wandb_image import wandb_images
from mtl.inputs.image import image_of
from mtl.runs.metrics_csv import run_folder
from mtl.task import Task


class BoxPictures(Callback):
    """The first samples of the validation set to W&B, the first of the test set to `predictions.png` as well.

    Args:
        folder: folder of the PNG; `pictures` in the folder of the run by default.
        num_pictures: how many samples; 0 for none.
        min_score: detections below it are not drawn.
        every_n_validations: send pictures to W&B after every n-th validation of training.
    """

    def __init__(
        self, folder: Path | None = None, num_pictures: int = 12, min_score: float = 0.3, every_n_validations: int = 1
    ) -> None:
        if num_pictures < 0 or every_n_validations < 1 or not 0 <= min_score <= 1:
            raise ValueError(
                f"num_pictures={num_pictures} must be at least 0, "
                f"every_n_validations={every_n_validations} at least 1, min_score={min_score} within 0..1."
            )
        self.folder = Path(folder) if folder is not None else None
        self.num_pictures = num_pictures
        self.min_score = min_score
        self.every_n_validations = every_n_validations
        self._pictures: list[Picture] = []
        self._num_validations = 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pictures = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        wanted = self._num_validations % self.every_n_validations == 0 and _wandb_loggers(trainer)
        if wanted and not trainer.sanity_checking:
            self._collect(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._num_validations += 1
            self._send(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pictures = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._collect(trainer, pl_module, outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = run_folder(trainer)
        folder = self.folder or (run / "pictures" if run else None)
        if self._pictures and folder is not None and trainer.is_global_zero:
            with not_costing("predictions.png"):
                draw_grid(self._pictures, _tasks(pl_module), folder / "predictions.png")
        self._send(trainer, pl_module, "test")

    def state_dict(self) -> dict[str, Any]:
        return {"num_validations": self._num_validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_validations = state_dict["num_validations"]

    def _collect(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        room = self.num_pictures - len(self._pictures)
        inputs = model_of(pl_module).inputs
        image = image_of(inputs)
        if room <= 0 or not trainer.is_global_zero or image is None:
            return
        with not_costing("pictures of samples"):
            for index in range(min(room, len(batch[image]))):
                taken = take_picture(batch, outputs, index, _tasks(pl_module), self.min_score, image, inputs)
                self._pictures.append(taken)

    def _send(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._pictures:
            for logger in _wandb_loggers(trainer):
                with not_costing(f"{stage}/pictures of W&B"):
                    images = [image for picture in self._pictures for image in wandb_images(picture, _tasks(pl_module))]
                    # not log_metrics: there is no best picture
                    logger.experiment.log({f"{stage}/pictures": images, "trainer/global_step": trainer.global_step - 1})
        self._pictures = []


def _tasks(pl_module: LightningModule) -> dict[str, Task]:
    tasks: dict[str, Task] = pl_module.tasks  # type: ignore[assignment]
    return tasks


def _wandb_loggers(trainer: Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
