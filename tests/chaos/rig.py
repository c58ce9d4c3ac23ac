"""What a run needs from the machine: its folder, loop filesystems that can lose power, and the certainty that nothing stays behind."""

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PREFIX = "chronik-chaos-"
# _IOR('X', 125, u32) of linux/fs.h; flag 2: neither data nor the filesystem's own journal is written out.
FS_IOC_SHUTDOWN = 0x8004587D
NO_FLUSH = 2
UNMOUNT_TIMEOUT_S = 10


class Failure(Exception):
    """Something did not do what the test promises."""


class Late(Failure):
    """A state that was waited for did not come."""


class NotStarted(Failure):
    """The broker ended while it started, or did not become ready."""


class Missing(Exception):
    """This machine cannot run the test; the text says what it lacks."""


def command(*arguments, check=True):
    done = subprocess.run([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise Failure(f"`{' '.join(map(str, arguments))}` failed: {done.stdout.strip()}")
    return done.stdout


def await_state(what, condition, timeout_s, every_s=0.01):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Late(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)
    return value


class Workspace:
    """A folder named after this process. Entering removes what dead processes left; leaving unmounts and removes everything."""

    def __init__(self, name, keep=False):
        self.name, self.keep = name, keep

    def __enter__(self):
        sweep()
        # A signal must unwind like an error, so that mounts and processes go too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: sys.exit(128 + received))
        self.dir = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{self.name}-"))
        return self

    def __exit__(self, kind, value, trace):
        unmount_below(self.dir)
        never_ran = kind is not None and issubclass(kind, Missing)
        wrong = kind is not None and issubclass(kind, Exception)
        if (self.keep or wrong) and not never_ran:
            print(f"kept: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def mounts():
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, where = line.split()[:2]
        yield device, Path(where.encode().decode("unicode_escape"))


def unmount_below(folder):
    """Whether anything was mounted there."""
    found = False
    for device, where in reversed(list(mounts())):
        if folder in (where, *where.parents):
            command("umount", "--lazy", where, check=False)
            command("losetup", "--detach", device, check=False)  # `mount -o loop` detaches by itself; this is for when it did not
            found = True
    return found


def sweep():
    """Mounts of earlier runs whose process was killed, with their folders. A folder without a mount was kept on purpose."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = re.match(rf"{PREFIX}(\d+)-", folder.name)
        if pid and not Path(f"/proc/{pid[1]}").exists() and unmount_below(folder):
            shutil.rmtree(folder, ignore_errors=True)


def need_loop_devices():
    if os.geteuid() != 0:
        raise Missing("needs root, to mount filesystems of its own")
    if not Path("/dev/loop-control").exists():
        raise Missing("needs loop devices (/dev/loop-control)")


def filesystems():
    return [fs for fs in ("ext4", "xfs") if shutil.which(f"mkfs.{fs}")]


class LoopDisk:
    """A filesystem in a sparse file, mounted at `path`, whose power can be cut."""

    OPTIONS = {"ext4": ("-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"), "xfs": ("-q", "-f")}

    def __init__(self, folder, name, megabytes, fs="ext4"):
        need_loop_devices()
        if shutil.which(f"mkfs.{fs}") is None:
            raise Missing(f"needs mkfs.{fs}")
        self.image, self.path, self.fs = folder / f"{name}.img", folder / name, fs
        self.path.mkdir()
        with self.image.open("wb") as image:
            image.truncate(megabytes << 20)
        command(f"mkfs.{fs}", *self.OPTIONS[fs], self.image)
        self.mount()

    def mount(self):
        """The filesystem replays its own journal here, as after a real power cut."""
        try:
            command("mount", "-t", self.fs, "-o", "loop", self.image, self.path)
        except Failure as error:
            raise Missing(f"cannot mount a loop device: {error}") from error

    def unmount(self):
        def gone():
            # Busy for as long as a killed process is not quite gone.
            return subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0
        await_state(f"umount {self.path}", gone, UNMOUNT_TIMEOUT_S)

    def cut_power(self):
        """From here on nothing reaches the disk, and what was not synced is lost."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_FLUSH))
        finally:
            os.close(fd)

    def remount(self):
        self.unmount()
        self.mount()

    def sync(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
            command("sync", "--file-system", self.path)
        finally:
            os.close(fd)
