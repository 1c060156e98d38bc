"""The callbacks that every run gets; one of the same kind in the config takes the place of the one here."""

from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor, ModelSummary, ProgressBar

from mtl.callbacks.balancing.finite_losses import FiniteLosses
from mtl.callbacks.balancing.telemetry import BalancingTelemetry, looks_at_gradients
from mtl.callbacks.checkpoints.step_seeds import StepSeeds
from mtl.callbacks.finetuning.learning_parameters import LearningParameters
from mtl.callbacks.pictures.alignments import Alignments
from mtl.callbacks.pictures.attention import AttentionPictures
from mtl.callbacks.pictures.box_pictures import BoxPictures
from mtl.callbacks.pictures.curves import Curves
from mtl.callbacks.pictures.evaluation_pictures import EvaluationPictures
from mtl.callbacks.pictures.text_examples import TextExamples
from mtl.callbacks.tracking.gradient_norms import GradientNorms
from mtl.callbacks.tracking.learning_rates import LearningRates
from mtl.callbacks.tracking.metrics_by_part import MetricsByPart
from mtl.callbacks.tracking.part_summary import PartSummary
from mtl.callbacks.tracking.progress import RunProgress
from mtl.callbacks.tracking.results import Results
from mtl.callbacks.tracking.throughput import Throughput

# a default gives way to these too
_SAME_KIND: dict[type[Callback], type[Callback]] = {
    RunProgress: ProgressBar,
    PartSummary: ModelSummary,
    LearningRates: LearningRateMonitor,
}


def default_callbacks(run_dir: Path, given: Iterable[Callback] = ()) -> list[Callback]:
    """Seeds, a watch on losses, progress, telemetry, pictures, examples, results; more telemetry where a run balances.

    Args:
        run_dir: folder of the run.
        given: the callbacks of the user; a default of the same kind is left out, so nothing is done twice.
    """
    pictures, given = run_dir / "pictures", list(given)
    defaults: list[Callback] = [
        StepSeeds(),
        LearningParameters(),
        FiniteLosses(),
        RunProgress(),
        PartSummary(),
        LearningRates(),
        GradientNorms(),
        Throughput(),
        MetricsByPart(),
        BoxPictures(pictures),
        EvaluationPictures(pictures),
        TextExamples(pictures),
        Alignments(pictures),
        AttentionPictures(pictures),
        Curves(pictures / "curves.png"),
        Results(run_dir),
    ]
    if any(looks_at_gradients(callback) for callback in given):
        defaults.append(BalancingTelemetry(pictures / "balancing.png"))
    taken = tuple(type(callback) for callback in given)
    return [default for default in defaults if not _is_taken(type(default), taken)]


def _is_taken(kind: type[Callback], taken: tuple[type[Callback], ...]) -> bool:
    same = (kind, _SAME_KIND.get(kind, kind))
    return any(issubclass(cls, same) for cls in taken)
