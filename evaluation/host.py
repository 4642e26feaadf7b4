"""What this process may really use of its machine: cores and memory inside a container, and a fingerprint for records.

A container's limits stand in its control group, not in the machine's own figures, so both are read and the smaller
one counts. A process is bound by the limits of its own group and of every group above it. Both
versions of the interface are in use, and some machines mount both.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from evaluation.records import Host

ROOT = Path("/")


def available_cores(root: Path = ROOT) -> float:
    """Cores this process can keep busy: its affinity, bounded by the container's quota. 1.5 is a possible answer."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = []
    for group in _groups(root, "cpu"):
        version_1 = [_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")]
        for quota in (_words(group / "cpu.max"), version_1):
            match [_number(microseconds) for microseconds in quota]:
                case [int(quota_us), int(period_us)] if quota_us and period_us:
                    quotas.append(quota_us / period_us)
    return min([float(affinity), *quotas])


def memory_limit_bytes(root: Path = ROOT) -> int:
    """Memory this process could use if nothing else ran: the container's limit or the machine's memory."""
    physical: int = psutil.virtual_memory().total
    return min([physical, *(limit for limit, _ in _memory_groups(root))])


def memory_available_bytes(root: Path = ROOT) -> int:
    """Memory that can still be allocated without swapping or being killed.

    Page cache that the kernel gives back on demand (``inactive_file``) does not count as used: after a model file
    was read, most of a container's usage is that.
    """
    free: int = psutil.virtual_memory().available
    return max(0, min([free, *(limit - used for limit, used in _memory_groups(root))]))


@cache
def host(root: Path = ROOT) -> Host:
    """The fingerprint of this machine as this process sees it, read once."""
    cpu = _cpu_model(root)
    cores = available_cores(root)
    memory_bytes = memory_limit_bytes(root)
    release = ".".join(platform.release().split(".")[:2])
    system = f"{platform.system()} {release} {platform.machine()}"
    engine = f"llama-cpp-python {metadata.version('llama-cpp-python')}"
    # A reboot moves the total by a few pages; that is still the same machine.
    memory_steps = round(memory_bytes / 2**28)
    fingerprint = json.dumps([cpu, cores, memory_steps, system, engine])
    key = hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
    return Host(key, cpu, cores, memory_bytes, system, engine)


def _cpu_model(root: Path) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.machine()


def _memory_groups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used without reclaimable page cache) in bytes of every group that limits this process's memory."""
    files = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for group in _groups(root, "memory"):
        for limit_file, usage_file, reclaimable_name in files:
            limit = _number(_text(group / limit_file))
            if limit is None:
                continue
            statistics = _words(group / "memory.stat")
            values = dict(zip(statistics[::2], statistics[1::2], strict=False))
            used = (_number(_text(group / usage_file)) or 0) - (_number(values.get(reclaimable_name, "")) or 0)
            yield limit, max(0, used)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups this process is in, its own first, then each one above it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts = root / "sys/fs/cgroup"
        if controllers == "":
            unified = mounts / "unified"  # where version 2 is mounted beside version 1
            mount = unified if unified.is_dir() else mounts
        elif controller in controllers.split(","):
            mount = mounts / controllers if (mounts / controllers).is_dir() else mounts / controller
        else:
            continue
        own = mount / path.strip("/")
        if not own.is_dir():
            # Inside a container the path may be the one outside; the mount then shows the container's own group.
            own = mount
        yield own
        yield from (folder for folder in own.parents if folder.is_relative_to(mount))


def _number(text: str) -> int | None:
    """The figure in a control file; ``max``, ``-1`` and an absent file all mean that there is none."""
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _words(path: Path) -> list[str]:
    return _text(path).split()
