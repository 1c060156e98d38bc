"""What `python -m mtl compare` trains: the rows of a comparison file, and the runs of every row.

A comparison file names the config that every run starts from, and what overrides it:

    config: ../digits_methods.yaml   # beside this file
    seeds: 3
    single_tasks: true               # a row for each task trained alone
    tune: 12                         # random fixed weights to try: the row Fixed-tuned
    methods: [all, {name: MGDA-exact, method: MGDA, at: parameters}]   # `distill`: see `taught_rows.py`
    seed_keys: [seed_everything, data.seed]
    variants:                        # the whole comparison once for each
      wide: {model: {backbone: {init_args: {width: 32}}}}
"""

import inspect
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mtl.balancing
from mtl.balancing.method import Method
from mtl.balancing.protocols import LossWeighting
from mtl.config.command_line import refuse_options
from mtl.config.papers import is_of_a_paper
from mtl.config.paths import refuse_name
from mtl.config.shipped import own_or_shipped
from mtl.config.yaml_lines import ConfigError, known_keys, read_yaml
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean
from mtl.evaluation.tables.report import TUNED
from mtl.experiments.queued_run import PLACE_KEYS, QueuedRun
from mtl.experiments.single_tasks import BALANCER, head_names, single_task_rows
from mtl.experiments.taught_rows import Teaching, read_teaching

Overlay = dict[str, Any]  # overrides of the config
KEYS = ("config", "seeds", "single_tasks", "tune", "methods", "seed_keys", "variants")
ENTRY_KEYS = ("name", "method", "at", "every", "overlay", "distill")
MOST_SEEDS, MOST_RUNS = 1_000, 100_000
SEARCH = "search"  # folder of the fixed weights that were tried


@dataclass(eq=False)
class Cell(QueuedRun):
    """One run of a comparison: `seed<n>` in the folder of its row, or `try<n>` in the folder of a search.

    Args:
        folder: of the row.
        name: of the run.
        config: what every run starts from.
        overlay: overrides of the config.
        seeds: the run's seed by key of the config.
        wave: runs of lower waves teach it, and are trained before it.
    """

    config: Path
    overlay: Overlay
    seeds: Mapping[str, int]
    wave: int = 0

    def settings(self) -> Overlay:
        return self.overlay

    def words(self, flags: Sequence[str]) -> list[str]:
        seeds = [word for key, seed in self.seeds.items() for word in (f"--{key}", str(seed))]
        return [
            "--config", str(self.config), "--config", str(self.settings_file),
            "--tracking.project", self.folder.parent.name, "--tracking.group", self.folder.name, *seeds, *flags,
        ]  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """A comparison file, read and checked.

    Args:
        config: what every run starts from.
        rows: name and overlay of every row but the tuned weights.
        seeds: how many.
        tune: how many fixed weights are tried; 0 for none.
        variants: name and overlay of every variant; one without a name where there are none.
        tasks: names of the heads.
        seed_keys: keys of the config that a run's seed is given to.
        taught: rows that learn from others.
    """

    config: Path
    rows: dict[str, Overlay]
    seeds: int
    tune: int
    variants: dict[str, Overlay]
    tasks: list[str]
    seed_keys: list[str]
    taught: Mapping[str, Teaching] = field(default_factory=dict)

    def searched(self, root: Path) -> dict[str, list[Cell]]:
        """The runs that try fixed weights, by variant.

        Args:
            root: folder of the comparison.
        """
        weights = list(enumerate(self.candidates() if self.tune else []))
        return {
            variant: [self._cell(root / variant / SEARCH, f"try{number}", 0, merged(over, w)) for number, w in weights]
            for variant, over in self.variants.items()
        }

    def cells(self, root: Path, tuned: dict[str, int] | None = None) -> list[Cell]:
        """All other runs, seed by seed, so that a comparison that is stopped has something of every row.

        Args:
            root: folder of the comparison.
            tuned: which try has won, by variant; the first one where it is not known yet.
        """
        rows, weights = dict(self.rows), self.candidates() if self.tune else []
        found = []
        for seed in range(self.seeds):
            for variant, over in self.variants.items():
                if self.tune:
                    rows[TUNED] = weights[(tuned or {}).get(variant, 0)]
                for row, own in rows.items():
                    overlay, name, teaching = merged(over, own), f"seed{seed}", self.taught.get(row)
                    if teaching is not None:
                        overlay = merged(overlay, teaching.overlay(root / variant, name))
                    wave = 0 if teaching is None else teaching.wave
                    found.append(self._cell(root / variant / row, name, seed, overlay, wave))
        return found

    def candidates(self) -> list[Overlay]:
        """Random fixed weights relative to the first task's, each log-uniform in 0.1..10; the first are all 1."""
        draw = random.Random(0)
        found: list[Overlay] = [{}]
        for _ in range(self.tune - 1):
            found.append({"model": {"loss_weights": {t: round(10 ** draw.uniform(-1, 1), 2) for t in self.tasks[1:]}}})
        return found

    def _cell(self, folder: Path, name: str, seed: int, overlay: Overlay, wave: int = 0) -> Cell:
        return Cell(folder, name, self.config, overlay, dict.fromkeys(self.seed_keys, seed), wave)


