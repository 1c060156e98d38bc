"""The offline file of a tiny run is read back and compared with `metrics.csv`; no prompt, no waiting, ever."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.utilities import rank_zero_only

from mtl.callbacks.tracking import wandb_run
from mtl.callbacks.tracking.wandb_run import WandbRun, better, decide, reachable
from mtl.runs.metrics_csv import read_series
from tests.benchmarks import wandb_server

BLOCK = 32768  # the file is a LevelDB log behind 7 bytes of its own


def records(path: Path) -> Iterator[Any]:
    """Every record of a `run-*.wandb` file."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while position + 7 <= len(data):
        room = BLOCK - position % BLOCK
        if room < 7:
            position += room
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


@pytest.fixture(scope="module")
def offline(finished_run: Any) -> list[Any]:
    (path,) = (finished_run.folder / "wandb").glob("offline-run-*/run-*.wandb")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        # W&B's own process may still be writing when `finish` has returned
        found = list(records(path))
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{path} has no end")


@pytest.fixture(scope="module")
def history(offline: list[Any]) -> dict[str, dict[int, Any]]:
    """Every logged value by name and step."""
    found: dict[str, dict[int, Any]] = {}
    for record in offline:
        if record.WhichOneof("record_type") == "history":
            row = {key(item): json.loads(item.value_json) for item in record.history.item}
            for name, value in row.items():
                found.setdefault(name, {})[row["trainer/global_step"]] = value
    return found


def test_every_number_of_the_csv_is_in_the_offline_file(finished_run: Any, history: dict[str, dict[int, Any]]) -> None:
    series = read_series(finished_run.folder / "metrics.csv")
    assert len(series) > 40
    for name, (steps, values) in series.items():
        assert history[name] == pytest.approx(dict(zip(steps, values, strict=True))), name


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("train/loss/boxes", [0, 1, 2, 3, 4, 5]),
        ("train/loss/largest", [0, 1, 2, 3, 4, 5]),
        ("weights/largest", [0, 1, 2, 3, 4, 5]),
        ("lr/model", [0, 1, 2, 3, 4, 5]),
        ("grad_norm/trunk", [0, 1, 2, 3, 4, 5]),
        ("grad_norm/boxes", [0, 1, 2, 3, 4, 5]),
        ("throughput/samples_per_s", [0, 1, 2, 3, 4, 5]),
        ("val/boxes/map", [2, 5]),
        ("val/score", [2, 5]),
        ("best/score", [2, 5]),
        ("test/largest/accuracy", [6]),
    ],
)
def test_the_offline_file_has_what_the_run_logged(
    history: dict[str, dict[int, Any]], name: str, steps: list[int]
) -> None:
    assert sorted(history[name]) == steps


def test_the_config_and_the_names_are_in_the_offline_file(offline: list[Any]) -> None:
    (run,) = (record.run for record in offline if record.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (run.project, run.display_name, list(run.tags)) == ("tiny", "first", ["a tag"])
    assert config["model"] == {"optim": {"lr": 0.001}}


def test_best_values_are_the_summary(offline: list[Any], history: dict[str, dict[int, Any]]) -> None:
    summary: dict[str, Any] = {}
    for record in offline:
        if record.WhichOneof("record_type") == "summary":
            summary |= {key(item): json.loads(item.value_json) for item in record.summary.update}
    assert summary["val/score"] == {"max": pytest.approx(max(history["val/score"].values()))}
    assert summary["val/loss/boxes"] == {"min": pytest.approx(min(history["val/loss/boxes"].values()))}
    # a plain number, for a sweep to maximise
    assert summary["best/score"] == pytest.approx(max(history["val/score"].values()))


def test_box_pictures_are_stored_with_class_names_and_pixel_boxes(finished_run: Any, offline: list[Any]) -> None:
    (media,) = (finished_run.folder / "wandb").glob("offline-run-*/files/media")
    assert len(list((media / "images/test").glob("*.png"))) == 12
    boxes = [json.loads(path.read_text()) for path in (media / "metadata/boxes2D/test").glob("*.json")]
    truth = [box for file in boxes for box in file["box_data"] if "scores" not in box]
    assert truth
    for box in truth:
        assert box["domain"] == "pixel"
        assert 0 <= box["position"]["minX"] < box["position"]["maxX"] <= 32
        assert box["box_caption"] == str(box["class_id"])
    assert any("class_labels" in str(record.config) for record in offline)


def test_the_best_checkpoint_is_an_artifact(finished_run: Any, offline: list[Any]) -> None:
    artifacts = [record.artifact for record in offline if record.WhichOneof("record_type") == "artifact"]
    best = [artifact for artifact in artifacts if "best" in artifact.aliases]
    assert best
    assert best[-1].type == "model"
    (entry,) = best[-1].manifest.contents
    assert entry.path == "model.ckpt"
    assert entry.size == (finished_run.folder / "checkpoints/best.ckpt").stat().st_size


def test_nothing_is_printed_but_one_line(finished_run: Any) -> None:
    lines = [line for line in finished_run.screen.splitlines() if "W&B" in line or "wandb" in line]
    assert len(lines) == 1
    assert "offline (as configured)" in lines[0]
    assert "wandb sync" in lines[0]


def test_a_run_keeps_its_id(tmp_path: Path) -> None:
    first = WandbRun(tmp_path, project="p")._run_id()
    assert WandbRun(tmp_path, project="p")._run_id() == first


def test_other_ranks_get_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = WandbRun(tmp_path, project="p")
    logger.log_metrics({"val/score": 1.0}, step=0)
    logger.experiment.log({"a": 1})
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("val/score", "max"),
        ("val/boxes/map", "max"),
        ("test/largest/accuracy", "max"),
        ("train/loss/boxes", "min"),
        ("val/loss/boxes", "min"),
        ("val/count/mae", "min"),
        ("lr/model", None),
        ("grad_norm/trunk", None),
    ],
)
def test_scores_are_best_at_their_maximum_and_losses_at_their_minimum(name: str, best: str | None) -> None:
    assert better(name) == best


