"""`TextExamples`: after the test, sentences or recordings with their predictions, and some with errors as a picture."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from mtl.batch import labelled
from mtl.drawing.figure_file import not_costing
from mtl.drawing.text_table import Example, TaskAnswer, columns, draw_examples, row, write_examples
from mtl.module import MultiTaskLightningModule
from mtl.runs.metrics_csv import run_folder
from mtl.targets.target import target_of


class TextExamples(Callback):
    """Writes `examples.csv` and `examples.png`; does nothing for data sets that have no sentences and no recordings.

    A data set has sentences, or names of recordings, if its test set has a method `text(index)` and its samples say
    their `sample_id`.

    Args:
        folder: folder of the files; `pictures` in the folder of the run by default.
        num_examples: sentences in the table, the first ones of the test set; 0 for none.
        num_drawn: sentences in the picture, those with errors first.
    """

    def __init__(self, folder: Path | None = None, num_examples: int = 1000, num_drawn: int = 16) -> None:
        if num_examples < 0 or num_drawn < 0:
            raise ValueError(f"num_examples={num_examples} and num_drawn={num_drawn} must be at least 0.")
        self.folder = Path(folder) if folder is not None else None
        self.num_examples = num_examples
        self.num_drawn = num_drawn
        self._examples: list[Example] = []

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._examples = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        sentences = getattr(getattr(trainer, "datamodule", None), "test_set", None)
        if not trainer.is_global_zero or not hasattr(sentences, "text") or "sample_id" not in batch:
            return
        assert isinstance(pl_module, MultiTaskLightningModule)
        batch = {key: value.cpu() if isinstance(value, Tensor) else value for key, value in batch.items()}
        outputs = {task: {key: value.cpu() for key, value in found.items()} for task, found in outputs.items()}
        for index in range(min(len(batch["sample_id"]), self.num_examples - len(self._examples))):
            text = sentences.text(int(batch["sample_id"][index]))  # type: ignore[union-attr]
            self._examples.append(_example(pl_module, text, outputs, batch, index))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = run_folder(trainer)
        folder = self.folder or (run / "pictures" if run else None)
        examples, self._examples = self._examples, []
        if examples:
            with not_costing("examples"):
                self._write(trainer, folder, examples)

    def _write(self, trainer: Trainer, folder: Path | None, examples: list[Example]) -> None:
        if folder is not None:
            write_examples(examples, folder / "examples.csv")
            shown = sorted(examples, key=lambda example: not example.has_error)[: self.num_drawn]
            if shown:
                draw_examples(shown, folder / "examples.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                import wandb

                names: list[str | int] = [*columns(examples)]
                rows = [[row(example).get(str(name)) for name in names] for example in examples]
                logger.experiment.log({"test/examples": wandb.Table(columns=names, data=rows)})


def _example(pl_module: MultiTaskLightningModule, text: str, outputs: Any, batch: Any, index: int) -> Example:
    answers = []
    for name, task in pl_module.tasks.items():
        target, known = target_of(task), bool(labelled(batch, task)[index])
        answer = target.overlay(outputs[name], index, batch if known else None).answer
        if answer is None:
            continue
        words = text.split(" ")
        right = target.correct(outputs[name], batch) if known else None
        correct = bool(right[index]) if isinstance(right, torch.Tensor) else None
        true = None if answer.true is None else target.readable(answer.true, words)
        answers.append(TaskAnswer(name, target.readable(answer.predicted, words), true, correct))
    return Example(text, tuple(answers))