def read_comparison(path: Path) -> Comparison:
    """Read and check a comparison file.

    Args:
        path: the file.

    Raises:
        ConfigError: for a key, a method or a config that is not there.
    """
    path = own_or_shipped(path)
    if not path.is_file():
        raise ConfigError(
            f"there is no comparison file {str(path)!r}; the ones that come along are in configs/compare."
        )
    values = read_yaml(path)
    known_keys(values, KEYS, str(path))
    config = Path(os.path.normpath(path.parent / str(values.get("config", ""))))
    if "config" not in values or not config.is_file():
        raise ConfigError(
            f"{path}: `config` must name the config of every run, beside this file; there is no {config}."
        )
    tasks = head_names(config)
    if len(tasks) < 2:
        raise ConfigError(f"{config} has {len(tasks)} heads under model.heads; balancing is compared on two or more.")
    rows: dict[str, Overlay] = {}
    if values.get("single_tasks", True):
        rows = single_task_rows(config)
    taught: dict[str, Teaching] = {}
    for name, overlay, distill in _method_rows(values.get("methods", ["all"]), path):
        if name in rows:
            raise ConfigError(f"{path}: two rows are called {name!r}; give one of them another `name`.")
        if distill is not None:
            taught[name] = read_teaching(distill, f"{path}, {name}", list(rows), tasks, taught)
        rows[name] = overlay
    numbers = {key: values.get(key, default) for key, default in (("seeds", 3), ("tune", 12))}
    for key, number in numbers.items():
        if not isinstance(number, int) or not (key == "seeds") <= number <= MOST_SEEDS:
            raise ConfigError(f"{path}: `{key}` must be a whole number up to {MOST_SEEDS:,}, found {number!r:.80}.")
    variants: dict[str, Overlay] = {"": {}}
    if given := values.get("variants"):
        known_keys(given, list(given), f"{path}, variants")
        for name in given:
            refuse_name(f"{path}: variant", str(name))
        variants = {str(name): _overlay(overlay or {}, f"{path}, {name}") for name, overlay in given.items()}
    seed_keys = values.get("seed_keys", ["seed_everything", "data.seed"])
    if not isinstance(seed_keys, list) or not all(isinstance(key, str) for key in seed_keys):
        raise ConfigError(f"{path}: `seed_keys` must be a list of keys of a config, found {seed_keys!r}.")
    refuse_options(seed_keys, f"{path}, seed_keys")
    if own := [key for key in seed_keys if key in PLACE_KEYS]:
        raise ConfigError(f"{path}, seed_keys: {own[0]!r} is set by the comparison itself, apart for every run.")
    number = len(variants) * (len(rows) * numbers["seeds"] + numbers["tune"])
    if number > MOST_RUNS:
        raise ConfigError(f"{path}: this makes {number:,} runs; a comparison has at most {MOST_RUNS:,}.")
    return Comparison(config, rows, numbers["seeds"], numbers["tune"], variants, tasks, seed_keys, taught)


