"""What a process may use of its machine, from trees laid out like /proc and /sys/fs/cgroup."""

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from evaluation.host import available_cores, host, memory_available_bytes, memory_limit_bytes

GIB = 2**30
NO_LIMIT_V1 = "9223372036854771712"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 8 cores and 64 GiB of memory, of which 32 GiB are available."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    memory = SimpleNamespace(total=64 * GIB, available=32 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files below ``root``, each with a final newline as the kernel does."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    """No /proc/self/cgroup at all: affinity and physical memory."""
    assert available_cores(tmp_path) == 8.0
    assert memory_limit_bytes(tmp_path) == 64 * GIB
    assert memory_available_bytes(tmp_path) == 32 * GIB


def test_version_2_quota_of_one_and_a_half_cores(tmp_path: Path) -> None:
    """150 ms of every 100 ms are 1.5 cores."""
    root = tree(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"})
    assert available_cores(root) == 1.5


def test_version_2_without_limits(tmp_path: Path) -> None:
    """``max`` is no limit."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "max 100000",
            "sys/fs/cgroup/memory.max": "max",
            "sys/fs/cgroup/memory.current": str(5 * GIB),
        },
    )
    assert available_cores(root) == 8.0
    assert memory_limit_bytes(root) == 64 * GIB
    assert memory_available_bytes(root) == 32 * GIB


def test_version_2_page_cache_that_can_be_dropped_is_available(tmp_path: Path) -> None:
    """Of 15 GiB in a container of 16, 10 are cached files not in use: 11 GiB can still be had, not 1."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(16 * GIB),
            "sys/fs/cgroup/memory.current": str(15 * GIB),
            "sys/fs/cgroup/memory.stat": f"anon {4 * GIB}\nfile {11 * GIB}\ninactive_file {10 * GIB}",
        },
    )
    assert memory_limit_bytes(root) == 16 * GIB
    assert memory_available_bytes(root) == 11 * GIB


def test_limit_of_a_group_above_binds_too(tmp_path: Path) -> None:
    """The tightest limit between the process's own group and the top counts."""
    group = "sys/fs/cgroup/user.slice/app.scope"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/app.scope",
            f"{group}/cpu.max": "400000 100000",
            f"{group}/memory.max": str(20 * GIB),
            f"{group}/memory.current": str(1 * GIB),
            "sys/fs/cgroup/user.slice/cpu.max": "300000 100000",
            "sys/fs/cgroup/user.slice/memory.max": str(24 * GIB),
            "sys/fs/cgroup/user.slice/memory.current": str(22 * GIB),
        },
    )
    assert available_cores(root) == 3.0
    assert memory_limit_bytes(root) == 20 * GIB
    assert memory_available_bytes(root) == 2 * GIB


def test_neighbouring_group_does_not_bind(tmp_path: Path) -> None:
    """A limit on another group is somebody else's."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/mine",
            "sys/fs/cgroup/mine/cpu.max": "max 100000",
            "sys/fs/cgroup/other/cpu.max": "50000 100000",
        },
    )
    assert available_cores(root) == 8.0


def test_version_1_quota_and_limit(tmp_path: Path) -> None:
    """Controllers mounted one by one, cpu together with cpuacct as the distributions do."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": str(8 * GIB),
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": str(7 * GIB),
            "sys/fs/cgroup/memory/docker/abc/memory.stat": f"inactive_file 1\ntotal_inactive_file {3 * GIB}",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(30 * GIB),
        },
    )
    assert available_cores(root) == 2.5
    assert memory_limit_bytes(root) == 8 * GIB
    assert memory_available_bytes(root) == 4 * GIB


def test_version_1_without_limits(tmp_path: Path) -> None:
    """A quota of -1 and the largest number of pages are no limits; an empty version 2 beside it changes nothing."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n1:cpu:/\n0::/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(3 * GIB),
            "sys/fs/cgroup/unified/cgroup.controllers": "",
        },
    )
    assert available_cores(root) == 8.0
    assert memory_limit_bytes(root) == 64 * GIB
    assert memory_available_bytes(root) == 32 * GIB


@pytest.mark.parametrize("outside_path", ["/kubepods/pod1/abc", "/../../abc"])
def test_path_that_only_exists_outside_the_container(tmp_path: Path, outside_path: str) -> None:
    """The process's group is named as seen from outside; the mount inside shows the group itself."""
    root = tree(
        tmp_path / "root",
        {
            "proc/self/cgroup": f"4:memory:{outside_path}\n1:cpu:{outside_path}\n0::{outside_path}",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(1 * GIB),
        },
    )
    assert available_cores(root) == 0.5
    assert memory_limit_bytes(root) == 2 * GIB
    assert memory_available_bytes(root) == 1 * GIB


def test_affinity_below_the_quota_counts(tmp_path: Path) -> None:
    """A quota of 12 cores on 8 usable ones is 8."""
    root = tree(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1200000 100000"})
    assert available_cores(root) == 8.0


def test_usage_above_the_limit_leaves_nothing(tmp_path: Path) -> None:
    """A group may be over its limit for a moment; that is zero bytes, not a negative number."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/memory.current": str(2 * GIB),
        },
    )
    assert memory_available_bytes(root) == 0


def test_fingerprint_names_the_machine_and_the_engine(tmp_path: Path) -> None:
    """Processor, cores, memory, system and engine version, and a short key for file names."""
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU 9000\nflags\t: avx2",
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/cgroup/memory.max": str(16 * GIB),
        },
    )
    fingerprint = host(root)
    assert (fingerprint.cpu, fingerprint.cores, fingerprint.memory_bytes) == ("Some CPU 9000", 2.0, 16 * GIB)
    assert fingerprint.engine.startswith("llama-cpp-python ")
    assert len(fingerprint.key) == 12
    assert int(fingerprint.key, 16) >= 0


def test_fingerprint_tells_machines_apart_but_not_reboots(tmp_path: Path) -> None:
    """Another quota is another host; a few pages more or less after a reboot are not."""

    def key(name: str, cpu_max: str, memory_bytes: int) -> str:
        files = {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": cpu_max,
            "sys/fs/cgroup/memory.max": str(memory_bytes),
        }
        return host(tree(tmp_path / name, files)).key

    first = key("first", "200000 100000", 16 * GIB)
    assert key("rebooted", "200000 100000", 16 * GIB - 12 * 4096) == first
    assert key("smaller", "100000 100000", 16 * GIB) != first
    assert key("less memory", "200000 100000", 8 * GIB) != first
