from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse._common import parsing_settings
from torch import nn

from mtl.config import import_policy
from mtl.config.import_policy import EXTERNAL, ImportRefused, allow_imports, find_class, is_allowed
from mtl.config.schema import Place, parameters
from mtl.optim import Optim


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
        ("mtl.heads.whole.classification.ClassificationHead", True),
        ("torch.optim.AdamW", True),
        ("torch.optim.adamw.AdamW", True),
        ("lightning.pytorch.callbacks.early_stopping.EarlyStopping", True),
        ("torch.nn.Linear", False),
        ("mtl.", False),
        ("mtl..heads", False),
        ("mtl.heads.a b", False),
        ("lightning.pytorch.callbacks.ModelCheckpoint", False),
        ("lightning.pytorch.plugins.environments.MPIEnvironment", False),
        ("torch.optim.AdamW.step", False),
        ("torch.optim.lr_scheduler.LambdaLR", False),
        ("lightning.pytorch.callbacks.LambdaCallback", False),
        ("lightning.pytorch.loggers.MLFlowLogger", False),
        ("torchvision.models.resnet18", False),
        ("timm.create_model", False),
        ("mtl.heads.whole.classification.ClassificationHead.__init__", False),
        ("mtl.cli._main", False),
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
    norm = {"class_path": "mtl.optim.Optim"}
    parser.add_argument("--optim", type=Optim)
    assert parser.parse_object({"optim": norm}).optim.class_path == "mtl.optim.Optim"


def test_every_class_of_the_list_can_be_found_and_is_a_class() -> None:
    for module, names in EXTERNAL.items():
        for name in names:
            if not (module == "torch.optim" and name == "Muon"):  # new in torch 2.9
                assert isinstance(find_class(f"{module}.{name}"), type)


def test_no_class_of_the_list_needs_a_function_or_is_given_one_in_silence() -> None:
    takes = {
        f"{cls.__name__}.{name}"
        for module, names in EXTERNAL.items()
        for cls in (find_class(f"{module}.{name}") for name in names if (module, name) != ("torch.optim", "Muon"))
        for name, annotation in parameters(cls).items()
        if Place(annotation).function
    }
    # `null` is all that a config may say there
    assert takes <= {"DDPStrategy.ddp_comm_hook", "DDPStrategy.ddp_comm_wrapper", "DDPStrategy.model_averaging_period"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("beside.heads.make", "it is a function, and only classes"),
        ("beside.heads.made", "it is an object of type Thing"),
        ("beside.heads.Popen", "it is another name of 'subprocess.Popen'"),
        ("beside.heads.later", "it is a function"),
        ("beside.heads.subprocess", "it is an object of type module"),
    ],
)
def test_also_in_an_allowed_module_only_its_own_classes_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "heads.py").write_text(
        "import functools, subprocess\nfrom subprocess import Popen\nclass Thing: pass\nmade = Thing()\n"
        "def make(): pass\nlater = functools.partial(make)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    allow_imports(["beside"])
    assert find_class("beside.heads.Thing").__name__ == "Thing"
    with pytest.raises(ImportRefused, match=reason):
        find_class(path)
