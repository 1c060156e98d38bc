"""Encoders of the package `transformers` (BERT, DistilBERT, RoBERTa, ELECTRA, ...). Needs the extra `transformers`.

A network comes from a config, with random weights and the vocabulary of the data, or from a local folder, with its
trained weights. Nothing is downloaded, and no code of a folder runs. Level: `t1`, a sequence, with the mask of the
tokens. Stages are the embeddings and the layers; a network that runs in another way is one piece.
Source of the default, a small BERT: Devlin et al., NAACL 2019.
Shapes: B samples, T steps, C channels.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import State, only_input, run_stages
from mtl.backbones.pretrained import pretrained_wanted
from mtl.backbones.text.transformer import some_key
from mtl.backbones.text.transformers_config import of_folder, of_settings
from mtl.backbones.text.words import TextBackbone
from mtl.errors import import_optional, printable
from mtl.features import MASK, Features
from mtl.inputs.tokens import PADDING, STEPS_MULTIPLE
from mtl.task import Inputs

_SMALL = {
    "model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512
}  # fmt: skip
_PROBE, _REAL, _LONGER = 8, 5, 24  # steps of a probe sentence, real ones among them, and steps with more padding


class TransformersText(TextBackbone):
    """An encoder of the package `transformers`, from a config or from a local folder.

    Characters and special tokens such as `[CLS]` are not added: the network reads the tokens that the data gives.

    Args:
        inputs: what the data module declares; one input of tokens.
        config: settings of the network by the names that `transformers` gives them, with `model_type`; weights are
            random, and the size of the vocabulary is the one of the data. By default a small BERT.
        folder: instead of `config`, a local folder with `config.json` and weights as `*.safetensors`, as
            `save_pretrained` writes it; the vocabulary of the data must be the one of the folder. A trained run reads
            `config.json` again when it is loaded.

    Raises:
        ImportError: if transformers is not installed.
        ValueError: for settings or a folder that give no encoder of tokens, and for another vocabulary.
    """

    def __init__(self, inputs: Inputs, config: dict[str, Any] | None = None, folder: str | None = None) -> None:
        super().__init__()
        transformers = import_optional("transformers", "transformers")
        if config is not None and folder is not None:
            raise ValueError("TransformersText: `config` and `folder` both say what the network is; give one of them.")
        tokens = only_input(inputs, "tokens", "TransformersText")
        self.inputs = (tokens.name, tokens.name + MASK)
        if folder is None:
            settings = dict(_SMALL if config is None else config)
            made, where = of_settings(settings, tokens), "config"
        else:
            made, where = of_folder(Path(folder).expanduser(), tokens), f"folder {folder!r}"
        self.name, self.pretrained = made.model_type, folder is not None
        self.padding = PADDING if made.pad_token_id is None else int(made.pad_token_id)
        try:
            if folder is not None and pretrained_wanted():
                model = _load(Path(folder).expanduser(), made)
            else:
                model = transformers.AutoModel.from_config(made, trust_remote_code=False, dtype=torch.float32)
        except Exception as error:
            raise ValueError(
                f"TransformersText: transformers builds no {self.name} from this {where}: {printable(str(error))} "
                "Correct the setting or the folder that it names."
            ) from error
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # it reads the first step only, and no level gives what it makes
        fixed = getattr(model.get_input_embeddings(), "padding_idx", None)
        if fixed not in (None, self.padding):
            raise ValueError(
                f"{self.title} has padding at index {fixed} whatever its config says, where the data has a word; "
                f"expected {self.padding}. Take another model_type, such as bert."
            )
        self.most_steps = _positions(model)
        self._divide(model.train(), tokens.channels)

    @property
    def title(self) -> str:
        return f"TransformersText of {self.name}"

    def stages(self) -> Sequence[nn.Module]:
        return [self.embed, *self.layers] if self.whole is None else []

    def begin(self, *inputs: Tensor) -> State:
        tokens_BT, mask_BT = inputs[0], inputs[1] if len(inputs) > 1 else None
        if self.most_steps is not None and tokens_BT.shape[1] > self.most_steps:
            raise ValueError(
                f"{self.title} has {self.most_steps} positions; found sentences of {tokens_BT.shape[1]} tokens with "
                f"padding (lengths are rounded up to multiples of {STEPS_MULTIPLE}). Cut the sentences, or raise "
                "max_position_embeddings in `config`."
            )
        return tokens_BT if mask_BT is None else tokens_BT.masked_fill(~mask_BT, self.padding), mask_BT

    def forward(self, *inputs: Tensor) -> Features:
        state = self.begin(*inputs)
        if self.whole is None:
            return self.finish(run_stages(self.stages(), state))
        return self.finish([_run_whole(self.whole, *state)])

    def _divide(self, model: Any, vocabulary: int) -> None:
        """Keep the network in stages if they come to the same as the whole, and refuse one that reads padding."""
        token = vocabulary - 1 if vocabulary - 1 != self.padding else 0
        length = _LONGER if self.most_steps is None else min(_LONGER, self.most_steps)
        mask_BT = torch.arange(length) < torch.tensor([[_REAL], [_PROBE]])
        tokens_BT = torch.where(mask_BT, token, self.padding)
        short = tokens_BT[:, :_PROBE], mask_BT[:, :_PROBE]
        self.whole: Any = model.eval()
        embed, layers = _parts(model)
        with torch.no_grad():
            try:
                expected, found = _run_whole(model, *short)[0], _run_whole(model, tokens_BT, mask_BT)[0]
                same = expected.shape[1] == _PROBE and _alike(found[:, :_PROBE], expected, short[1])
            except Exception as error:
                raise ValueError(
                    f"{self.title} does not run on a padded sentence of {_PROBE} tokens: {printable(str(error))} "
                    "Correct the setting that it names, or take another model_type, such as bert."
                ) from error
            if not same:
                raise ValueError(
                    f"{self.title} gives other values when a sentence is padded by {length - _PROBE} more steps, so "
                    "its results would hang on the other sentences of a batch. Take another model_type, such as bert."
                )
            if layers and _same_in_stages([embed, *layers], short, expected):
                self.embed, self.layers, self.whole = embed, nn.ModuleList(layers), None
        self.train()
        self.declare([expected.shape[-1]] * (1 + len(layers) if self.whole is None else 1))


class _Embedding(nn.Module):
    """What an encoder does before its layers."""

    def __init__(self, embeddings: nn.Module, project: nn.Module | None) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.project = project or nn.Identity()

    def forward(self, tokens_BT: Tensor) -> Tensor:
        out: Tensor = self.project(self.embeddings(tokens_BT))
        return out


class _Layer(nn.Module):
    """One layer of an encoder; the mask comes as attention takes it."""

    takes_mask = True

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        out = self.layer(values_BTC, None if mask_BT is None else some_key(mask_BT)[:, None, None])
        return out[0] if isinstance(out, tuple) else out, mask_BT


def _run_whole(model: Any, tokens_BT: Tensor, mask_BT: Tensor | None) -> State:
    keys = None if mask_BT is None else some_key(mask_BT).long()
    return model(input_ids=tokens_BT, attention_mask=keys, return_dict=True).last_hidden_state, mask_BT


def _alike(found_BTC: Tensor, expected_BTC: Tensor, mask_BT: Tensor) -> bool:
    same = found_BTC.shape == expected_BTC.shape
    return same and torch.allclose(found_BTC[mask_BT], expected_BTC[mask_BT], rtol=1e-3, atol=1e-4)


def _same_in_stages(stages: Sequence[nn.Module], state: State, expected_BTC: Tensor) -> bool:
    try:
        found_BTC = run_stages(stages, state)[-1][0]
    except Exception:  # noqa: BLE001, layers of other networks may want more than values and a mask
        return False
    return state[1] is not None and _alike(found_BTC, expected_BTC, state[1])


def _parts(model: Any) -> tuple[nn.Module, list[nn.Module]]:
    """Embeddings and layers of a network that is built like BERT; no layers for another one."""
    children = dict(model.named_children())
    encoder = children.get("encoder") or children.get("transformer")
    inner = dict(encoder.named_children()) if encoder is not None else {}
    known = {"embeddings", "embeddings_project", "encoder", "transformer", "pooler"}
    if not set(children) <= known or "embeddings" not in children or list(inner) != ["layer"]:
        return nn.Identity(), []
    layers = list(inner["layer"])
    if any(
        list(inspect.signature(layer.forward).parameters)[:2] != ["hidden_states", "attention_mask"] for layer in layers
    ):
        return nn.Identity(), []
    return _Embedding(children["embeddings"], children.get("embeddings_project")), [_Layer(layer) for layer in layers]


def _positions(model: Any) -> int | None:
    """Steps that a network has learned or stored positions for; None where there is no such limit."""
    tables = [part for name, part in model.named_modules() if name.endswith("embeddings.position_embeddings")]
    sizes = [
        # RoBERTa's positions begin behind the index of padding
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
        for table in tables
        if isinstance(table, nn.Embedding)
    ]
    if sizes and min(sizes) < STEPS_MULTIPLE:
        raise ValueError(
            f"TransformersText has positions for {min(sizes)} tokens; sentences are padded to multiples of "
            f"{STEPS_MULTIPLE}. Raise max_position_embeddings."
        )
    return min(sizes, default=None)


def _load(folder: Path, made: Any) -> Any:
    """The network with its weights; every one but the pooler's must be there."""
    model, found = import_optional("transformers", "transformers").AutoModel.from_pretrained(
        folder, config=made, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
        output_loading_info=True,
    )  # fmt: skip
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ValueError(f"its weights lack {len(missing)}, such as {missing[0]}.")
    return model
