"""Files are written whole or not at all: what can go wrong is made to go wrong."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time

import pytest

from empathy_geometry.foundation import durable_file
from empathy_geometry.foundation.artefact import save_artefact
from empathy_geometry.foundation.durable_file import (
    create_text,
    remove_leftovers,
    told_of_files,
    whole_file,
    write_bytes,
    write_text,
)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def dead_process() -> int:
    """The number of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_a_file_is_written_and_nothing_else(tmp_path):
    assert write_text(tmp_path / "new" / "a.txt", "ä\r\n") == tmp_path / "new" / "a.txt"
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä\r\n".encode()
    write_bytes(str(tmp_path / "new" / "a.txt"), b"other")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"other"
    assert names(tmp_path / "new") == ["a.txt"]


def test_the_longest_name_that_a_file_system_allows(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    assert write_text(path, "there").read_text() == "there"


def test_content_reaches_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    done = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda h: (done.append("folder" if stat.S_ISDIR(os.fstat(h).st_mode) else "file"), real_sync(h))
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("name"), real_replace(a, b)))
    write_text(tmp_path / "a", "x")
    assert done == ["file", "name", "folder"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "elsewhere" / "not yet")
    write_text(dangling, "now")
    assert dangling.is_symlink()
    assert (tmp_path / "elsewhere" / "not yet").read_text() == "now"


def test_permissions_of_a_file_stay(tmp_path):
    path = write_text(tmp_path / "a", "x")
    path.chmod(0o600)
    write_text(path, "y")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_names_the_path(tmp_path, monkeypatch, where):
    path = write_text(tmp_path / "result.json", "old")
    monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match=r"could not write .*result\.json: No space left on device; make room") as error:
        write_text(path, "new")
    assert error.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


def test_an_error_of_the_writer_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a", "old")

    def broken():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def _limited(path: str, kind: str) -> None:
    """In a process of its own: no file may grow beyond 64 KiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    if kind == "text":
        write_text(path, "n" * 200_000)
    else:
        import torch

        save_artefact(path, "test", {"x": torch.zeros(100_000)}, {})


@pytest.mark.parametrize("kind", ["text", "tensors"])
def test_a_real_limit_of_the_system(tmp_path, kind):
    path = write_text(tmp_path / "a", "old")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _limited(str(path), kind)
            said = "nothing was raised"
        except OSError as error:
            said = str(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 4096).decode()
    assert f"could not write {path}" in said
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_leftovers_of_killed_processes_go_and_nothing_else(tmp_path):
    host, dead, mine = durable_file._HOST, dead_process(), os.getpid()
    old = time.time() - 2 * durable_file._STALE_SECONDS
    gone = [f".eg-{host}-{dead}-3.partial", f".eg-{host}-{mine}-999999.partial", ".eg-00000000-1-0.partial"]
    stay = [f".eg-{host}-{os.getppid()}-0.partial", ".eg-00000000-2-0.partial", ".eg-mine.partial", ".notes.partial"]
    for name in (*gone, *stay):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / gone[2], (old, old))
    write_text(tmp_path / "a", "x")
    assert names(tmp_path) == sorted(["a", *stay])


def test_a_file_that_is_being_written_is_no_leftover(tmp_path):
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
        remove_leftovers(tmp_path)
        assert temporary.exists()


def test_the_first_of_two_creators_stays(tmp_path):
    assert create_text(tmp_path / "a", "first")
    assert not create_text(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_without_hard_links_a_new_file_is_made_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", full)
    assert create_text(tmp_path / "a", "first")
    assert not create_text(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first"


def test_a_listener_hears_of_files_below_its_folder_only(tmp_path):
    told = []
    with told_of_files(tmp_path / "in", told.append):
        write_text(tmp_path / "in" / "deep" / "a", "x")
        create_text(tmp_path / "in" / "b", "x")
        write_text(tmp_path / "out", "x")
    write_text(tmp_path / "in" / "after", "x")
    assert [p.as_posix() for p in told] == ["deep/a", "b"]
