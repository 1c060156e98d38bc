"""The text of a new config: the keys that matter, in the order of the shipped configs, with comments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from textwrap import wrap
from typing import Any

import yaml

from mtl.data.formats.recognise import Recognised
from mtl.evaluation.data.proposal import Proposal
from mtl.evaluation.data.trunk import SCRATCH, Trunk

_WIDTH = 116
_MOST_CLASSES = 200  # written down; more are read from the data by every run


def config_text(
    found: Recognised, chosen: Proposal, root: Path, splits: str | None, notes: Sequence[str], to: Path, trunk: Trunk
) -> str:
    """A config as text.

    Args:
        found: what the folder holds.
        chosen: sizes and model.
        root: folder of the data, as the config names it.
        splits: folder of the written splits, relative to `root`; None where the data define them.
        notes: comments for the head of the file.
        to: file of the config, for the commands in the comment.
        trunk: the backbone, and whose weights it starts from.
    """
    lines = [
        *_comment(f"{', '.join(found.formats)} in {root.as_posix()}: written by `python -m mtl new`."),
        *(line for note in notes for line in _comment(f"* {note}", "#   ")),
        f"#   python -m mtl check --config {quote(to.as_posix())}    what is in the data",
        f"#   python -m mtl show --config {quote(to.as_posix())}     what the network will see",
        f"#   python -m mtl fit --config {quote(to.as_posix())}",
        "data:",
        f"  class_path: {found.class_path}",
        "  init_args:",
        f"    root: {_flow(root.as_posix())}",
    ]
    lines += _data(found, chosen, splits)
    lines += _augment(chosen)
    lines += ["model:", "  backbone:", f"    class_path: {trunk.class_path} # {trunk.remark}"]
    lines += _long("    init_args: ", dict(trunk.init_args)) if trunk.init_args else []
    lines += ["  # a trained one: `new --trunk resnet18`, or `--trunk RUN` of your own"] if trunk is SCRATCH else []
    lines += [f"  init_from: {{run: {_flow(trunk.run.as_posix())}}}"] if trunk.run is not None else []
    lines += ["  heads:"]
    for name, (head, arguments) in trunk.heads(chosen.heads).items():
        lines += [f"    {name}:", f"      class_path: {head}"]
        lines += [f"      init_args: {_flow(arguments)}"] if arguments else []
    if len(chosen.heads) > 1:
        lines += ["  # weights of the losses: the first thing to tune of several tasks", "  loss_weights:"]
        lines += [f"    {name}: 1.0" for name in chosen.heads]
    lines += [
        "  optim:",
        "    optimizer:",
        "      class_path: AdamW",
        f"      init_args: {{lr: {trunk.learning_rate}, weight_decay: 0.05, betas: [0.9, 0.99]}}",
        "trainer:",
        f"  max_steps: {chosen.max_steps}",
        "  gradient_clip_val: 5.0",
        f"  check_val_every_n_epoch: {chosen.check_val_every_n_epoch}",
        "  callbacks:",
        "    - class_path: EMA",
        "      init_args: {decay: 0.99}",
    ]
    return "\n".join(lines) + "\n"


def _data(found: Recognised, chosen: Proposal, splits: str | None) -> list[str]:
    arguments = dict(found.init_args)
    names = chosen.image_classes
    lines = []
    if "boxes" in found.tasks and len(names.get("boxes", ())) <= _MOST_CLASSES:
        lines += _long("    box_classes: ", list(names["boxes"]))
    if found.class_path == "ClassFolders" and len(names.get("label", ())) <= _MOST_CLASSES:
        lines += _long("    classes: ", list(names["label"]))
    tasks = arguments.pop("image_tasks", {})
    maps = arguments.pop("map_tasks", {})
    for key, value in arguments.items():
        lines += _long(f"    {key}: ", value)
    if tasks or found.open_tasks:
        lines += ["    image_tasks:"]
    for name, spec in tasks.items():
        classes = list(names.get(name, ()))
        known = {"classes": classes} if classes and len(classes) <= _MOST_CLASSES and "classes" not in spec else {}
        lines += _long(f"      {name}: ", _without_default({**spec, **known}))
    if found.open_tasks:
        lines += ["      # also in the table; a task needs a head below, too:"]
        lines += [f"      # {name}: {_flow(_without_default(spec))}" for name, spec in found.open_tasks.items()]
    if maps:
        lines += ["    map_tasks:"]
        lines += [line for name, spec in maps.items() for line in _long(f"      {name}: ", spec)]
    if splits is not None:
        lines += [f"    splits: {_flow(splits)}"]
    lines += [f"    image_size: {_flow(list(chosen.image_size))} # height and width of the network's input"]
    lines += [f"    batch_size: {chosen.batch_size}"]
    lines += ["    cache: true # all pictures stay in memory"] if chosen.cache else ["    num_workers: 4"]
    return lines


def _augment(chosen: Proposal) -> list[str]:
    return [
        "    augment:",
        "      class_path: Augment",
        "      init_args:",
        "        flip_horizontal: 0.5 # 0 where left and right differ, as in text",
        "        zoom: [0.8, 1.25]",
        "        translate: 0.1",
        "        brightness: 0.15",
        "        contrast: 0.15",
    ]


def _without_default(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if (key, value) != ("kind", "classification")}


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return str(text).removesuffix("\n...\n").rstrip("\n")


def _long(head: str, value: Any) -> list[str]:
    """A value behind its key, in as many lines as it needs."""
    text = f"{head}{_flow(value)}"
    if len(text) <= _WIDTH:
        return [text]
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    if isinstance(value, Mapping):
        return [head.rstrip(), *(line for key, one in value.items() for line in _long(f"{indent}{_flow(key)}: ", one))]
    if not isinstance(value, list):
        return [text]
    lines, items = [head.rstrip()], [_flow(item) for item in value]
    line = f"{indent}["
    for number, item in enumerate(items):
        end = "]" if number == len(items) - 1 else ","
        if len(line) + len(item) + 2 > _WIDTH:
            lines.append(line.rstrip())
            line = f"{indent} "
        line += f"{item}{end} "
    return [*lines, line.rstrip()]


def _comment(text: str, head: str = "# ") -> list[str]:
    return wrap(text, _WIDTH, initial_indent=head.replace("   ", " "), subsequent_indent=head)
