"""`MixedData`: one run over several data sets that are labelled for different tasks.

Rows of a batch come from all parts. A sample adds to the tasks that its part labels, and nothing to the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from mtl.batch import Sample
from mtl.config.import_policy import find_class
from mtl.data.folder.findings import Finding
from mtl.data.mixed.mixed_set import ABOUT_PICTURES, MixedSet, MixedTrainingView, PartSet
from mtl.data.mixed.plan import MixedSampler, draws_of, shares_of
from mtl.data.mixed.unify import unify
from mtl.data.module import JointDataModule
from mtl.data.sampling import EpochSampler, TrainingView
from mtl.errors import did_you_mean
from mtl.inputs.input import input_kind
from mtl.task import Inputs, InputSpec, Task

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}
_TAKEN = ("loss", "score")  # words of the log keys `test/<word>`


class MixedData(JointDataModule):
    """Several data modules as one.

    A task that two parts label is one task, by its name; its classes are united by name. Evaluation is on the
    concatenation; metrics of each part are logged as `test/<part>/<task>/<metric>` too. Loaders, order and
    augmentation are the mix's: `batch_size`, `num_workers` and the like of a part have no effect.

    Args:
        parts: data modules by name. An input that some part lacks is absent from that part's samples, which a backbone
            of `mtl/backbones/fusion` can do without.
        ratio: how often samples of each part are drawn: `size` (each sample once per epoch), `equal`, `temperature`
            (size to the power of 1 / temperature), or a number for every part.
        temperature: of the ratio `temperature`, at least 1; 2 by default.
        epoch_size: samples of an epoch; as many as all parts have by default.
        rename: for a part, other names of its tasks in the mix.
        leave_out: for a part, its tasks that the mix does not have.
        unnamed_is_absent: for detection: pictures of a part hold no object of classes that only other parts label. By
            default such a mix is refused.
        **kwargs: arguments of `JointDataModule`.

    Raises:
        ValueError: for parts that do not fit each other, or a setting without effect.
    """

    def __init__(
        self,
        parts: dict[str, JointDataModule],
        ratio: Literal["size", "equal", "temperature"] | dict[str, float] = "size",
        temperature: float | None = None,
        epoch_size: int | None = None,
        rename: dict[str, dict[str, str]] | None = None,
        leave_out: dict[str, list[str]] | None = None,
        unnamed_is_absent: bool = False,
        **kwargs: Any,
    ) -> None:
        tasks = self.declare_tasks(parts=parts, rename=rename, leave_out=leave_out, unnamed_is_absent=unnamed_is_absent)
        super().__init__(tasks, **kwargs)
        self.inputs = self.declare_inputs(parts=parts)
        self.parts = dict(parts)
        _check_names(self.parts, self.tasks)
        _check_ratio(ratio, self.parts, temperature, epoch_size)
        for name, part in parts.items():
            if part.augment is not None:
                raise ValueError(f"part {name!r} sets `augment`, which has no effect; set it in `data.init_args`.")
        self.ratio, self.temperature, self.epoch_size = ratio, temperature or 2.0, epoch_size
        _, self._translations = unify(
            {name: part.tasks for name, part in parts.items()}, rename or {}, leave_out, unnamed_is_absent
        )

    @classmethod
    def declare_tasks(
        cls,
        *,
        parts: Mapping[str, Any] | None = None,
        rename: Mapping[str, Mapping[str, str]] | None = None,
        leave_out: Mapping[str, Sequence[str]] | None = None,
        unnamed_is_absent: bool = False,
        **_: Any,
    ) -> dict[str, Task]:
        own = {}
        for name, part in (parts or {}).items():
            if isinstance(part, JointDataModule):
                own[name] = part.tasks
            else:
                own[name] = _class_of(part).declare_tasks(**_arguments(part))
        return unify(own, rename or {}, leave_out, unnamed_is_absent)[0]

    @classmethod
    def declare_inputs(cls, *, parts: Mapping[str, Any] | None = None, **_: Any) -> Inputs:
        own: dict[str, Inputs] = {}
        for name, part in (parts or {}).items():
            if isinstance(part, JointDataModule):
                own[name] = part.inputs
            else:
                own[name] = _class_of(part).declare_inputs(**_arguments(part))
        if not own:
            raise ValueError("MixedData needs `parts`: data modules by name.")
        united: dict[str, InputSpec] = {}
        for name, inputs in own.items():
            for key, spec in inputs.items():
                first = next(part for part in own if key in own[part])
                if replace(spec, optional=False) != replace(own[first][key], optional=False):
                    raise ValueError(
                        f"part {name!r} has inputs {_listed(inputs)}, part {first!r} has {_listed(own[first])}. An "
                        "input of several parts is the same in all; give it one kind and as many channels, or "
                        "another name."
                    )
                # where a part lacks it, some samples of every batch do
                lacking = any(key not in other or other[key].optional for other in own.values())
                united[key] = replace(spec, optional=lacking)
        return united

    def prepare_data(self) -> None:
        for part in self.parts.values():
            part.prepare_data()

    def setup(self, stage: str) -> None:
        refused: dict[str, ValueError] = {}
        for name, part in self.parts.items():
            try:
                part.setup(stage)
            except ValueError as error:  # the other parts are read too: one message names all that is wrong
                refused[name] = error
        if refused:
            told = "\n".join(f"part {name!r}: {error}" for name, error in refused.items())
            raise ValueError(told) from next(iter(refused.values()))
        for split in _STAGES[stage]:
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._mixed(split))

    def report_all(self) -> None:
        for part in self.parts.values():
            part.report_all()

    @property
    def data_report(self) -> list[Finding]:
        """What the parts report about their files, with the part before each name."""
        return [
            replace(one, image=f"{name}/{one.image}" if one.image else name)
            for name, part in self.parts.items()
            for one in getattr(part, "data_report", ())
        ]

    def _mixed(self, split: str) -> MixedSet:
        sets = {name: getattr(part, f"{split}_set") for name, part in self.parts.items()}
        for name, samples in sets.items():
            if not len(samples):
                raise ValueError(f"part {name!r} has no samples in split {split!r}; leave the part out.")
        kept = _common_keys({name: samples[0] for name, samples in sets.items()}, self.inputs)
        mixed: dict[str, PartSet] = {}
        first = 0
        for number, (name, samples) in enumerate(sets.items()):
            mixed[name] = PartSet(samples, number, first, kept, self._translations[name])
            first += len(samples)
        return MixedSet(mixed)

    def _training_view(self) -> TrainingView:
        return MixedTrainingView(self.train_set, self.tasks, self.augment, self.seed)

    def _training_sampler(self, num_replicas: int, rank: int) -> EpochSampler:
        assert isinstance(self.train_set, MixedSet)
        sizes = {name: len(part) for name, part in self.train_set.parts.items()}
        shares = shares_of(self.ratio, sizes, self.temperature)
        draws = draws_of(shares, self.epoch_size or sum(sizes.values()))
        return MixedSampler(self.train_set, list(sizes.values()), draws.tolist(), self.seed, num_replicas, rank)


def _class_of(part: Mapping[str, Any]) -> type[JointDataModule]:
    cls = find_class(part["class_path"])
    assert issubclass(cls, JointDataModule)
    return cls


def _arguments(part: Mapping[str, Any]) -> dict[str, Any]:
    return dict(part.get("init_args") or {})


def _check_names(parts: Mapping[str, Any], tasks: Mapping[str, Task]) -> None:
    for name in parts:
        if not name.isidentifier() or name in _TAKEN or name in tasks:
            raise ValueError(
                f"part {name!r} needs another name: letters, digits and '_', not {' or '.join(_TAKEN)}, and not the "
                f"name of a task ({', '.join(tasks)}), because metrics are logged as test/<part>/<task>."
            )


def _check_ratio(
    ratio: str | Mapping[str, float], parts: Mapping[str, Any], temperature: float | None, epoch_size: int | None
) -> None:
    if temperature is not None and (ratio != "temperature" or temperature < 1):
        raise ValueError(f"temperature={temperature} must be at least 1, and needs `ratio: temperature`.")
    if epoch_size is not None and epoch_size < 1:
        raise ValueError(f"epoch_size={epoch_size} must be at least 1.")
    if isinstance(ratio, str):
        return
    for name in ratio:
        if name not in parts:
            raise ValueError(
                f"ratio: there is no part {name!r}; parts are {', '.join(parts)}.{did_you_mean(name, parts)}"
            )
    missing = [name for name in parts if name not in ratio]
    if missing or min(ratio.values()) < 0 or sum(ratio.values()) <= 0:
        raise ValueError(
            f"ratio={dict(ratio)} must have a number of at least 0 for every part, one of them above 0"
            + (f"; {', '.join(missing)} is missing." if missing else ".")
        )


def _common_keys(samples: Mapping[str, Sample], inputs: Inputs) -> list[str]:
    """What the samples of all parts carry beside labels; a batch takes rows from all, so their inputs must fit."""
    first, *others = samples
    for name in others:
        for key, spec in inputs.items():
            values = [samples[part].get(key) for part in (first, name)]
            if any(value is None for value in values):
                continue
            try:
                input_kind(spec).collate(spec, values)
            except ValueError as error:
                raise ValueError(f"parts {first!r} and {name!r} fit no common batch: {error}") from error
    return [*inputs, *(key for key in ABOUT_PICTURES if all(key in sample for sample in samples.values()))]


def _listed(inputs: Inputs) -> str:
    return ", ".join(f"{spec.name!r} ({spec.kind}, {spec.channels} channels)" for spec in inputs.values())
