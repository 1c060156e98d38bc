"""`WandbRun`: Lightning's W&B logger, which decides before it starts whether it can be online and never prompts."""

import netrc
import os
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from rich import get_console

from mtl.config.foreign_files import UnsafeFile

Mode = Literal["auto", "online", "offline"]

FINISH_S = 300.0  # W&B itself tries for hours
_REACH_S = 3.0  # for one answer of the server, name look-up included
_START_S = 30.0  # for the server to open the run
_LOWER_IS_BETTER = ("loss", "error", "mae", "mse", "rmse", "nll", "perplexity")


class WandbRun(WandbLogger):
    """One W&B run, kept under `<run folder>/wandb`; a resumed or tested run continues under its id.

    Args:
        run_dir: folder of the run.
        mode: `auto` falls back to an offline file by itself; `online` raises instead; `offline` never connects.
        log_checkpoint: upload the best checkpoint when training ends.
        finish_timeout_s: seconds that the upload of what is left may take at the end; it stays on the disk as well.
        options: further arguments of `wandb.init`: project, name, entity, tags, config.
    """

    from_config: ClassVar[bool] = False  # its options reach W&B's own settings, the server's address among them

    def __init__(
        self,
        run_dir: Path,
        mode: Mode = "auto",
        log_checkpoint: bool = False,
        finish_timeout_s: float = FINISH_S,
        **options: Any,
    ) -> None:
        refuse_settings_of_folder()
        super().__init__(save_dir=str(run_dir), log_model=log_checkpoint, **options)
        self.finish_timeout_s = finish_timeout_s
        self.run_dir = Path(run_dir)
        self.mode = mode
        self._defined: set[str] = set()

    @property
    def experiment(self) -> Any:
        # Lightning gives the other ranks a stand-in that does nothing
        if (
            not getattr(rank_zero_only, "rank", 0)
            and self._experiment is None
            and getattr(self, "_attach_id", None) is None
        ):
            self._start()
        return super().experiment

    @property
    def name(self) -> str:
        # Lightning builds checkpoint paths from it; everything lies in the run folder already
        return ""

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        for key in metrics.keys() - self._defined:
            self._defined.add(key)
            if best := better(key):
                self.experiment.define_metric(
                    key, summary=best, step_metric="trainer/global_step", step_sync=step is not None
                )
        super().log_metrics(metrics, step)

    def close(self, exit_code: int = 0) -> None:
        """Upload the rest; if that takes too long, log the command that does it later.

        Args:
            exit_code: of the program; W&B shows whether it failed.
        """
        experiment, self._experiment = self._experiment, None
        if experiment is None or getattr(rank_zero_only, "rank", None):
            return
        try:
            experiment.finish(exit_code)
        except TimeoutError:
            shown = _shown(Path(experiment.dir).resolve().parent)
            _say(f"W&B: not everything was taken in {self.finish_timeout_s:.0f} s; upload it by `wandb sync {shown}`")

    def _start(self) -> None:
        # before the first import: W&B reads it there
        os.environ.setdefault("WANDB_SILENT", "true")
        # W&B's background process of a parent knows the runs of all its children, and refuses this run's id for a
        # while after a child that had it was killed
        os.environ.pop("WANDB_SERVICE", None)
        import wandb

        mode, reason = decide(self.mode)
        options = {**self._wandb_init, "id": self._run_id(), "reinit": "finish_previous"}
        options.pop("anonymous", None)  # Lightning passes it always, W&B warns whenever it is passed
        (self.run_dir / "wandb").mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_START_S,
            finish_timeout=self.finish_timeout_s,
            finish_timeout_raises=True,
        )
        try:
            self._experiment = wandb.init(mode=mode, settings=settings, **options)
        except (wandb.Error, OSError, TimeoutError) as error:
            if self.mode == "online" or mode != "online":
                raise RuntimeError(f"W&B could not start a run ({mode}): {_first_line(error)}.") from error
            mode, reason = "offline", _first_line(error)
            wandb.teardown()  # or the id would be in use by the start that failed
            self._experiment = wandb.init(mode=mode, settings=settings, **options)
        self._experiment.define_metric("trainer/global_step")
        self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        if mode == "online":
            _say(f"W&B: {self._experiment.url}")
        elif mode == "offline":
            shown = _shown(Path(self._experiment.dir).resolve().parent)
            _say(f"W&B: offline ({reason}); upload it later with `wandb sync {shown}`")

    def _run_id(self) -> str:
        # an agent of a sweep gives the id it waits for
        if given := os.environ.get("WANDB_RUN_ID"):
            return given
        file = self.run_dir / "wandb" / "id.txt"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(secrets.token_hex(4))
        return file.read_text().strip()


