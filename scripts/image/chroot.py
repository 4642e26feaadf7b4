"""Commands inside another root folder, as a container engine runs them: own mounts, own process numbers, own user.

Each command has its own namespaces, so its mounts and processes vanish with it, however it ends. Needs root.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def command_in(
    root: Path,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str = "/",
    user: str = "0:0",
    binds: Mapping[Path, str] | None = None,
) -> list[str]:
    """A command line that runs ``command`` in ``root`` with this environment only, as ``uid:gid``.

    ``binds`` are files and folders of this machine and where they appear inside, writable as they are here.
    """
    where = shlex.quote(str(root))
    lines = [
        f"mount -t proc proc {where}/proc",
        f"mount -t tmpfs -o mode=755 tmpfs {where}/dev",
        f"mkdir -m 1777 {where}/dev/shm",
        f"ln -s /proc/self/fd {where}/dev/fd",
    ]
    lines += [f"touch {where}/dev/{name} && mount --bind /dev/{name} {where}/dev/{name}" for name in DEVICES]
    for source, target in (binds or {}).items():
        inside, outside = shlex.quote(f"{root}{target}"), shlex.quote(str(source))
        parent = shlex.quote(str(Path(f"{root}{target}").parent))
        lines.append(f"mkdir -p {parent} && [ -e {inside} ] || {'mkdir' if source.is_dir() else 'touch'} {inside}")
        lines.append(f"mount --bind {outside} {inside}")
    change = f"cd {shlex.quote(folder)} && exec {shlex.join(command)}"
    variables = [f"{name}={value}" for name, value in environment.items()]
    inner = ["chroot", f"--userspec={user}", "--groups=", str(root), "/usr/bin/env", "-i", *variables, "sh", "-c"]
    lines.append(f"exec {shlex.join([*inner, change])}")
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    return [*namespaces, "sh", "-ec", "\n".join(lines)]


def needs_root() -> str | None:
    """Why none of this can be done, as a sentence."""
    return None if os.geteuid() == 0 else "This needs root, for mounts and for chroot. Run it with sudo."