def merged(low: Overlay, high: Overlay) -> Overlay:
    """Two overlays in one.

    Args:
        low: the first.
        high: what overrides it.
    """
    both = dict(low)
    for key, value in high.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            value = merged(both[key], value)
        elif key.endswith("+") and key in both:
            value = [item for part in (both[key], value) for item in (part if isinstance(part, list) else [part])]
        both[key] = value
    return both


def _method_rows(entries: Any, path: Path) -> Iterator[tuple[str, Overlay, Any]]:
    assert mtl.balancing  # importing the package imports every method
    known = {cls.__name__: cls for cls in concrete_subclasses(Method)}
    for entry in entries if isinstance(entries, list) else [entries]:
        if entry == "all":
            yield from ((name, balanced(name, _place(cls)), None) for name, cls in known.items() if _stands_alone(cls))
        elif isinstance(entry, str):
            module, _, name = entry.rpartition(".")
            if module and all(part.isidentifier() for part in entry.split(".")):
                yield (
                    name,
                    balanced(entry),
                    None,
                )  # a full name: each config of the plan says whether it may be imported
                continue
            if entry not in known:
                raise ConfigError(
                    f"{path}: there is no balancing method {entry!r}.{did_you_mean(entry, known)} A class of a package "
                    f"that is not installed needs its full name, such as mypaper.methods.{name}, and --allow mypaper."
                )
            yield entry, balanced(entry, _place(known[entry])), None
        else:
            yield *_entry(entry, path), entry.get("distill")


def _entry(entry: Any, path: Path) -> tuple[str, Overlay]:
    if not isinstance(entry, dict) or "name" not in entry or ("method" in entry) == ("overlay" in entry):
        raise ConfigError(
            f"{path}: an entry of `methods` is `all`, the name of a method, or a `name` with either a `method` or an "
            f"`overlay`; found {entry!r:.80}."
        )
    known_keys(entry, ENTRY_KEYS, str(path))
    name = str(entry["name"])
    if not isinstance(entry.get("method", ""), str | dict):
        raise ConfigError(
            f"{path}, {name}: `method` is a name or a class with arguments, found {entry['method']!r:.80}."
        )
    refuse_name(f"{path}: name", name)
    if "overlay" in entry:
        return name, _overlay(entry["overlay"], f"{path}, {name}")
    return name, balanced(entry["method"], entry.get("at"), entry.get("every"))


def _overlay(values: Any, where: str) -> Overlay:
    if not isinstance(values, dict) or "base" in values or not all(key.rstrip("+").isidentifier() for key in values):
        raise ConfigError(f"{where}: an overlay holds keys of a config, without `base`; found {values!r:.80}.")
    return values


def balanced(method: Any, at: str | None = None, every: int | None = None) -> Overlay:
    """The overlay that balances by a method, instead of the weights that the config may have.

    Args:
        method: its name, or `class_path` and `init_args`.
        at: where it sees gradients.
        every: how often it is asked.
    """
    settings = {"method": method, "at": at, "every": every}
    settings = {key: value for key, value in settings.items() if value is not None}
    callback = {"class_path": BALANCER, "init_args": settings}
    return {"model": {"loss_weights": None}, "trainer": {"callbacks+": [callback]}}


def _stands_alone(cls: type[Method]) -> bool:
    """Whether a method can be compared with the defaults of its paper."""
    needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    ours = cls.__module__.startswith("mtl.") or is_of_a_paper(cls.__module__)
    return ours and not cls.adapter and not needed


def _place(cls: type[Method]) -> str | None:
    return None if issubclass(cls, LossWeighting) or "features" in cls.at else cls.at[0]
