"""A memory store's entries outlive it; a damaged file costs entries, never the start."""

import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import snapshot
from gateway.cache.entry import Entry
from tests.unit.cache.stored import digests, entries, entry, key

ITEMS = [(key(str(n)).digest, entry(bytes([n]) * 50 * n)) for n in range(1, 8)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.snapshot"


@given(st.lists(st.tuples(digests, entries), max_size=6))
def test_what_was_written_is_read(items: list[tuple[bytes, Entry]]) -> None:
    """All of it, in its order, but for what has expired."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        living = [(digest, one) for digest, one in items if one.expires_at > 500.0]
        assert snapshot.write(path, items, 500.0) == len(living)
        assert list(snapshot.read(path, 500.0)) == living


def test_what_expired_meanwhile_is_left_out(path: Path) -> None:
    """Expired when written, or when read."""
    short, long = entry(fresh_s=10.0), entry(fresh_s=100.0, stale_if_error_s=50.0)
    assert snapshot.write(path, [(b"s" * 32, short), (b"l" * 32, long)], 1009.0) == 2
    assert [digest for digest, _ in snapshot.read(path, 1010.0)] == [b"l" * 32]
    assert list(snapshot.read(path, 1150.0)) == []
    assert path.exists()


def test_only_its_owner_can_read_it(path: Path) -> None:
    """Answers may be confidential; nothing else is left in the folder."""
    path.write_bytes(b"older")
    path.chmod(0o644)
    snapshot.write(path, ITEMS, 0.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_no_file_is_no_entries(path: Path) -> None:
    """As at the first start; the same where a folder or a pipe is in its place."""
    assert list(snapshot.read(path, 0.0)) == []
    path.mkdir()
    assert list(snapshot.read(path, 0.0)) == []
    path.rmdir()
    os.mkfifo(path)
    assert list(snapshot.read(path, 0.0)) == []


@given(st.data())
def test_damage_anywhere_costs_only_what_follows(data: st.DataObject) -> None:
    """Cut, changed or longer: what is read was written so, and the file is set aside."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        snapshot.write(path, ITEMS, 0.0)
        whole = path.read_bytes()
        damage = data.draw(st.sampled_from(("cut", "changed", "longer")))
        place = data.draw(st.integers(0, len(whole) - 1))
        if damage == "cut":
            path.write_bytes(whole[:place])
        elif damage == "changed":
            changed = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
            path.write_bytes(whole[:place] + changed + whole[place + 1 :])
        else:
            path.write_bytes(whole + data.draw(st.binary(min_size=1)))
        found = list(snapshot.read(path, 0.0))
        assert found == ITEMS[: len(found)]
        assert os.listdir(folder) == ["s.corrupt"]
        assert list(snapshot.read(path, 0.0)) == []


def test_a_length_that_cannot_be_is_not_read(path: Path) -> None:
    """A record is never longer than the file."""
    path.write_bytes(snapshot.HEAD + b"\x0f\xff\xff\xff" + bytes(100))
    assert list(snapshot.read(path, 0.0)) == []
    assert path.with_name("memory.snapshot.corrupt").exists()


def test_one_damaged_file_is_kept(path: Path) -> None:
    """A second takes the place of the first, so that they do not fill the disk."""
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert list(snapshot.read(path, 0.0)) == []
    assert os.listdir(path.parent) == ["memory.snapshot.corrupt"]
    assert path.with_name("memory.snapshot.corrupt").read_bytes() == b"two"


def test_a_failure_while_writing_leaves_what_was_there(path: Path) -> None:
    """Whatever is raised, the former file is whole and nothing lies beside it."""

    def broken() -> Iterator[tuple[bytes, Entry]]:
        yield ITEMS[0]
        raise RuntimeError("of the store")

    snapshot.write(path, ITEMS, 0.0)
    with pytest.raises(RuntimeError):
        snapshot.write(path, broken(), 0.0)
    assert list(snapshot.read(path, 0.0)) == ITEMS
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_what_was_there(path: Path) -> None:
    """OSError, and the former file."""
    snapshot.write(path, ITEMS, 0.0)
    program = (
        "import sys; from pathlib import Path; from gateway.cache import snapshot\n"
        "from tests.unit.cache.stored import entry\n"
        "try: snapshot.write(Path(sys.argv[1]), [(bytes(32), entry(bytes(1 << 20)))], 0.0)\n"
        "except OSError: print('refused')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout.strip() == "refused"
    assert list(snapshot.read(path, 0.0)) == ITEMS
    assert os.listdir(path.parent) == [path.name]


def test_what_killed_writers_left_goes(path: Path) -> None:
    """That of a process that had our id at once, others' when an hour old: one may be writing now."""
    for pid, written in ((os.getpid(), 9000.0), (1, 9000.0), (2, 1000.0)):
        left = path.with_name(f"{path.name}.{pid}.tmp")
        left.write_bytes(b"half")
        os.utime(left, (written, written))
    assert snapshot.write(path, [], 9100.0) == 0
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.1.tmp"]
