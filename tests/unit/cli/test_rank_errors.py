import pytest

from mtl.cli.trainer.rank_errors import rank_error

# as PyTorch says it
SAID = {
    "[/w/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 15000ms for recv operation": (
        "Timed out waiting 15000ms for recv operation"
    ),
    "Application timeout caused pair closure": "Application timeout caused pair closure",
    "Read error [127.0.0.1]:56521: Connection reset by peer. This is typically caused by a remote worker hanging or": (
        "Read error [127.0.0.1]:56521: Connection reset by peer"
    ),
    "NCCL error in: ProcessGroupNCCL.cpp:1\nunhandled system error": "NCCL error in: ProcessGroupNCCL.cpp:1",
}


@pytest.mark.parametrize("text", SAID)
def test_what_was_waited_for_in_vain_is_told_in_a_few_words(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    told = rank_error(text)
    assert told is not None
    assert told.startswith(f"rank 3 timed out waiting for another rank ({SAID[text]}). That one was killed, hangs")
    assert "--resume" in told


def test_other_errors_are_left_alone() -> None:
    assert rank_error("mat1 and mat2 shapes cannot be multiplied (8x4 and 3x2)") is None
    assert rank_error("Expected to have finished reduction in the prior iteration") is None
