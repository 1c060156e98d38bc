"""`AttentionPictures`: after the test, what decoders looked at while they wrote the first texts."""

from pathlib import Path

from torch import Tensor

from mtl.batch import labelled
from mtl.callbacks.pictures.first_samples import FirstSamples
from mtl.drawing.attention import Attention, draw_attention
from mtl.inputs.input import Input
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of

_END = "(end)"


class AttentionPictures(FirstSamples):
    """Writes `<task>_attention.png` for every head that attends to its features; does nothing for other heads.

    Args:
        folder: as `FirstSamples`.
        num_drawn: as `FirstSamples`.
    """

    words = "pictures of attention"

    def draw(self, pl_module: MultiTaskLightningModule, few: dict[str, Tensor], folder: Path) -> None:
        heads = [name for name in pl_module.tasks if name in pl_module.model.heads]
        names = [name for name in heads if pl_module.model.head(name).attends]
        if not names:
            return
        found = pl_module.model(few)
        for name in names:
            head, task = pl_module.model.head(name), pl_module.tasks[name]
            predicted = head.decode(found[name])
            shares_BSN = head.attention(found[name], predicted)
            if shares_BSN is None:
                continue
            known_B, target = labelled(few, task).tolist(), target_of(task)
            samples = []
            for index, shares_SN in enumerate(shares_BSN.cpu()):
                answer = target.overlay(predicted, index, few if known_B[index] else None).answer
                assert answer is not None
                tokens = [token for token in predicted["tokens"][index].tolist() if token >= 0]
                written = [*(task.class_name(token) for token in tokens), _END][: len(shares_SN)]
                real_N = shares_SN.sum(0) > 0
                title = f"wrote: {answer.predicted}" + ("" if answer.true is None else f"\ntrue: {answer.true}")
                read = self._read(pl_module, few, index, int(real_N.sum()))
                samples.append(Attention(title, read, written, shares_SN[: len(written), real_N]))
            draw_attention(samples, folder / f"{name}_attention.png")

    @staticmethod
    def _read(pl_module: MultiTaskLightningModule, batch: dict[str, Tensor], index: int, number: int) -> list[str]:
        """Names of the rows that were attended to: of the input with as many real steps, or their numbers."""
        for part in pl_module.model.inputs.values():
            if isinstance(part, Input) and len(names := part.step_names(batch, index)) == number:
                return names
        return [str(row) for row in range(number)]
