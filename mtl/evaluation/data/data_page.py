"""A page of what `check` found: counts as bars, findings by kind, and the samples concerned with their labels drawn.

One HTML file without scripts; pictures are inside it.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import torch

from mtl.batch import collate
from mtl.data.module import JointDataModule
from mtl.drawing.annotated_image import annotate
from mtl.errors import printable
from mtl.evaluation.data.data_check import DataCheck
from mtl.evaluation.data.data_findings import Finding, Place
from mtl.evaluation.data.show_batches import picture_of
from mtl.inputs.image import image_of
from mtl.targets.overlay import Boxes, Overlay

_MOST_TEXTS, _MOST_DRAWN = 100, 8  # of a kind; and pictures of a finding
_SIDE_PX = 480
_RUN = "what the run says"  # drawn on top of the labels, with its score; no task can be called so
_ORDER = ("error", "warning", "note")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums } .bar { background: #4c78a8; height: .7rem }
h2 { margin-top: 2rem } .error { color: #b00020 } .warning { color: #8a5a00 } .note { color: #555 }
figure { display: inline-block; margin: .4rem .8rem .4rem 0; max-width: 30rem; vertical-align: top }
figure img { max-width: 14.5rem } figure img:only-of-type { max-width: 22rem }
figcaption { font-size: 13px; overflow-wrap: anywhere } ul { padding-left: 1.2rem }
"""


def data_page(data: JointDataModule, found: DataCheck, title: str) -> str:
    """The page as text.

    Args:
        data: the data module, after `setup`.
        found: what `check_data` found.
        title: heading.
    """
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(found.findings, key=lambda one: _ORDER.index(one.level)):
        kinds.setdefault((finding.level, finding.kind), []).append(finding)
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        *_counts(found),
    ]
    parts += ["<p>Nothing to look at.</p>"] if not kinds else []
    draw = image_of(data.inputs)
    for (level, kind), findings in kinds.items():
        parts.append(f"<h2 class='{level}'>{level}: {len(findings)} &times; {escape(kind)}</h2>")
        drawn = [one for one in findings if one.places][:_MOST_DRAWN] if draw is not None else []
        parts += [_figure(data, finding, str(draw)) for finding in drawn]
        rest = [one for one in findings if one not in drawn]
        if rest:
            items = "".join(f"<li>{escape(printable(one.text))}</li>" for one in rest[:_MOST_TEXTS])
            more = f"<p>and {len(rest) - _MOST_TEXTS} more</p>" if len(rest) > _MOST_TEXTS else ""
            parts.append(f"<ul>{items}</ul>{more}")
    return "\n".join(parts) + "\n</html>\n"


def _counts(found: DataCheck) -> Iterable[str]:
    splits = list(found.counts)
    for task in dict.fromkeys(task for counts in found.counts.values() for task in counts):
        of_splits = [found.counts[split][task] for split in splits]
        head = "".join(f"<th>{escape(split)}</th>" for split in splits)
        yield f"<h2>{escape(task)}</h2><table><tr><th></th>{head}</tr>"
        yield _row("labelled", [f"{count.labelled:,} of {count.samples:,}" for count in of_splits])
        names = dict.fromkeys(name for count in of_splits for name in count.classes)
        most = max((count.classes[name] for count in of_splits for name in names), default=1)
        for name in sorted(names, key=lambda name: -of_splits[0].classes[name]):
            cells = [f"{count.classes[name]:,}" for count in of_splits]
            width = round(14 * of_splits[0].classes[name] / max(most, 1), 2)
            yield _row(printable(name, 60), cells, f"<div class='bar' style='width:{width}rem'></div>")
        yield "</table>"


def _row(name: str, cells: Sequence[str], bar: str = "") -> str:
    numbers = "".join(f"<td class='n'>{escape(cell)}</td>" for cell in cells)
    return f"<tr><td>{escape(name)}</td>{numbers}<td>{bar}</td></tr>"


def _figure(data: JointDataModule, finding: Finding, image: str) -> str:
    pictures = "".join(_drawn(data, place, image, finding.said) for place in finding.places[:_MOST_DRAWN])
    return f"<figure>{pictures}<figcaption>{escape(printable(finding.text))}</figcaption></figure>"


def _drawn(data: JointDataModule, place: Place, image: str, said: Mapping[str, Any] | None) -> str:
    split, index = place
    sample: Mapping[str, Any] = getattr(data, f"{split}_set")[index]
    batch = collate([dict(sample)], data.tasks, data.inputs)
    picture, tasks = picture_of(data, batch, 0, image), dict(data.tasks)
    if said is not None:
        box = Boxes(*(torch.tensor([said[part]]) for part in ("box", "label", "score")))
        picture.overlays[_RUN], tasks[_RUN] = Overlay(box), tasks[said["task"]]
    drawn = annotate(picture, tasks)
    drawn.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=80)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{escape(f'{split} {index}')}' src='data:image/jpeg;base64,{text}'>"
