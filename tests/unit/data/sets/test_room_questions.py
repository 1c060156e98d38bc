"""RoomQuestions: answers and boxes agree with the scene, no sentence gives its answer away, splits and seeds differ."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
import torch

from mtl.data.rooms.questions import ANSWERS, COLOURS, QUESTIONS, WORDS, Question, Thing, answer_of, choose
from mtl.data.sets.room_questions import RoomQuestions
from mtl.inputs.tokens import SPECIAL

SMALL: dict[str, Any] = {"num_train": 400, "num_val": 60, "num_test": 200, "image_size": 32, "min_visible_px": 4}
RED_BALL = Thing("ball", "red", (2.0, 10.0, 12.0, 20.0))
RED_BOX = Thing("box", "red", (40.0, 10.0, 60.0, 30.0))
BLUE_BOX = Thing("box", "blue", (20.0, 30.0, 42.0, 50.0))  # its middle is 1 px left of the picture's
HIDDEN = Thing("column", "green", (0.0, 0.0, 1.0, 3.0), clear=False)
SCENE = [RED_BALL, RED_BOX, BLUE_BOX, HIDDEN]


@pytest.fixture(scope="module")
def data() -> RoomQuestions:
    made = RoomQuestions(**SMALL)
    made.setup("fit")
    made.setup("test")
    return made


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Question("exists", "red", "ball"), "yes"),
        (Question("exists", "blue", "ball"), "no"),
        (Question("exists", None, "box"), "yes"),
        (Question("exists", "green"), None),  # the only green thing is hardly visible
        (Question("count", "red"), "2"),
        (Question("count", None, "ball"), "1"),
        (Question("count", "yellow"), "0"),
        (Question("count", None, "column"), None),
        (Question("where", None, "ball"), "left"),
        (Question("where", "red", "box"), "right"),
        (Question("where", None, "box"), None),  # two
        (Question("where", "yellow"), None),  # none
        (Question("where", "blue"), None),  # in the middle
    ],
)
def test_answers_by_hand(question: Question, answer: str | None) -> None:
    assert answer_of(question, SCENE, 64) == answer


def test_more_than_three_are_not_counted() -> None:
    assert answer_of(Question("count", "red"), [RED_BALL] * 3, 64) == "3"
    assert answer_of(Question("count", "red"), [RED_BALL] * 4, 64) is None


def test_sentences_are_english_and_in_the_vocabulary() -> None:
    assert Question("count", None, "box").words(0) == ["how", "many", "boxes", "are", "there"]
    assert Question("where", "red").words(1) == ["find", "the", "red", "thing"]
    sentences = [" ".join(q.words(wording)) for some in QUESTIONS.values() for q in some for wording in (0, 1)]
    assert len(set(sentences)) == len(sentences) == 2 * (19 + 7 + 19)
    assert {word for sentence in sentences for word in sentence.split()} == set(WORDS)


def test_a_scene_of_hidden_things_still_gets_a_question() -> None:
    hidden = [
        Thing(shape, colour, (0, 0, 1, 1), clear=False) for shape in ("box", "ball", "column") for colour in COLOURS
    ]
    ((question, answer),) = choose([hidden], 64, np.random.default_rng(0))
    assert answer in ANSWERS
    assert question.form in QUESTIONS


def test_each_question_has_its_answers_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    shapes, colours = ("box", "ball", "column"), tuple(COLOURS)

    def scene() -> list[Thing]:
        boxes = ((x, 0.0, x + 8.0, 8.0) for x in rng.uniform(0, 56, int(rng.integers(7))).tolist())
        return [Thing(shapes[rng.integers(3)], colours[rng.integers(2)], box) for box in boxes]

    by_question: dict[Question, Counter[str]] = defaultdict(Counter)
    for question, answer in choose([scene() for _ in range(1500)], 64, rng):
        by_question[question][answer] += 1
    for form, answers in {"exists": 2, "where": 2}.items():
        for colour in colours[:2]:  # the others do not occur
            for shape in shapes:
                counts = by_question[Question(form, colour, shape)]
                assert len(counts) == answers
                assert max(counts.values()) - min(counts.values()) <= 2
    assert set(by_question[Question("count", None, "box")]) == {"0", "1", "2", "3"}


def test_boxes_and_answers_of_samples_agree(data: RoomQuestions) -> None:
    vocabulary, empty = (*SPECIAL, *WORDS), 0
    assert len(data.train_set) == 400
    for index in range(len(data.train_set)):
        sample = data.train_set[index]
        words, answer = [vocabulary[token] for token in sample["words"]], ANSWERS[sample["answer"]]
        boxes = sample["found"]
        assert data.train_set.text(index) == f"{' '.join(words)}: {answer}"
        assert len(boxes) == len(sample["found_labels"])
        assert not sample["found_labels"].any()
        assert bool((boxes[:, :2] >= 0).all() & (boxes[:, 2:] <= 32).all() & (boxes[:, 2:] > boxes[:, :2]).all())
        # read from the words, not from the question
        if words[0] in ("is", "can"):
            assert answer == ("yes" if len(boxes) else "no")
        elif words[0] in ("how", "count"):
            assert answer == str(len(boxes))
        else:
            assert len(boxes) == 1
            assert answer == ("left" if boxes[0, 0] + boxes[0, 2] < 32 else "right")
        empty += not len(boxes)
    assert 0 < empty < 200


def test_things_have_the_colour_that_their_name_says(data: RoomQuestions) -> None:
    names, right, total = list(COLOURS), 0, 0
    palette = torch.tensor(list(COLOURS.values()))
    for index in range(200):
        for thing in data.train_set.things[index]:
            x0, y0, x1, y1 = (int(side) for side in thing.box)
            if min(x1 - x0, y1 - y0) >= 4:
                middle = data.train_set.images[index, :, (y0 + y1) // 2, (x0 + x1) // 2].float()
                # light and shade change the length of a colour, not its direction
                right += names[int(torch.cosine_similarity(palette, middle[None]).argmax())] == thing.colour
                total += 1
    assert total > 100
    assert right / total > 0.9  # another thing may stand in front


def test_the_sentence_alone_is_not_enough(data: RoomQuestions) -> None:
    counts: dict[Question, Counter[str]] = defaultdict(Counter)
    for question, answer in data.train_set.asked:
        counts[question][answer] += 1
    best = {question: max(found, key=lambda a: found[a]) for question, found in counts.items()}
    right = [best.get(question) == answer for question, answer in data.test_set.asked]
    assert sum(right) / len(right) < 0.55  # a question of two answers has one half
    most = Counter(answer for _, answer in data.test_set.asked).most_common(1)[0][1]
    assert most / len(data.test_set) < 0.35


def test_the_seed_repeats_and_splits_differ(data: RoomQuestions) -> None:
    again, other = (RoomQuestions(**{**SMALL, "num_train": 60, "seed": seed}) for seed in (0, 1))
    for made in (again, other):
        made.setup("validate")
    assert again.val_set.sentences == data.val_set.sentences
    assert torch.equal(again.val_set.images, data.val_set.images)
    assert not torch.equal(again.val_set.images, other.val_set.images)
    assert not torch.equal(data.val_set.images, data.train_set.images[:60])
    assert not torch.equal(data.val_set.images, data.test_set.images[:60])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_val": 0}, "num_val=0 must be at least 1"), ({"image_size": 8}, "image_size=8 must be at least 16")],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RoomQuestions(**options)
