from collections.abc import Iterator
from copy import deepcopy

import pytest
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse._common import parsing_settings
from torch import nn

from mtl.evaluation import import_policy
from mtl.evaluation.import_policy import allow_imports, is_allowed


@pytest.fixture(autouse=True)
def _policy_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MTL_ALLOW", raising=False)
    settings, modules = deepcopy(parsing_settings), set(import_policy._user_modules)
    yield
    parsing_settings.clear()
    parsing_settings.update(settings)
    import_policy._user_modules.clear()
    import_policy._user_modules.update(modules)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("mtl.heads.classification.ClassificationHead", True),
        ("torch.nn.Linear", True),
        ("torchvision.models.resnet18", True),
        ("torch.hub.load", False),
        ("torch.load", False),
        ("torchaudio.models.X", False),
        ("os.system", False),
        ("paper.heads.MyHead", False),
    ],
)
def test_our_parts_and_their_libraries_may_be_imported(path: str, allowed: bool) -> None:
    assert is_allowed(path) is allowed


def test_a_user_lets_a_module_in_and_everything_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_ALLOW", "third, fourth")
    allow_imports(["paper.heads"])
    answers = {path: is_allowed(path) for path in ("paper.heads.A", "paper.data.B", "paper", "third.C", "fourth")}
    assert answers == {"paper.heads.A": True, "paper.data.B": False, "paper": False, "third.C": True, "fourth": True}


def test_a_name_that_is_no_module_is_refused() -> None:
    with pytest.raises(ValueError, match="is not the dotted name of a module"):
        allow_imports(["paper/heads.py"])


def test_every_parser_of_the_process_obeys() -> None:
    allow_imports()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--layer", type=nn.Module)
    with pytest.raises(ArgumentError, match="Importing 'antigravity.fly' is not allowed"):
        parser.parse_object({"layer": {"class_path": "antigravity.fly"}})
    layer = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 2}}
    assert parser.parse_object({"layer": layer}).layer.class_path == "torch.nn.Linear"
