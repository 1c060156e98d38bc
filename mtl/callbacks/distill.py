"""`Distill`: a smaller model learns from runs that are trained already, beside the labels.

Sources: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (outputs); Li, Bilen, "Knowledge
Distillation for Multi-task Learning", ECCV workshops 2020 (single-task teachers of a joint student). Features are
compared as attention maps (Zagoruyko, Komodakis, ICLR 2017) and not through learned adaptors as in Li and Bilen:
adaptors would be weights of the model that no file of the student may hold.
Shapes: B samples.
"""

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from mtl.batch import Batch
from mtl.config.yaml_lines import ConfigError
from mtl.distributed.normaliser import global_count
from mtl.errors import did_you_mean
from mtl.evaluation.load import load_checkpoint
from mtl.features import Features
from mtl.functional.distillation import attention_gap
from mtl.heads.head import Head, Outputs
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint


class Distill(Callback):
    """Adds to each task's training loss how far its answers are from a teacher's.

    The loss belongs to its task: it reaches the trunk through that task's view, so every balancing method sees it as
    part of the task's gradient. It is a mean over all samples, labelled or not. Teachers are no part of the student:
    checkpoints hold none of them, and a resumed run reads them again. Validation and test losses are of labels alone.

    Args:
        teachers: folders of runs (their best checkpoints) or checkpoint files; single-task or joint ones. No two of
            them may have the same task; a task without a teacher learns from labels alone.
        weight: of the distance of the outputs.
        features: weight of the distance of the attention maps at the levels of the same name; 0 for none.
        temperature: softens classes, above 0.
        tasks: only these are taught; by default all that a teacher has.

    Raises:
        ValueError: without a teacher, or for settings out of range.
    """

    def __init__(
        self,
        teachers: list[str],
        weight: float = 1.0,
        features: float = 0.0,
        temperature: float = 2.0,
        tasks: list[str] | None = None,
    ) -> None:
        if not teachers:
            raise ValueError("Distill needs teachers: folders of runs, such as [runs/digits/NAME].")
        if min(weight, features) < 0 or weight == features == 0 or temperature <= 0:
            raise ValueError(
                f"Distill: weight={weight} and features={features} must be at least 0 and one of them above, and "
                f"temperature={temperature} above 0."
            )
        self.teachers = list(teachers)
        self.weight, self.features, self.temperature = weight, features, temperature
        self.tasks = tasks
        self._of_task: dict[str, MultiTaskModel] = {}
        self._views: dict[tuple[int, str], Features] = {}  # what a head has read last, by its model and task
        self._hooks: list[Any] = []
        self._seen: tuple[Batch, dict[int, dict[str, Outputs]]] | None = None
        self._latest: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not isinstance(pl_module, MultiTaskLightningModule):
            raise ValueError(f"Distill teaches a MultiTaskLightningModule; found {type(pl_module).__name__}.")
        self._leave(pl_module)
        student = pl_module.model
        for name in self.tasks or ():
            if name not in student.heads:
                near = did_you_mean(name, student.heads)
                raise ConfigError(f"Distill: `tasks` names {name!r}; tasks are {', '.join(student.heads)}.{near}")
        given = getattr(getattr(trainer, "datamodule", None), "inputs", student.inputs)
        for run in self.teachers:
            path = checkpoint_file(run) if run.endswith(".ckpt") else find_checkpoint(run)
            teacher = load_checkpoint(path).model.eval().requires_grad_(False)
            for name in _taught(student, teacher, run, given, self.tasks):
                if name in self._of_task:
                    raise ConfigError(f"Distill: two of the teachers have task {name!r}; keep one of {self.teachers}.")
                self._of_task[name] = teacher.to(trainer.strategy.root_device)
        for name, teacher in self._of_task.items():
            student.added_losses[name] = self._loss
            if self.features:
                _check_levels(student, teacher, name)
                self._watch(student, name)
                self._watch(teacher, name)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.log_dict({f"distill/{name}": value for name, value in self._latest.items()})
        self._seen = None
        self._views.clear()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave(pl_module)

    def _leave(self, module: LightningModule) -> None:
        if isinstance(module, MultiTaskLightningModule):
            for name in self._of_task:
                module.model.added_losses.pop(name, None)
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._of_task, self._seen = [], {}, None
        self._views.clear()

    def _watch(self, model: MultiTaskModel, name: str) -> None:
        def keep(head: nn.Module, arguments: tuple[Features]) -> None:
            self._views[id(model), name] = arguments[0]

        self._hooks.append(model.head(name).register_forward_pre_hook(keep))

    def _answers(self, teacher: MultiTaskModel, batch: Batch) -> dict[str, Outputs]:
        """The teacher's outputs, computed once a batch."""
        if self._seen is None or self._seen[0] is not batch:
            self._seen = (batch, {})
        answers = self._seen[1]
        if id(teacher) not in answers:
            with torch.no_grad():
                answers[id(teacher)] = teacher(batch)
        return answers[id(teacher)]

    def _loss(self, model: MultiTaskModel, name: str, outputs: Outputs, batch: Batch) -> Tensor:
        teacher = self._of_task[name]
        answers = self._answers(teacher, batch)[name]
        head = model.head(name)
        total = next(value for value in outputs.values() if value.is_floating_point()).sum() * 0
        if self.weight:
            far_B = head.distill(outputs, answers, self.temperature)
            assert far_B is not None
            total = total + self.weight * far_B.sum() / global_count(far_B.new_tensor(len(far_B)))
        if self.features:
            views = [self._views[id(one), name] for one in (model, teacher)]
            for level in _levels(model, teacher):
                far_B = attention_gap(*(view[level].float() for view in views))
                total = total + self.features * far_B.sum() / global_count(far_B.new_tensor(len(far_B)))
        self._latest[name] = total.detach()
        return total


