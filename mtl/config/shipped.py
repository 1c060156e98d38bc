"""Configs that come with the package: of the checkout, or of the folder `mtl/configs` that a wheel holds.

A file of the current folder always comes first: `configs/digits.yaml`, or `digits.yaml` for short, names the copy of
the package where there is no such file.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped_configs() -> Path | None:
    """The folder of the configs that come with the package; None where somebody copied the package alone."""
    in_wheel, in_checkout = PACKAGE / "configs", PACKAGE.parent / "configs"
    if in_wheel.is_dir():
        return in_wheel
    # site-packages may hold a folder `configs` of somebody else
    return in_checkout if (PACKAGE.parent / "pyproject.toml").is_file() and in_checkout.is_dir() else None


def own_or_shipped(path: Path) -> Path:
    """A file as it was named, or the one of that name which comes with the package.

    Args:
        path: a path as typed, such as `configs/digits.yaml`, `digits.yaml` or `presets/debug.yaml`.

    Returns:
        The path itself where it exists, or where the package has no such file either.
    """
    folder = shipped_configs()
    try:
        if folder is None or path.is_absolute() or ".." in path.parts or path.exists():
            return path
        parts = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
        shipped = folder.joinpath(*parts)
        return shipped if parts and shipped.is_file() else path
    except (OSError, ValueError):  # a name that no file can have; whoever opens it says so
        return path


def shipped_names() -> list[str]:
    """What `own_or_shipped` knows, as it is typed: `digits.yaml`, `presets/debug.yaml`, ..."""
    folder = shipped_configs()
    return [] if folder is None else sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.y*ml"))
