"""Inputs for teachers alone: the batch has them, and the model does not."""

import pytest

from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.data.sets.spoken_and_written_digits import SpokenAndWrittenDigits
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule


def test_the_batch_has_what_the_model_never_reads() -> None:
    data = SpokenAndWrittenDigits(for_teachers=["audio"], num_train=4, num_val=2, num_test=2, batch_size=2)
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    assert {"image", "audio"} <= set(batch)
    module = MultiTaskLightningModule(
        tasks={"digit": data.tasks["digit"]},
        backbone=lambda inputs: SeedCNN(inputs),
        heads={"digit": ClassificationHead},
        inputs=dict(data.inputs),
    )
    assert list(module.model.inputs) == ["image"]
    assert module.model.predict(batch)["digit"]["labels"].shape == (2,)


@pytest.mark.parametrize("modalities", [["image"], ["audio"], ["image", "audio"]])
def test_something_is_left_for_the_model(modalities: list[str]) -> None:
    with pytest.raises(ValueError, match="must be some of modalities=.*, and not all of them"):
        SpokenAndWrittenDigits.declare_inputs(modalities, for_teachers=["audio", "image"])  # type: ignore[arg-type]
