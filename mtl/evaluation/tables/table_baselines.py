"""What models without a network reach on the same rows of a table: linear models and gradient boosting of scikit-learn.

Shapes: N rows, C numbers of a row.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.metrics.task_metrics import Predictions
from mtl.targets.target import target_of
from mtl.task import Task

LINEAR, BOOSTING = "linear", "boosting"
Values = NDArray[np.float64]


def fit_baselines(
    task: Task, train: tuple[Tensor, Tensor, Tensor], test: tuple[Tensor, Tensor], boosting: bool = True, seed: int = 0
) -> dict[str, Predictions]:
    """Predictions for test rows in the form that a head's `decode` gives, by the name of the model.

    The linear model, logistic or ridge regression, gets the standardised columns with missing numbers at their mean, as
    the network does; gradient boosting gets the columns as they are, with what is missing. Both have the settings of
    scikit-learn: nothing is tuned.

    Args:
        task: the task, with classes or one number for each row.
        train: standardised columns, columns as they are, and targets of the training rows.
        test: standardised columns and columns as they are of the test rows.
        boosting: fit gradient boosting too.
        seed: of gradient boosting.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    classes = target_of(task).needs_classes
    models: dict[str, tuple[Any, int]] = {LINEAR: (LogisticRegression(max_iter=2000) if classes else Ridge(), 0)}
    if boosting:
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        models[BOOSTING] = (kind(random_state=seed), 1)
    targets = train[2].numpy()
    if classes and len(np.unique(targets)) < 2:
        return {}
    # a column of which these rows know nothing cannot be divided, nor can it say anything
    known_C = train[1].isfinite().any(0)
    train, test = (train[0], train[1][:, known_C], train[2]), (test[0], test[1][:, known_C])
    found: dict[str, Predictions] = {}
    for name, (model, form) in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a model that has not converged is still a baseline
            model.fit(train[form].numpy(), targets)
        found[name] = _predictions(task, model, test[form].numpy())
    return found


def _predictions(task: Task, model: Any, rows_NC: Values) -> Predictions:
    if not target_of(task).needs_classes:
        return {"values": torch.from_numpy(model.predict(rows_NC)).float()}
    probabilities_NC = torch.zeros(len(rows_NC), task.num_classes)
    probabilities_NC[:, model.classes_.tolist()] = torch.from_numpy(model.predict_proba(rows_NC)).float()
    return {"probabilities": probabilities_NC, "labels": probabilities_NC.argmax(1)}


def known_rows(task: Task, batch: Mapping[str, Tensor]) -> Tensor:
    """Indices of the rows that have a label of a task.

    Args:
        task: the task.
        batch: a batch.
    """
    return torch.nonzero(batch[task.labelled_field])[:, 0]
