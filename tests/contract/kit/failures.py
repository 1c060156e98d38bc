"""What `pytest --contract` prints at the end: each test that failed once, with its cases and the usual cause."""

from collections.abc import Sequence

import pytest


def lines_of_failures(reports: Sequence[pytest.TestReport]) -> list[str]:
    """A line for each failed test: its sentence, the classes and the number of cases, then its docstring.

    Args:
        reports: of the failed cases; their property `hint` is the docstring of the test.
    """
    cases: dict[str, list[str]] = {}
    hints: dict[str, str] = {}
    for report in reports:
        test, _, case = report.nodeid.rpartition("::")[2].partition("[")
        cases.setdefault(test, []).append(case.rstrip("]"))
        hints[test] = dict(report.user_properties).get("hint", "")
    lines = []
    for test, failed in cases.items():
        sentence = test.removeprefix("test_").replace("_", " ")
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        lines.append(f"* {sentence}: {failed[0]}{more}" if failed[0] else f"* {sentence}")
        lines += [f"    {line}" for line in str(hints[test]).splitlines()]
    return lines
