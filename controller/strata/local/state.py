"""What `strata up` leaves for `strata down` and `strata sim` to find: where the world is, and that it is alive.

One world a user. The supervisor holds a lock on `up.lock` as long as it lives, so whether a world is up is asked of the
kernel, never of a process id. Owns `~/.local/state/strata`.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import msgspec

from strata.cli.kubeconfig import DEFAULT_FILE


class WorldRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A world that is up. `temporary`: its data goes with it. `link`: the default kubeconfig, if it points here."""

    pid: int
    api: str
    metrics: str
    simulator: str
    etcd: str
    kubeconfig: str
    data_dir: str
    logs: str
    temporary: bool
    link: str | None = None


class Death(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the last world ended that did not end as it was told to, and where its logs are."""

    why: str
    logs: str

    def __str__(self) -> str:
        return f"the last world ended by itself: {self.why}; its logs are in {self.logs}"


class Home:
    """The files of this user. `folder` is that of HOME."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / ".local" / "state" / "strata"
        self.record = self.state / "up.json"
        self.lock = self.state / "up.lock"
        self.death = self.state / "died.json"
        self.kept_logs = self.state / "last-logs"  # one at a time, so that they never pile up
        self.kubeconfig = Path(folder, *DEFAULT_FILE.parts[1:])

    def read(self) -> WorldRecord | None:
        """The world that was started last and not cleared away; None if there is none."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=WorldRecord)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def write(self, record: WorldRecord) -> None:
        """Say that this world is up. Whole or not at all."""
        draft = self.record.with_suffix(".new")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        draft.replace(self.record)

    def is_up(self) -> bool:
        """Whether a supervisor lives."""
        try:
            with self.lock.open("r") as file:
                return not _try_lock(file)
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def hold(self) -> Iterator[bool]:
        """Be the one supervisor, or the one who clears away; yields False if another is."""
        with self._open_lock() as file:
            alone = _try_lock(file)
            try:
                yield alone
            finally:
                if alone:
                    self.lock.unlink()
                    _remove_empty(self.state)

    def _open_lock(self) -> TextIO:
        """The lock's file. A holder removes it in the end: what was opened must still be what the name stands for."""
        while True:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self.lock.open("a")
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.lock.stat()):
                    return file
            file.close()

    def point_kubeconfig_at(self, kubeconfig: Path) -> str | None:
        """Let the default kubeconfig be this one. A file that is not ours stays; None is the answer then."""
        self.kubeconfig.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.kubeconfig.symlink_to(kubeconfig)
        except FileExistsError:
            return None
        return str(self.kubeconfig)

    def clear_away(self, record: WorldRecord) -> None:
        """Remove all that a world leaves on disk, but for data that was asked to stay. Idempotent."""
        if record.link and _points_at(Path(record.link), record.kubeconfig):
            Path(record.link).unlink(missing_ok=True)
            _remove_empty(self.kubeconfig.parent)
        Path(record.kubeconfig).unlink(missing_ok=True)
        if record.temporary:
            shutil.rmtree(record.data_dir, ignore_errors=True)
        self.record.unlink(missing_ok=True)

    def keep_logs(self, record: WorldRecord, why: str) -> Death:
        """Save the logs of a world whose part died from being cleared away, and note what died."""
        logs = Path(record.logs)
        if record.temporary:
            shutil.rmtree(self.kept_logs, ignore_errors=True)
            logs = Path(shutil.move(logs, self.kept_logs))
        death = Death(why=why, logs=str(logs))
        self.death.write_bytes(msgspec.json.encode(death))
        return death

    def take_death(self) -> Death | None:
        """The note of it, once: whoever takes it tells a person. The logs stay until another world's replace them."""
        try:
            death = msgspec.json.decode(self.death.read_bytes(), type=Death)
        except (FileNotFoundError, msgspec.MsgspecError):
            death = None
        self.death.unlink(missing_ok=True)
        return death

    def clear_leftovers(self) -> None:
        """Clear away after a world that was killed before it could do so itself. Only where none is up."""
        record = self.read()
        if record is not None:
            self.clear_away(record)


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _points_at(link: Path, target: str) -> bool:
    try:
        return os.readlink(link) == target  # noqa: PTH115 - the text of the link, not what it resolves to
    except OSError:
        return False
