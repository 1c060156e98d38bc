"""The words of the command line: a subcommand, our options, and flags that set a key of the config."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl.config.paths import expanded
from mtl.config.shipped import own_or_shipped
from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean

TRAINER_COMMANDS = ("fit", "validate", "test")
_OTHERS = (
    "affinity", "check", "compare", "completion", "data", "explain", "export", "group", "list", "new", "paper", "plot",
    "predict", "report", "runs", "schema", "show", "sweep",
)  # fmt: skip
COMMANDS = (*TRAINER_COMMANDS, *_OTHERS)

# options that are not keys of a config, and what they do
OPTIONS = {
    "--config": "YAML file, or a config of `mtl list configs`; a later one overrides (also -c)",
    "--run": "folder of an earlier run, or `latest`: its config, its best checkpoint (fit: its last, in a new folder)",
    "--resume": "fit: folder of a run that was interrupted; it resumes there and ends with the same weights",
    "--ckpt_path": "checkpoint to load; with --run also `best` or `last` (fit: training continues from it)",
    "--untrained": "validate and test: go ahead with random weights",
    "--allow": "module whose classes the config may name, beside mtl's own and the usual ones of torch and Lightning",
    "--print_config": "show the complete config and stop",
    "--traceback": "show the whole traceback of an error (also MTL_TRACEBACK=1)",
    "--help": "the main settings (also -h); --help-all shows every one",
}
_SHORT = {"-c": "--config", "-h": "--help"}
_SWITCHES = {"--untrained", "--print_config", "--traceback", "--help", "--help-all"}


@dataclass
class CommandLine:
    """A parsed command line.

    Args:
        command: the subcommand.
        configs: config files in order.
        values: a config as a dict, in place of files.
        flags: keys of the config that were set, with the text of their values.
        run: folder of an earlier run.
        resume: folder of a run to resume.
        ckpt_path: checkpoint to load.
        allow: modules that the config may import.
        switches: the options that were given and take no value.
    """

    command: str
    configs: list[Path] = field(default_factory=list)
    values: dict[str, Any] | None = None
    flags: list[tuple[str, str]] = field(default_factory=list)
    run: Path | None = None
    resume: Path | None = None
    ckpt_path: str | None = None
    allow: list[str] = field(default_factory=list)
    switches: set[str] = field(default_factory=set)


def read_command_line(command: str, arguments: Sequence[str]) -> CommandLine:
    """Parse the arguments after a subcommand.

    Args:
        command: the subcommand.
        arguments: what follows it.

    Raises:
        ConfigError: for a word that is no flag, or a flag without its value.
    """
    line = CommandLine(command)
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in _SWITCHES:
            if equals:
                raise ConfigError(f"{name} is a switch and takes no value; found {word!r}.")
            line.switches.add(name)
            continue
        if not name.startswith("--") or len(name) < 3:
            hint = f" Did you mean `--config {word}`?" if word.endswith((".yaml", ".yml")) else ""
            raise ConfigError(f"{word!r} is not a flag; write `--key value` or `--key=value`.{hint}")
        if name.endswith(".help"):
            raise ConfigError(f"{name}: `python -m mtl list` shows the settings of every class.")
        if not equals:
            if not words or words[0].startswith("--"):
                near = "" if name in OPTIONS else did_you_mean(name, [*OPTIONS, "--help-all"])
                raise ConfigError(f"{name} needs a value: `{name} VALUE` or `{name}=VALUE`.{near}")
            value = words.pop(0)
        if not value and name in OPTIONS:
            raise ConfigError(f"{name} needs a value, and it is empty: `{name} VALUE` or `{name}=VALUE`.")
        _set(line, name, value)
    if line.resume is not None and (command != "fit" or line.run is not None or line.ckpt_path is not None):
        raise ConfigError(
            "--resume continues the training of a run, in its folder: `fit --resume RUN`, without --run and "
            "--ckpt_path. Other commands take --run RUN."
        )
    return line


def refuse_options(keys: Iterable[str], where: str) -> None:
    """Refuse keys that would become an option of the command line instead of a key of the config, such as `allow`.

    Args:
        keys: keys that a comparison or a sweep sets in its runs.
        where: what the message begins with.

    Raises:
        ConfigError: naming the first one.
    """
    for key in keys:
        if not all(part.isidentifier() or part.isdigit() for part in key.split(".")) or f"--{key}" in OPTIONS:
            raise ConfigError(f"{where}: {key!r} is no key of a config, such as data.seed or model.optim.warmup_steps.")


def _set(line: CommandLine, name: str, value: str) -> None:
    if name == "--config":
        line.configs.append(own_or_shipped(_path(name, value)))
    elif name == "--run":
        line.run = _path(name, value)
    elif name == "--resume":
        line.resume = _path(name, value)
    elif name == "--ckpt_path":
        line.ckpt_path = str(_path(name, value)) if "://" not in value else value
    elif name == "--allow":
        line.allow += [module for module in value.split(",") if module]
    else:
        line.flags.append((name[2:], value))


def _path(name: str, value: str) -> Path:
    try:
        return Path(expanded(value))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
