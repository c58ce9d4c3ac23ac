"""Lets the syncs of an unmodified broker do nothing or fail, by a library that is compiled here and preloaded into it."""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

from rig import Missing

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("CHAOS_CACHE", HERE / ".cache"))


def library():
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Missing("needs a C compiler (cc)")
    source, built = HERE / "syncfault.c", CACHE / "syncfault.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        CACHE.mkdir(exist_ok=True)
        half = built.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", half, source, "-ldl"], check=True)
        half.rename(built)
    return built


class SyncFault:
    """`mode` is skip or fail; `path` is a part of the paths that are meant. With `armed=False` it waits for `arm()`."""

    def __init__(self, folder, mode, path, armed=True):
        self.path = path
        self.when = folder / "syncfault.armed"
        stats = folder / "syncfault.stats"
        stats.write_bytes(bytes(16))
        self.stats = mmap.mmap(os.open(stats, os.O_RDWR), 16)
        self.env = {"LD_PRELOAD": str(library()), "SYNCFAULT_MODE": mode, "SYNCFAULT_PATH": path,
                    "SYNCFAULT_WHEN": str(self.when), "SYNCFAULT_STATS": str(stats)}
        if armed:
            self.arm()

    def arm(self):
        self.when.touch()

    def hits(self):
        return struct.unpack_from("=Q", self.stats)[0]

    def first_hit(self):
        """CLOCK_MONOTONIC in nanoseconds."""
        return struct.unpack_from("=Q", self.stats, 8)[0]
