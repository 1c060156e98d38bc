"""`VoiceCommands`: commands of a small grammar with intent, slots and translation; it needs no download.

An example that trains in two minutes, not evidence: the sentences are new in validation and test, their parts are not.
"""

from typing import Any

import numpy as np
import torch

from mtl.data.module import JointDataModule
from mtl.data.sets.command_grammar import INTENTS, SLOTS, Command, all_words, draw
from mtl.data.text.text_set import TextSet
from mtl.inputs.tokens import SPECIAL
from mtl.targets.text import SPECIAL as TARGET_SPECIAL
from mtl.task import Inputs, InputSpec, Task

TAGS = ("O", *(f"{mark}-{slot}" for slot in SLOTS for mark in "BI"))
ENGLISH = (*SPECIAL, *all_words(0))
SPANISH = (*TARGET_SPECIAL, *all_words(1))
LETTERS = (*SPECIAL, *sorted({letter for word in ENGLISH[len(SPECIAL) :] for letter in word}))


class VoiceCommands(JointDataModule):
    """Tasks: `intent` (classification), `slots` (tags) and `spanish` (text). Inputs: `words`, and their `characters`.

    Args:
        num_train: number of training sentences.
        num_val: number of validation sentences.
        num_test: number of test sentences; no sentence stands in two splits.
        translated: share of the training sentences that have a translation, 0 to 1.
        characters: give the letters of every word beside its index.
        batch_size: sentences per training step and process.
        batch_tokens: most words of a training step and process, padding included; no limit by default.
        eval_batch_size: sentences per validation and test step.
        num_workers: loader processes; the sentences are in memory, so 0 is best.
        seed: seed of the sentences and of their order.
    """

    def __init__(
        self,
        num_train: int = 4000,
        num_val: int = 500,
        num_test: int = 500,
        translated: float = 1.0,
        characters: bool = False,
        batch_size: int = 64,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed)
        if min(num_train, num_val, num_test) < 1 or not 0 <= translated <= 1:
            raise ValueError(
                f"num_train={num_train}, num_val={num_val} and num_test={num_test} must be at least 1 and "
                f"translated={translated} within 0..1."
            )
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.translated = translated
        self.batch_tokens = batch_tokens
        self.inputs = self.declare_inputs(characters)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "intent": Task("intent", "classification", class_names=tuple(INTENTS)),
            "slots": Task("slots", "tags", class_names=TAGS),
            "spanish": Task("spanish", "text", class_names=SPANISH),
        }

    @classmethod
    def declare_inputs(cls, characters: bool = False, **_: Any) -> Inputs:
        words = {"words": InputSpec("words", "tokens", names=ENGLISH)}
        return words | ({"characters": InputSpec("characters", "characters", names=LETTERS)} if characters else {})

    def setup(self, stage: str) -> None:
        wanted = ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",)
        if all(hasattr(self, f"{split}_set") for split in wanted):
            return
        for split, commands in _draw_splits(self.counts, self.seed).items():
            if split in wanted:
                setattr(self, f"{split}_set", self._set(split, commands))

    def _set(self, split: str, commands: list[Command]) -> TextSet:
        keep = np.random.default_rng([self.seed, 1]).random(len(commands)) < self.translated
        spanish = [
            torch.tensor([SPANISH.index(word) for word in command.spanish]) if split != "train" or kept else None
            for command, kept in zip(commands, keep, strict=True)
        ]
        targets: dict[str, list[Any]] = {
            "intent": [list(INTENTS).index(command.intent) for command in commands],
            "slots": [torch.tensor([TAGS.index(tag) for tag in command.tags]) for command in commands],
            "spanish": spanish,
        }
        return TextSet([command.words for command in commands], self.inputs, targets)


def _draw_splits(counts: dict[str, int], seed: int) -> dict[str, list[Command]]:
    """Sentences of each split, of which no two are equal."""
    rng, seen = np.random.default_rng([seed, 0]), set[tuple[str, ...]]()
    splits: dict[str, list[Command]] = {}
    for split, count in counts.items():
        splits[split] = []
        tries = 0
        while len(splits[split]) < count:
            command, tries = draw(rng), tries + 1
            if command.words not in seen:
                seen.add(command.words)
                splits[split].append(command)
            elif tries > 100 * (count + 100):
                raise ValueError(f"the grammar has no {sum(counts.values()):,} different sentences; ask for fewer.")
    return splits
