"""`python -m mtl completion bash|zsh`: completion of subcommands, configs after --config, runs after --run.

    eval "$(mtl completion bash)"

in ~/.bashrc, or `zsh` in ~/.zshrc. It starts no Python at a press of the key.
"""

import argparse
import sys

from mtl.config.command_line import COMMANDS, OPTIONS
from mtl.config.shipped import shipped_names

_BASH = """\
_mtl() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
  case "$before" in
    -c|--config) COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$word") $(compgen -d -- "$word")
                 $(compgen -W "$(ls configs/*.y*ml configs/*/*.y*ml 2>/dev/null) CONFIGS" -- "$word"))
                 COMPREPLY=($(printf '%s\\n' "${COMPREPLY[@]}" | sort -u)) ;;
    --run|--resume|--runs) COMPREPLY=($(compgen -W "$(ls -d runs/*/* 2>/dev/null)" -- "$word")
                 $(compgen -d -- "$word")) ;;
    mtl) COMPREPLY=($(compgen -W "COMMANDS" -- "$word")) ;;
    *) case "$word" in
         -*) COMPREPLY=($(compgen -W "OPTIONS" -- "$word")) ;;
         *) COMPREPLY=($(compgen -f -- "$word")) ;;
       esac ;;
  esac
}
complete -o filenames -F _mtl mtl
"""
_SHELLS = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}


def completion(arguments: list[str]) -> None:
    """Print a script for the shell.

    Args:
        arguments: what follows `completion`: the shell.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl completion", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("shell", choices=_SHELLS)
    shell = parser.parse_args(arguments).shell
    shipped = " ".join(f"configs/{name}" for name in shipped_names())
    script = _BASH.replace("COMMANDS", " ".join(COMMANDS)).replace("OPTIONS", " ".join(OPTIONS))
    script = script.replace("CONFIGS", shipped)
    sys.stdout.write(_SHELLS[shell] + script)
