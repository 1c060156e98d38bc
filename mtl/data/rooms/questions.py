"""Questions about the things in a room, their answers, and a choice of them in which no sentence gives its answer away.

Three forms: is there one (no, yes), how many (0 to 3), and where (left or right half of the picture).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtl.data.rooms.layout import SHAPES

COLOURS = {"red": (0.9, 0.12, 0.1), "green": (0.1, 0.7, 0.15), "blue": (0.12, 0.25, 0.95), "yellow": (0.95, 0.85, 0.1)}
ANSWERS = ("no", "yes", "0", "1", "2", "3", "left", "right")
MOST = 3  # the largest number that is asked for
_PLURALS = {"box": "boxes", "ball": "balls", "column": "columns", "thing": "things"}
_SENTENCES = {
    "exists": ("is there a {}", "can you see a {}"),
    "count": ("how many {} are there", "count the {}"),
    "where": ("where is the {}", "find the {}"),
}


@dataclass(frozen=True)
class Thing:
    """An object of which the picture shows some pixels.

    Args:
        shape: one of `SHAPES`.
        colour: one of `COLOURS`.
        box: around its visible pixels, xyxy in pixels.
        clear: enough of it is visible; a question that an unclear thing could change is not asked.
    """

    shape: str
    colour: str
    box: tuple[float, float, float, float]
    clear: bool = True


@dataclass(frozen=True)
class Question:
    """A form, and which things it is about.

    Args:
        form: `exists`, `count` or `where`.
        colour: colour of the things; any where it is None.
        shape: shape of the things; any where it is None.
    """

    form: str
    colour: str | None = None
    shape: str | None = None

    def is_about(self, thing: Thing) -> bool:
        """Whether the description fits a thing.

        Args:
            thing: the thing.
        """
        return self.colour in (None, thing.colour) and self.shape in (None, thing.shape)

    def words(self, wording: int) -> list[str]:
        """The sentence, word by word.

        Args:
            wording: 0 or 1; two sentences ask the same.
        """
        noun = self.shape or "thing"
        noun = _PLURALS[noun] if self.form == "count" else noun
        return _SENTENCES[self.form][wording].format(f"{self.colour} {noun}" if self.colour else noun).split()


_PAIRS = [(colour, shape) for colour in (None, *COLOURS) for shape in (None, *SHAPES) if colour or shape]
QUESTIONS = {
    "exists": [Question("exists", *pair) for pair in _PAIRS],
    # of one colour and one shape there are rarely three
    "count": [Question("count", *pair) for pair in _PAIRS if None in pair],
    "where": [Question("where", *pair) for pair in _PAIRS],
}
WORDS = tuple(
    sorted({word for some in QUESTIONS.values() for q in some for wording in (0, 1) for word in q.words(wording)})
)


def answer_of(question: Question, things: Sequence[Thing], size: int) -> str | None:
    """The answer, one of `ANSWERS`; None where the scene gives no clear one.

    Args:
        question: the question.
        things: what the picture shows.
        size: side of the picture in pixels.
    """
    meant = [thing for thing in things if question.is_about(thing)]
    if not all(thing.clear for thing in meant):
        return None
    if question.form == "exists":
        return "yes" if meant else "no"
    if question.form == "count":
        return str(len(meant)) if len(meant) <= MOST else None
    if len(meant) != 1:
        return None
    off_middle = (meant[0].box[0] + meant[0].box[2] - size) / 2
    return None if abs(off_middle) < size / 16 else "left" if off_middle < 0 else "right"


def choose(scenes: Sequence[Sequence[Thing]], size: int, rng: np.random.Generator) -> list[tuple[Question, str]]:
    """One question for every scene, and its answer.

    The form is random. Of all questions of the form that the scene answers, the one is taken whose pair of question and
    answer is rarest so far: so each question has its answers about equally often, and the sentence alone says little.

    Args:
        scenes: the things of each scene.
        size: side of the pictures in pixels.
        rng: random numbers.
    """
    used: Counter[tuple[Question, str]] = Counter()
    chosen = []
    for things in scenes:
        for form in rng.permutation(list(QUESTIONS)):
            pairs = [(q, answer) for q in QUESTIONS[form] if (answer := answer_of(q, things, size)) is not None]
            if pairs:
                break
        else:
            # nothing is askable only if all things are unclear
            pairs = [(Question("exists", None, shape), "no") for shape in SHAPES]
        order = rng.permutation(len(pairs))
        pair = min((pairs[place] for place in order), key=lambda pair: used[pair])
        used[pair] += 1
        chosen.append(pair)
    return chosen