def refuse_settings_of_folder() -> None:
    """Refuse a folder that tells W&B where to send what is logged, and the key: its files may be anybody's.

    Raises:
        UnsafeFile: if there is such a file.
    """
    for file in (Path("wandb", "settings"), Path(".wandb", "settings")):
        if os.path.lexists(file):
            raise UnsafeFile(
                f"W&B would take its settings, its server among them, from {str(file)!r} of the current folder. Put "
                "them into ~/.config/wandb/settings or WANDB_BASE_URL, or use tracking.wandb=off."
            )


def better(key: str) -> Literal["max", "min"] | None:
    """Which of a number's values is its best: shown in the run's summary.

    Args:
        key: a log key, such as `val/boxes/map` or `train/loss/boxes`.

    Returns:
        `max`, `min`, or None for what has no best value, such as a learning rate.
    """
    words = key.split("/")
    if words[0] not in ("train", "val", "test"):
        return None
    return "min" if any(word in _LOWER_IS_BETTER for word in words[1:]) else "max"


def decide(mode: Mode) -> tuple[Literal["online", "offline", "disabled"], str]:
    """Whether W&B can be online, found out without a prompt and within seconds.

    Args:
        mode: what the user chose.

    Returns:
        The mode for `wandb.init`, and the reason in a few words.

    Raises:
        ValueError: if it must be online and cannot.
    """
    if mode == "offline":
        return "offline", "as configured"
    said = os.environ.get("WANDB_MODE", "")
    if mode == "auto" and said in ("offline", "dryrun", "disabled"):
        return ("disabled" if said == "disabled" else "offline"), f"WANDB_MODE={said}"
    url = _server()
    if not _has_key(url):
        missing = "no API key"
    elif not reachable(url):
        missing = f"{urlsplit(url).netloc} does not answer"
    else:
        return "online", ""
    if mode == "online":
        raise ValueError(
            f"tracking.wandb is 'online', but there is {missing}. Run `wandb login` and check the network, or set it "
            "to 'auto', which writes an offline file that `wandb sync` uploads later."
        )
    return "offline", missing


def reachable(url: str, timeout_s: float = _REACH_S) -> bool:
    """Whether a server answers at all; any answer counts.

    Args:
        url: its address.
        timeout_s: seconds to wait.
    """
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=timeout_s):
                answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)
        except (OSError, ValueError):
            answers.append(False)

    # a name look-up knows no timeout, so it must not hold up the run
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers == [True]


def _server() -> str:
    import wandb

    return str(wandb.setup().settings.base_url)


def _has_key(url: str) -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    # keys of the public server may be filed under its old name
    hosts = {urlsplit(url).netloc} | (set() if os.environ.get("WANDB_BASE_URL") else {"api.wandb.ai"})
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path(os.path.expanduser(name)) for name in ("~/.netrc", "~/_netrc")]:
        try:
            entries = netrc.netrc(path)
        except (OSError, netrc.NetrcParseError):
            continue
        if any(entries.authenticators(host) for host in hosts):
            return True
    return False


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _say(line: str) -> None:
    get_console().print(line, highlight=False, markup=False, soft_wrap=True)
