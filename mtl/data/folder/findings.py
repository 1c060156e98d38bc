"""`DataReport`: what a loader skipped, changed or found suspicious, logged once and saved as CSV."""

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from mtl.config.foreign_files import UnsafeFile, read_small
from mtl.errors import printable

log = logging.getLogger(__name__)
_MOST_BYTES = 1_000_000_000
_BOXES_LEFT_OUT = ("annotation_without_image", "unknown_class", "bad_box", "empty_box", "box_outside")


@dataclass(frozen=True)
class Finding:
    """One finding in the data.

    Args:
        kind: type of finding, one word such as `empty_box`.
        split: `train`, `val`, `test`, or empty for the whole data set.
        image: name of the picture, or empty.
        detail: the values concerned.
        action: how it was handled: `skipped`, `clipped`, `kept`, `ignored`, `not labelled`, `matched` (to
            a different spelling of a name), `merged`, or `refused`: it is an error in `fit`.
    """

    kind: str
    split: str
    image: str
    detail: str
    action: str


class DataReport:
    """A list of findings with a summary.

    Args:
        name: name of the data set, for the title of the summary.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.refused: frozenset[str] = frozenset()  # kinds that are errors in `fit`, reported here in place of it

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def add(self, kind: str, split: str, image: str, detail: str, action: str) -> None:
        """Add one finding.

        Args:
            kind: type of finding.
            split: split of the picture.
            image: name of the picture.
            detail: the values concerned.
            action: how it was handled.
        """
        action = "refused" if action == "skipped" and kind in self.refused else action
        self.findings.append(Finding(kind, split, image, detail, action))

    def images(self, kind: str) -> list[str]:
        """Names of the pictures with this kind of finding, sorted and unique.

        Args:
            kind: type of finding.
        """
        return sorted({finding.image for finding in self.findings if finding.kind == kind})

    def summary(self) -> str:
        """One line per kind and action: the count and the first finding."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault((finding.kind, finding.action), []).append(finding)
        lines = [f"{self.name}: {len(self.findings)} finding{'s' * (len(self.findings) != 1)} in the data"]
        for (kind, action), group in groups.items():
            first = group[0]
            where = " ".join(part for part in (first.split, first.image, first.detail) if part)
            lines.append(
                f"  {action:<12} {len(group):>5} x {kind}: {printable(where, 1000)}{', ...' if len(group) > 1 else ''}"
            )
        return "\n".join(lines)

    def explain_skipped(self, split: str) -> str:
        """A sentence about the boxes that were skipped; empty if none was.

        Args:
            split: the split; findings without a split count as well.
        """
        skipped = [
            finding
            for finding in self.findings
            if finding.kind in _BOXES_LEFT_OUT and finding.action == "skipped" and finding.split in ("", split)
        ]
        kinds = Counter(finding.kind for finding in skipped)
        details = {finding.kind: finding.detail for finding in reversed(skipped)}
        listed = "; ".join(f"{number} x {kind} ({details[kind]})" for kind, number in kinds.items())
        return f"Skipped boxes: {listed}." if kinds else ""

    @rank_zero_only
    def log_summary(self) -> None:
        """Log the summary as one warning, on rank 0 only; log nothing without findings."""
        if self.findings:
            log.warning(self.summary())

    @rank_zero_only
    def write_csv(self, path: Path) -> None:
        """Write all findings to a CSV file.

        Args:
            path: the CSV file to write.

        Raises:
            UnsafeFile: if another file is in its place.
        """
        head = [field.name for field in fields(Finding)]
        if os.path.lexists(path) and not read_small(path, _MOST_BYTES).startswith(",".join(head).encode()):
            raise UnsafeFile(f"report_csv {str(path)!r} exists, and holds no findings. Give it another name.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(astuple(finding) for finding in self.findings)