def _taught(
    student: MultiTaskModel, teacher: MultiTaskModel, run: str, given: Iterable[str], tasks: list[str] | None
) -> list[str]:
    """The tasks that a teacher teaches; they must be the same tasks. It may read inputs that the student does not."""
    wanted = [name for name in student.heads if tasks is None or name in tasks]
    names = [name for name in teacher.heads if name in wanted]
    if not names:
        near = did_you_mean(next(iter(teacher.heads)), wanted)
        raise ConfigError(
            f"Distill: teacher {run!r} has tasks {', '.join(teacher.heads)}, and this model {', '.join(wanted)}."
            f"{near} Name a run that has a task of this model."
        )
    if missing := [name for name in teacher.inputs if name not in given]:
        raise ConfigError(f"Distill: teacher {run!r} takes input {missing[0]!r}, which this data module does not give.")
    for name in names:
        ours, theirs = student.head(name), teacher.head(name)
        if (ours.task.kind, ours.task.num_classes) != (theirs.task.kind, theirs.task.num_classes) or (
            ours.task.class_names and theirs.task.class_names and ours.task.class_names != theirs.task.class_names
        ):
            raise ConfigError(
                f"Distill: task {name!r} of teacher {run!r} is {_said(theirs)}, and here {_said(ours)}; both must be "
                "the same, with classes in one order."
            )
        if type(ours).distill is Head.distill or type(ours) is not type(theirs):
            raise ConfigError(
                f"Distill: {type(theirs).__name__} of task {name!r} in {run!r} cannot teach "
                f"{type(ours).__name__}; both heads must be of one class that defines `distill`. "
                "`tasks` names the tasks that are to be taught."
            )
        scales = [[getattr(head, key) for key in ours.scale] for head in (ours, theirs)]
        if scales[0] != scales[1]:
            raise ConfigError(
                f"Distill: teacher {run!r} learned task {name!r} with {', '.join(ours.scale)} = {scales[1]}, and here "
                f"they are {scales[0]}; standardised outputs compare only where both are the same."
            )
    return names


def _said(head: Head) -> str:
    return f"{head.task.kind} of {head.task.num_classes} classes"


def _levels(student: MultiTaskModel, teacher: MultiTaskModel) -> list[str]:
    ours, theirs = student.trunk.spec, teacher.trunk.spec
    return [level for level in ours.of("map") if level in theirs.of("map")]


def _check_levels(student: MultiTaskModel, teacher: MultiTaskModel, name: str) -> None:
    if not _levels(student, teacher):
        levels = {"the teacher": teacher.trunk.spec.channels, "this model": student.trunk.spec.channels}
        known = "; ".join(f"{who} has {', '.join(found)}" for who, found in levels.items())
        raise ConfigError(
            f"Distill: `features` compares maps of one name, and for task {name!r} there is no such level ({known}). "
            "Set features to 0, or take a backbone whose levels have the same names."
        )
