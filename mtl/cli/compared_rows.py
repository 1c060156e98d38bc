"""Read the config of every row of a comparison before its first run, so that a typo costs a second and not a night."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from mtl.config.command_line import read_command_line
from mtl.config.yaml_lines import ConfigError, dump_yaml
from mtl.experiments.comparison import Cell


def refuse_wrong_rows(cells: Sequence[Cell], config: Path, seed_keys: Sequence[str], flags: Sequence[str]) -> None:
    """Refuse what the runs would refuse when they read their config.

    Args:
        cells: the runs; one of each row is read.
        config: what every run starts from.
        seed_keys: keys of the config that a run's seed is given to.
        flags: more words for every `fit`.

    Raises:
        ConfigError: naming the row, and the line or the flag.
    """
    from mtl.cli.parser import Settings  # imports Lightning

    seeds = [word for key in seed_keys for word in (f"--{key}", "0")]
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "overlay.yaml"
        for cell in {cell.folder: cell for cell in cells}.values():
            overlay.write_text(dump_yaml(cell.overlay), "utf-8")
            words = ["--config", str(config), "--config", str(overlay), *seeds, *flags]
            try:
                Settings(read_command_line("fit", words))
            except ConfigError as error:
                of_row = error.origin is not None and str(overlay) in str(error.origin)
                where = f"row {cell.folder.name!r} of the comparison: " if of_row else ""
                raise ConfigError(f"{where}{error.message}", None if of_row else error.origin) from error
