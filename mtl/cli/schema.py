"""`python -m mtl schema`: the JSON schema of configs, by which editors complete keys and underline mistakes.

    python -m mtl schema --to .mtl-schema.json

The first line of a config in `configs/` names it: # yaml-language-server: $schema=../.mtl-schema.json
VS Code reads it with the extension redhat.vscode-yaml, other editors with yaml-language-server.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from mtl.cli.listing import BASES
from mtl.cli.trainer.config_sections import make_schema
from mtl.config.import_policy import allow_imports
from mtl.config.json_schema import json_schema
from mtl.config.paths import path


def schema(arguments: list[str]) -> None:
    """Print the schema, or write it to a file.

    Args:
        arguments: what follows `schema`.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl schema", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("--to", type=path, help="file to write; the screen by default")
    parser.add_argument("--allow", default="", help="modules of your own whose classes are to be known, with commas")
    options = parser.parse_args(arguments)
    allow_imports([name for name in options.allow.split(",") if name])
    for module, _ in BASES.values():  # a family knows the classes that somebody has imported
        importlib.import_module(module)
    text = json.dumps(json_schema(make_schema()), separators=(",", ":")) + "\n"
    if options.to is None:
        sys.stdout.write(text)
    else:
        Path(options.to).write_text(text, encoding="utf-8")
