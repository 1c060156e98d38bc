from pathlib import Path

import pytest

from mtl.config.command_line import read_command_line
from mtl.config.yaml_lines import ConfigError


def test_options_and_flags_are_told_apart() -> None:
    words = "-c a.yaml --config=b.yaml --trainer.max_steps 3 --name=x=y --untrained --run runs/a --allow p,q --lr -1"
    line = read_command_line("fit", words.split())
    assert line.configs == [Path("a.yaml"), Path("b.yaml")]
    assert line.flags == [("trainer.max_steps", "3"), ("name", "x=y"), ("lr", "-1")]
    assert (line.run, line.allow, line.switches) == (Path("runs/a"), ["p", "q"], {"--untrained"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.yaml"], r"Did you mean `--config a.yaml`\?"),
        (["--name"], "--name needs a value"),
        (["--name", "--other", "1"], "--name needs a value"),
        (["--untraind"], r"Did you mean '--untrained'\?"),
        (["--untrained=1"], "takes no value"),
        (["--data.help", "X"], "mtl list"),
        (["-x", "1"], "is not a flag"),
    ],
)
def test_a_word_that_fits_nowhere_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_command_line("fit", words)
