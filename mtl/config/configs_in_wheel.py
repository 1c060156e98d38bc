"""The build step that puts `configs/` of the checkout into a wheel, as `mtl/configs`, where `mtl.config.shipped` looks.

pyproject.toml names the class. The file is run by a build, which has setuptools and nothing of `mtl`; an editable
installation reads the configs of the checkout and needs no copy.
"""

from pathlib import Path

from setuptools.command.build_py import build_py

SOURCE = Path("configs")
KINDS = (".csv", ".md", ".yaml")


class BuildWithConfigs(build_py):  # type: ignore[misc]
    """`build_py` that also copies the configs."""

    def run(self) -> None:
        """Build the package, then copy each config."""
        super().run()
        if not self.editable_mode:
            for target, source in self._configs().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target, preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """What an sdist must hold so that a wheel can be made of it."""
        return [*super().get_source_files(), *self._configs().values()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What a build leaves.

        Args:
            include_bytecode: as setuptools says.
        """
        own = [] if self.editable_mode else list(self._configs())
        return [*super().get_outputs(include_bytecode), *own]

    def _configs(self) -> dict[str, str]:
        files = sorted(path for path in SOURCE.rglob("*") if path.suffix in KINDS and path.is_file())
        return {str(Path(self.build_lib, "mtl", path)): str(path) for path in files}
