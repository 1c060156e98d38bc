"""Copies that threads write: none is lost, the queue is bounded, an error costs one copy."""

import errno
import threading
from pathlib import Path

import pytest

from mtl.evaluation.predictions.picture_copies import PictureCopies
from mtl.evaluation.predictions.prediction_files import Found


def picture(number: int, side: int = 1) -> Found:
    return Found(Path(f"{number}.png"), f"{number}.png", side, side, {})


def test_errors_cost_one_copy_and_come_in_order() -> None:
    written: list[str] = []
    failed: list[tuple[str, str]] = []

    def write(one: Found) -> None:
        if one.name in ("3.png", "30.png"):
            raise ZeroDivisionError("no height")
        written.append(one.name)

    copies = PictureCopies(write, lambda *entry: failed.append(entry))
    for number in range(100):
        copies.add(picture(number))
    copies.close()
    copies.close(drop=True)  # twice costs nothing
    assert len(written) == len(set(written)) == 98
    assert failed == [(name, "its copy cannot be written: no height") for name in ("3.png", "30.png")]


def test_a_fast_network_waits_for_a_slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    gate, added = threading.Event(), []
    copies = PictureCopies(lambda _: (gate.wait(30), None)[1], lambda *_: None)

    def add() -> None:
        for number in range(20):
            copies.add(picture(number))
            added.append(number)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join(0.3)
    assert len(added) <= 8  # two threads, four pictures for each
    gate.set()
    thread.join(30)
    copies.close()
    assert len(added) == 20


def test_a_full_disk_ends_the_writing() -> None:
    def write(_: Found) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    copies = PictureCopies(write, lambda *_: None)
    copies.add(picture(0))
    copies.add(picture(1))
    with pytest.raises(OSError, match="No space left"):
        copies.close()


@pytest.mark.parametrize(("side", "at_once"), [(5_001, 1), (5_000, 2)])
def test_large_pictures_are_drawn_one_at_a_time(monkeypatch: pytest.MonkeyPatch, side: int, at_once: int) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    now, most, guard = 0, 0, threading.Lock()

    def write(_: Found) -> None:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.02)
        with guard:
            now -= 1

    copies = PictureCopies(write, lambda *_: None)
    for number in range(6):
        copies.add(picture(number, side))
    copies.close()
    assert most == at_once
