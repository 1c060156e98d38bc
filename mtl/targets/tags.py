"""Tags: a class for every step of a sequence, such as the slot of each word.

Shapes: B samples, T steps of the longest sequence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.functional.sequence.iob import OUTSIDE, iob, names_of_tags
from mtl.targets.numbers import by_value
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import IGNORE_INDEX, Sample, Target, reindex


class Tags(Target):
    """Class indices [T], one for each step of the sequence input; -100 in steps that carry none, and in padding."""

    kind = "tags"
    form = "one class index per step (int64 [T], -100 = none)"
    needs_classes = True
    of_steps = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((0,), IGNORE_INDEX)

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        name = self.task.name
        # as long as the padded input, so that outputs and targets meet step by step
        own = [len(sample[name]) if here else -1 for sample, here in zip(samples, present, strict=True)]
        masks = [value for key, value in batch.items() if key.endswith("_mask")]
        length = max(*own, 1)
        steps = [length] * len(own)
        if masks:
            mask = _tagged(masks, own)
            length, steps = mask.shape[1], mask.sum(1).tolist()
        tags = torch.full((len(samples), length), IGNORE_INDEX)
        for row, (sample, here) in enumerate(zip(samples, present, strict=True)):
            if here:
                values = torch.as_tensor(sample[name])
                if len(values) > steps[row]:
                    raise ValueError(f"task {name!r} has {len(values)} tags where its input has {steps[row]} steps.")
                tags[row, : len(values)] = values
        return {name: tags}

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        (length,) = {len(value) for value in sample.values() if isinstance(value, Tensor) and value.ndim == 1}
        return {self.task.name: torch.from_numpy(rng.integers(self.task.num_classes, size=length))}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labels_BT = batch[self.task.name]
        return {"labels": labels_BT.clamp(min=-1), "scores": torch.ones(labels_BT.shape)}

    def correct(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        target_BT = batch[self.task.name]
        return ((predictions["labels"] == target_BT) | (target_BT < 0)).all(1)

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        labels_T = predictions["labels"][index].cpu()
        if batch is None:
            return Overlay(answer=Answer(self._words(labels_T[labels_T >= 0])))
        true_T = batch[self.task.name][index].cpu()
        known = true_T >= 0
        words, true = self._words(labels_T[known]), self._words(true_T[known])
        return Overlay(answer=Answer(words, true, None, words == true))

    def readable(self, answer: str, words: Sequence[str]) -> str:
        """`city: new york; day: monday` for IOB tags, and the tags as they are for others."""
        tags = answer.split(" ") if answer else []
        if len(tags) != len(words) or not all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags):
            return answer
        spans: list[list[str]] = []
        before = ""
        for tag, word in zip(tags, words, strict=True):
            if tag != "O" and (tag.startswith("B-") or before != tag[2:]):
                spans.append([f"{tag[2:]}:"])
            if tag != "O":
                spans[-1].append(word)
            before = tag[2:]
        return "; ".join(" ".join(span) for span in spans)

    def reindexed(self, sample: Sample, places: Tensor) -> Sample:
        return {self.task.name: reindex(sample[self.task.name], places)}

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        (cell,) = cells
        if cell in missing:
            return None
        tags = cell.split()
        if all(tag == OUTSIDE or tag[:2] in ("B-", "I-") for tag in self.task.class_names):
            tags = list(iob(tags, f"task {self.task.name!r}"))
        for tag in tags:
            if tag not in self.task.class_names:
                raise self.unknown_class(tag)
        return torch.tensor([self.task.class_names.index(tag) for tag in tags])

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        """Tags that are all O, B-NAME or I-NAME name spans, of which each gets both tags; others are as they are."""
        tags = {tag for cell in cells for tag in cell.split()}
        if tags and all(tag == OUTSIDE or (tag[:2] in ("B-", "I-") and tag[2:]) for tag in tags):
            return names_of_tags(sorted({tag[2:] for tag in tags if tag != OUTSIDE}))
        return by_value(tags)

    def _words(self, labels_T: Tensor) -> str:
        return " ".join(self.task.class_name(int(label)) for label in labels_T)


def _tagged(masks: Sequence[Tensor], own: Sequence[int]) -> Tensor:
    """The mask of the input that the tags belong to: of several inputs the one with as many steps in every sample."""
    fits = [
        mask for mask in masks if all(length in (-1, steps) for length, steps in zip(own, mask.sum(1), strict=True))
    ]
    # where that does not decide, as without any tag: words are fewer than the values of a waveform
    return min(fits or masks, key=lambda mask: mask.shape[1])
