"""The file system of the busybox image: the machine's own busybox, with the libraries that it needs, if any."""

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from .paths import ClusterError

DIRECTORIES = {"bin": 0o755, "etc": 0o755, "home": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755, "var/run": 0o755}
FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}
LINKED = re.compile(r"(?:=> )?(/\S+) \(0x")


def layer() -> bytes:
    """One uncompressed tar. Debian 12's busybox crashes in `wget -T`, anywhere; without -T it does not."""
    installed = shutil.which("busybox")
    if not installed:
        raise ClusterError("busybox is missing: apt-get install busybox-static")
    program = Path(installed)
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for directory, mode in DIRECTORIES.items():
            tar.addfile(entry(directory, tarfile.DIRTYPE, mode))
        add_file(tar, "bin/busybox", program.read_bytes(), 0o755)
        for library in _libraries(program):
            add_file(tar, library.removeprefix("/"), Path(library).read_bytes(), 0o755)
        for name in sorted(set(applets) - {"busybox"}):
            link = entry(f"bin/{name}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)
        for name, content in FILES.items():
            add_file(tar, name, content, 0o644)
    return buffer.getvalue()


def entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, mode
    return made


def add_file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    made = entry(name, tarfile.REGTYPE, mode)
    made.size = len(data)
    tar.addfile(made, io.BytesIO(data))


def _libraries(program: Path) -> list[str]:
    """The shared libraries of a program, the loader too; none when it is static."""
    return LINKED.findall(subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
