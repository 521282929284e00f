"""The one way in which files are written: whole or not at all, also after a power cut or on a full disk.

Content goes to a temporary file in the same folder, is forced to the disk, takes the file's name in one step, and the
folder's list of names is forced to the disk too. Temporary files of processes that were killed are removed when the
same folder is next written to.
"""

import errno
import hashlib
import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
# Short, since a file's own name may already be as long as the file system allows; says who writes.
_TEMPORARY = re.compile(r"\.eg-([0-9a-f]{8})-(\d+)-(\d+)\.partial")
_STALE_SECONDS = 24 * 3600
"""Age at which a temporary file of another machine, of whose processes nothing is known, counts as left over."""

_number = itertools.count()
_in_use: set[str] = set()
_listeners: ContextVar[tuple[tuple[Path, Callable[[Path], None]], ...]] = ContextVar("listeners", default=())
_cleaned: set[tuple[int, Path]] = set()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file; a reader sees either all of the old content or all of the new, whatever happens.

    Missing folders are made. A symbolic link is written through: its target is replaced, the link stays.

    Args:
        path: Where.
        content: What.

    Returns:
        The path.

    Raises:
        OSError: it could not be written (a full disk, say); the message names the path, and what was there before is
            untouched.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """`write_bytes` of UTF-8, with line ends as they are.

    Raises:
        OSError: as `write_bytes`.
    """
    return write_bytes(path, text.encode("utf-8"))


def create_text(path: str | Path, text: str) -> bool:
    """Write a file whole under a name that nobody has taken; if another process was faster, its file stays.

    Returns:
        Whether this call's text is the file's.

    Raises:
        OSError: as `write_bytes`.
    """
    path = Path(path)
    with _errors_that_name(path):
        _make_folder(path.parent)
        with _temporary_beside(path) as temporary:
            temporary.write_bytes(text.encode("utf-8"))
            _flush(temporary)
            _tell(path)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                if path.exists():
                    return False
                os.replace(temporary, path)
            _flush_folder(path.parent)
    return True


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the file's name when the block ends without an error.

    For libraries that write to a path of their own choosing; everything else calls `write_bytes`.

    Raises:
        OSError: as `write_bytes`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with whole_file(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("all of it")
        >>> [p.name for p in folder.iterdir()]
        ['a.txt']
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    with _errors_that_name(given):
        _make_folder(target.parent)
        with _temporary_beside(target) as temporary:
            yield temporary
            with suppress(FileNotFoundError):  # a new file has the permissions of any other new file
                os.chmod(temporary, os.stat(target).st_mode & 0o777)
            _flush(temporary)
            _tell(target)
            os.replace(temporary, target)
            _flush_folder(target.parent)


@contextmanager
def told_of_files(folder: Path, tell: Callable[[Path], None]) -> Iterator[None]:
    """Call `tell` with the path, relative to a folder, of every file below it just before it takes its name."""
    token = _listeners.set((*_listeners.get(), (folder.resolve(), tell)))
    try:
        yield
    finally:
        _listeners.reset(token)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that no process is writing any more; nothing but those is touched."""
    for path in folder.glob(".eg-*.partial"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and path.name not in _in_use and _is_left_over(path, found[1], int(found[2])):
            with suppress(OSError):
                path.unlink()


def _tell(target: Path) -> None:
    place = target.parent.resolve() / target.name
    for folder, tell in _listeners.get():
        if folder in place.parents:
            tell(place.relative_to(folder))


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    key = (os.getpid(), target.parent)
    if key not in _cleaned:
        remove_leftovers(target.parent)
        _cleaned.add(key)
    temporary = target.with_name(f".eg-{_HOST}-{os.getpid()}-{next(_number)}.partial")
    _in_use.add(temporary.name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _in_use.discard(temporary.name)


@contextmanager
def _errors_that_name(path: Path) -> Iterator[None]:
    """System errors with the path that a user knows, rather than that of the temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise OSError(f"could not write {path}: {error}; what was there before is untouched") from error
        reason = os.strerror(error.errno)
        advice = "; make room on the disk" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
        # OSError makes the subclass that belongs to the number, such as PermissionError.
        raise OSError(
            error.errno, f"could not write {path}: {reason}{advice}; what was there before is untouched"
        ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder, so that its name, too, survives a power cut."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _flush_folder(made.parent)


def _is_left_over(path: Path, host: str, process: int) -> bool:
    if host != _HOST:
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > _STALE_SECONDS
        return False
    # A file of this process's number that it is not writing is from an earlier process of that number.
    return process == os.getpid() or not _alive(process)


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _flush(path: Path) -> None:
    """Make the operating system write a file to the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Make the operating system write a folder's list of names to the disk, where it knows how."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems have no such thing; the file itself is there
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
