"""Configs of the package `transformers`, from settings or from a local folder, checked before a network is built.

A folder may come from anybody: its config is read as plain data, and what names code of others is left out.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl.config.foreign_files import read_small
from mtl.errors import did_you_mean, import_optional, printable
from mtl.inputs.tokenizer_file import NAME, TokenizerFile, tokenizer_of
from mtl.inputs.tokens import PADDING, SPECIAL
from mtl.task import InputSpec

_UNUSED = {"add_cross_attention", "classifier_dropout", "is_decoder", "tie_word_embeddings", "use_cache", "vocab_size"}
# a folder's config may name code and kernels of others, and a precision; ours decides about these
_NOT_OF_FOLDER = {"auto_map", "attn_implementation", "_attn_implementation", "dtype", "torch_dtype"}
_MOST_BYTES = 1 << 20  # of config.json
_WAY = (
    "Encode the texts with the tokenizer of the folder: give a SentenceTable `tokenizer`, or declare "
    "InputSpec(name, 'tokens', channels={size}) in a data module of your own; or give `config` instead, for random "
    "weights and the vocabulary of the data."
)


def of_settings(settings: Mapping[str, Any], tokens: InputSpec) -> Any:
    """A config from settings of a user, every one of which must have an effect.

    Args:
        settings: the settings, with `model_type`.
        tokens: the input that the network reads; it has the vocabulary.

    Returns:
        A config of the package.

    Raises:
        ValueError: for a type that is no encoder of tokens, and for a setting that is wrong or changes nothing.
    """
    transformers = import_optional("transformers", "transformers")
    cls = _class_of(settings.get("model_type"), "`config`")
    default = cls()
    names = set(default.to_dict()) | set(cls.attribute_map)
    marks = {name for name in names if name.endswith("_token_id")}  # the data knows of none but padding
    known = names - marks - _UNUSED - set(transformers.PreTrainedConfig().to_dict())
    given = {name: value for name, value in settings.items() if name != "model_type"}
    for name in given:
        if name not in known:
            why = "heads and vocabulary come from elsewhere" if name in marks | _UNUSED else "there is no such setting"
            raise ValueError(
                f"TransformersText: `config` has {name}, which changes nothing in an encoder of type {cls.model_type}: "
                f"{why}.{did_you_mean(name, known)} Rename it, or leave it out; there are {', '.join(sorted(known))}."
            )
    padding = (tokenizer_of(tokens.tokenizer).padding if tokens.tokenizer else None) or PADDING
    fixed = dict.fromkeys(marks, PADDING) | {"vocab_size": tokens.channels, "pad_token_id": padding}
    try:
        made = cls(**given, **fixed)
    except Exception as error:
        raise ValueError(f"TransformersText: `config` is refused by transformers: {printable(str(error))}") from error
    return _checked(made, "`config`")


def of_folder(folder: Path, tokens: InputSpec) -> Any:
    """The config of a local folder, whose vocabulary must be the one of the data.

    Args:
        folder: the folder.
        tokens: the input that the network reads.

    Returns:
        A config of the package.

    Raises:
        ValueError: if there is no such folder, if it holds no plain encoder, and for another vocabulary.
    """
    where = f"folder {str(folder)!r}"
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(
            f"TransformersText: {where} has no config.json, or does not exist. `folder` is a local folder, as "
            "`save_pretrained` writes it; nothing is downloaded. To use a model of the hub, download its config.json "
            "and *.safetensors yourself, and name that folder; or give `config` for random weights."
        )
    try:
        stored = json.loads(read_small(file, _MOST_BYTES, follow=True))
        settings = {name: value for name, value in stored.items() if name not in _NOT_OF_FOLDER}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"TransformersText: {str(file)!r} is no config: {printable(str(error))}") from error
    cls = _class_of(settings.get("model_type"), f"{str(file)!r}")
    if "quantization_config" in settings or (folder / "adapter_config.json").exists():
        raise ValueError(
            f"TransformersText: {where} holds quantized weights or an adapter; expected the plain weights of one "
            "network. Merge the adapter, or save the network without quantization."
        )
    try:
        made = cls.from_dict(settings)
    except Exception as error:
        raise ValueError(f"TransformersText: {str(file)!r} is refused: {printable(str(error))}") from error
    _check_vocabulary(folder, _checked(made, where), tokens)
    return made


def _checked(made: Any, where: str) -> Any:
    if made.is_encoder_decoder or getattr(made, "is_decoder", False):
        raise ValueError(
            f"TransformersText: {where} is of a decoder ({made.model_type}); expected an encoder, such as bert, "
            "distilbert, roberta or electra."
        )
    return made


def _check_vocabulary(folder: Path, made: Any, tokens: InputSpec) -> None:
    """Refuse data that numbers its tokens in another way than the folder does."""
    size, way = made.vocab_size, _WAY.format(size=made.vocab_size)
    who = f"TransformersText: folder {str(folder)!r}"
    if tokens.tokenizer:
        _check_tokenizer(who, folder, made, tokens)
        return
    if tokens.channels != size:
        raise ValueError(f"{who} has a vocabulary of {size}; input {tokens.name!r} has one of {tokens.channels}. {way}")
    if not tokens.names:
        return  # a data module of its own, which encodes as it likes
    if made.pad_token_id not in (None, PADDING):
        raise ValueError(
            f"{who} has padding at index {made.pad_token_id}; in the vocabulary of input {tokens.name!r} it is at "
            f"{PADDING}. {way}"
        )
    file = folder / "tokenizer.json"
    if not file.is_file():
        return
    tokenizers = import_optional("tokenizers", "transformers")
    try:
        index = tokenizers.Tokenizer.from_file(str(file)).get_vocab(with_added_tokens=True)
    except Exception as error:
        raise ValueError(f"TransformersText: {str(file)!r} is no tokenizer: {printable(str(error))}") from error
    for number, name in enumerate(tokens.names):
        if number >= len(SPECIAL) and index.get(name) != number:
            raise ValueError(
                f"{who} has token {printable(name)!r} at index {index.get(name)} of its tokenizer; input "
                f"{tokens.name!r} has it at {number}. {way}"
            )


def _check_tokenizer(who: str, folder: Path, made: Any, tokens: InputSpec) -> None:
    """Refuse a tokenizer that is not the one of the folder; a network may have more embeddings than it has tokens."""
    given, way = tokenizer_of(tokens.tokenizer), "Take the tokenizer and the weights from one folder."
    own = TokenizerFile(str(folder)) if (folder / NAME).is_file() else None
    if given.size > made.vocab_size or (own is None and given.size != made.vocab_size):
        raise ValueError(
            f"{who} has a vocabulary of {made.vocab_size}; the tokenizer {given.path!r} of input {tokens.name!r} has "
            f"one of {given.size}. {way}"
        )
    if own is not None and own.vocabulary != given.vocabulary:
        other = next(name for name in {**own.vocabulary, **given.vocabulary} if own.index(name) != given.index(name))
        raise ValueError(
            f"{who} has token {printable(other)!r} at index {own.index(other)} of its {NAME}; the tokenizer "
            f"{given.path!r} of input {tokens.name!r} has it at {given.index(other)}. {way}"
        )
    if None not in (given.padding, made.pad_token_id) and given.padding != made.pad_token_id:
        raise ValueError(
            f"{who} has padding at index {made.pad_token_id}; its tokenizer pads with {given.padding}. Correct "
            "pad_token_id in its config.json."
        )


def _class_of(model_type: Any, where: str) -> Any:
    """The config class of a type of encoder, one that `transformers` trains as a masked language model."""
    masked = import_optional("transformers", "transformers").MODEL_FOR_MASKED_LM_MAPPING
    known = {cls.model_type: cls for cls in masked}
    if not isinstance(model_type, str) or model_type not in known:
        raise ValueError(
            f"TransformersText: {where} has model_type {model_type!r}, which is no encoder of tokens in transformers."
            f"{did_you_mean(str(model_type), known)} Take one such as bert, distilbert, roberta or electra."
        )
    return known[model_type]
