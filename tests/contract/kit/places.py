"""Where the data of a config lie: at its own `data/NAME`, or in a folder of data sets beside the checkout."""

from pathlib import Path

import pytest

from mtl.config.merge import Config

ROOT = Path(__file__).resolve().parents[3]
BESIDE = ROOT.parent / "shared/data"
KEYS = ("root", "path", "pairs")  # settings of data modules that name what has to be there


def flags_of_places(config: Config) -> dict[str, object]:
    """Flags that lead a config to its data; skips the test where these are nowhere.

    Args:
        config: the merged config.
    """
    settings = config.get(("data", "init_args")) or {}
    found: dict[str, object] = {}
    for flag, place in _places(settings, "data.init_args"):
        if (ROOT / place).exists():
            continue
        other = BESIDE / Path(place).relative_to("data") if Path(place).is_relative_to("data") else BESIDE
        if not other.exists():
            pytest.skip(f"its data, {place}, is not here")
        found[flag] = other
    return found


def _places(settings: object, prefix: str) -> list[tuple[str, str]]:
    """Flag and value of every place in the settings, also of parts."""
    if not isinstance(settings, dict):
        return []
    own = [(f"{prefix}.{key}", value) for key, value in settings.items() if key in KEYS and isinstance(value, str)]
    return own + [place for key, value in settings.items() for place in _places(value, f"{prefix}.{key}")]
