"""`Alignments`: after the test, when the symbols of a transcript are heard in the first recordings."""

from pathlib import Path

from torch import Tensor

from mtl.batch import labelled
from mtl.callbacks.pictures.first_samples import FirstSamples
from mtl.drawing.alignment import Alignment, draw_alignments
from mtl.features import MASK
from mtl.inputs.audio import DEFAULT_RATE, AudioInput
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of
from mtl.targets.transcript import Transcript


class Alignments(FirstSamples):
    """Writes `<task>_alignment.png` for every transcript of a model of audio; does nothing for other models.

    Args:
        folder: as `FirstSamples`.
        num_drawn: as `FirstSamples`.
    """

    words = "alignments"

    def draw(self, pl_module: MultiTaskLightningModule, few: dict[str, Tensor], folder: Path) -> None:
        parts = [part for part in pl_module.model.inputs.values() if isinstance(part, AudioInput)]
        names = [name for name, task in pl_module.tasks.items() if isinstance(target_of(task), Transcript)]
        if len(parts) != 1 or not names:
            return
        part, spec = parts[0], parts[0].spec
        prepared = part(few)
        mels_BFM, frames_B = prepared[spec.name].cpu(), prepared[spec.name + MASK].sum(1).tolist()
        found = pl_module.model(few)
        for name in names:
            outputs, task = found[name], pl_module.tasks[name]
            if "logits" not in outputs:
                continue  # a head that gives no symbol for each step
            shares_BTV = outputs["logits"].softmax(-1).cpu()
            steps_B = (
                [int(row.sum()) for row in outputs["mask"]]
                if "mask" in outputs
                else [shares_BTV.shape[1]] * len(shares_BTV)
            )
            predicted = pl_module.model.head(name).decode(outputs)
            target, known_B = target_of(task), labelled(few, task)
            samples = []
            for index, frames in enumerate(frames_B):
                answer = target.overlay(predicted, index, few if known_B[index] else None).answer
                assert answer is not None
                title = f"heard: {answer.predicted}" + ("" if answer.true is None else f"   said: {answer.true}")
                seconds = frames * part.hop / (spec.rate or DEFAULT_RATE)
                samples.append(Alignment(title, mels_BFM[index, :frames], shares_BTV[index, : steps_B[index]], seconds))
            draw_alignments(samples, task.class_names, folder / f"{name}_alignment.png")