class TestDecide:
    @pytest.fixture(autouse=True)
    def _no_account(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setattr(wandb_run, "_server", lambda: "https://wandb.example.org")
        monkeypatch.setattr(wandb_run, "reachable", lambda url: True)

    def test_without_a_key_it_is_offline(self) -> None:
        assert decide("auto") == ("offline", "no API key")

    def test_a_key_in_the_environment_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "k")
        assert decide("auto")[0] == "online"

    @pytest.mark.parametrize(("host", "mode"), [("wandb.example.org", "online"), ("elsewhere.org", "offline")])
    def test_a_key_of_this_server_in_netrc_is_enough(self, tmp_path: Path, host: str, mode: str) -> None:
        (tmp_path / "netrc").write_text(f"machine {host} login user password k\n")
        assert decide("auto")[0] == mode

    def test_without_a_network_it_is_offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "k")
        monkeypatch.setattr(wandb_run, "reachable", lambda url: False)
        assert decide("auto") == ("offline", "wandb.example.org does not answer")

    @pytest.mark.parametrize(
        ("said", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")]
    )
    def test_obeys_the_environment(self, monkeypatch: pytest.MonkeyPatch, said: str, mode: str) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "k")
        monkeypatch.setenv("WANDB_MODE", said)
        assert decide("auto")[0] == mode

    def test_must_be_online_but_cannot(self) -> None:
        with pytest.raises(ValueError, match="no API key.*wandb login.*'auto'"):
            decide("online")


def test_a_server_that_refuses_the_connection_is_not_reachable() -> None:
    assert not reachable("http://127.0.0.1:9", timeout_s=2)


def test_a_server_that_never_answers_is_not_reachable() -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        start = time.monotonic()
        assert not reachable(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.3)
        assert time.monotonic() - start < 2


@pytest.mark.slow
def test_without_key_and_network_a_run_neither_asks_nor_waits(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom mtl.callbacks.tracking.loggers import Tracking, make_loggers\n"
        "for logger in make_loggers(Path(sys.argv[1]), 'e', 'n', {'a': 1}, Tracking()):\n"
        "    logger.log_metrics({'val/score': 0.5}, step=0)\n    logger.finalize('success')\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.count("\n") == 1
    assert "offline (no API key)" in done.stdout
    assert (tmp_path / "run/metrics.csv").read_text() == "step,val/score\n0,0.5\n"
    assert list((tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb"))


@contextmanager
def a_server(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """A server of its own, and the environment of commands that are to find it."""
    port = folder / "port"
    server = subprocess.Popen([sys.executable, wandb_server.__file__, str(port), *words])
    try:
        while not port.is_file() or not port.read_text():
            time.sleep(0.02)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[4])}
        yield (
            server,
            environment
            | {
                "WANDB_BASE_URL": f"http://127.0.0.1:{port.read_text()}",
                "WANDB_API_KEY": "0" * 40,
            },
        )
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_a_server_that_is_lost_holds_up_the_end_for_its_time_and_no_longer(tmp_path: Path, lost: bool) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom mtl.callbacks.tracking.wandb_run import WandbRun\n"
        "run = WandbRun(Path(sys.argv[1]), mode='online', project='p', finish_timeout_s=2)\n"
        "run.log_metrics({'val/score': 1.0}, step=0)\n"
        "if len(sys.argv) > 2: os.kill(int(sys.argv[2]), 9)\n"
        "run.close()\nrun.close()\n"  # the second time there is nothing left
    )
    with a_server(tmp_path) as (server, environment):
        words = [sys.executable, "-c", code, str(tmp_path / "run"), *([str(server.pid)] if lost else [])]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    first, *more = done.stdout.splitlines()
    assert first.startswith("W&B: http://127.0.0.1:")
    assert [line.startswith("W&B: not everything was taken in 2 s; upload it by `wandb sync") for line in more] == (
        [True] if lost else []
    )


START = (
    "import sys\nfrom pathlib import Path\nfrom mtl.callbacks.tracking.wandb_run import WandbRun\n"
    "run = WandbRun(Path(sys.argv[1]), mode=sys.argv[2], project='p')\nrun.log_metrics({'val/score': 1.0}, step=0)\n"
)


@pytest.mark.slow
def test_a_server_that_opens_no_run_leaves_it_offline(tmp_path: Path) -> None:
    with a_server(tmp_path, "--refuse") as (_, environment):
        words = [sys.executable, "-c", START + "run.close()", str(tmp_path / "run"), "auto"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("W&B: offline (permission denied); upload it later")
    assert list((tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb"))


@pytest.mark.slow
def test_a_child_takes_over_the_run_of_one_that_was_killed(tmp_path: Path) -> None:
    import wandb

    wandb.teardown()  # of other tests
    parent = WandbRun(tmp_path / "parent", mode="offline", project="p")
    parent.log_metrics({"val/score": 1.0}, step=0)
    child = START + "print('up', flush=True)\nsys.stdin.read()"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[4])}
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", child, str(tmp_path / "child"), "offline"],
            env=environment | {"WANDB_SERVICE": os.environ["WANDB_SERVICE"]}, stdin=-1, stdout=-1, stderr=-1, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = [process.stdout.readline(), process.stdout.readline()]
            process.kill()
            assert said[1] == "up\n", process.communicate()[1]
    parent.close()
