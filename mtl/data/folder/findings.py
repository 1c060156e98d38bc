"""`DataReport`: everything a loader left out, changed or found strange, said once and kept for a machine to read."""

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)
_BOXES_LEFT_OUT = ("annotation_without_image", "unknown_class", "bad_box", "empty_box", "box_outside", "crowd_box")


@dataclass(frozen=True)
class Finding:
    """One thing found in the data.

    Args:
        kind: what it is, one word such as `empty_box`.
        split: `train`, `val`, `test`, or empty for the set as a whole.
        image: name of the picture, or empty.
        detail: the values it was seen in.
        action: what was done: `skipped`, `clipped`, `kept`, `not labelled`, `matched` (to a name that is written in
            another way), or `merged`.
    """

    kind: str
    split: str
    image: str
    detail: str
    action: str


class DataReport:
    """A list of findings with a summary.

    Args:
        name: what was read, for the summary's title.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def add(self, kind: str, split: str, image: str, detail: str, action: str) -> None:
        """Note one finding.

        Args:
            kind: what it is.
            split: where.
            image: which picture.
            detail: the values it was seen in.
            action: what was done about it.
        """
        self.findings.append(Finding(kind, split, image, detail, action))

    def images(self, kind: str) -> list[str]:
        """Names of the pictures with this finding, sorted, each once.

        Args:
            kind: the kind of finding.
        """
        return sorted({finding.image for finding in self.findings if finding.kind == kind})

    def summary(self) -> str:
        """One line for each kind and action: how often, in how many pictures, and the first of them."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault((finding.kind, finding.action), []).append(finding)
        lines = [f"{self.name}: {len(self.findings)} findings in the data"]
        for (kind, action), found in groups.items():
            first = found[0]
            where = " ".join(part for part in (first.split, first.image, first.detail) if part)
            lines.append(f"  {action:<12} {len(found):>5} x {kind}: {where}{', ...' if len(found) > 1 else ''}")
        return "\n".join(lines)

    def explain_skipped(self, split: str) -> str:
        """Which boxes were left out, in a sentence; empty where none was.

        Args:
            split: the split; what was found before pictures were dealt to splits counts, too.
        """
        left_out = [
            finding
            for finding in self.findings
            if finding.kind in _BOXES_LEFT_OUT and finding.action == "skipped" and finding.split in ("", split)
        ]
        kinds = Counter(finding.kind for finding in left_out)
        details = {finding.kind: finding.detail for finding in reversed(left_out)}
        listed = "; ".join(f"{number} x {kind} ({details[kind]})" for kind, number in kinds.items())
        return f"Boxes were left out: {listed}." if kinds else ""

    @rank_zero_only
    def log_summary(self) -> None:
        """Log the summary as one warning, on one rank; nothing where there is nothing to say."""
        if self.findings:
            log.warning(self.summary())

    @rank_zero_only
    def write_csv(self, path: Path) -> None:
        """Write every finding.

        Args:
            path: the CSV file to write.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([field.name for field in fields(Finding)])
            writer.writerows(astuple(finding) for finding in self.findings)
