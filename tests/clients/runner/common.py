"""Paths, errors and subprocess helpers of the runner."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
CACHE = Path(os.environ.get("CLIENTS_CACHE", HERE / ".cache"))
KAFKA_SH = HERE / "kafka.sh"
INSTALL_TIMEOUT_S = 900


class SetupError(Exception):
    """Something the run needs is missing or failed; the text says what to do."""


def need(program, what):
    if shutil.which(program) is None:
        raise SetupError(f"`{program}` is not installed: {what}")


def command(arguments, *, cwd=None, env=None, timeout=INSTALL_TIMEOUT_S):
    """Runs an installation step; its output is shown only when it fails."""
    result = subprocess.run(
        [str(a) for a in arguments], cwd=cwd, env=env, timeout=timeout, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if result.returncode:
        raise SetupError(f"`{' '.join(map(str, arguments))}` failed:\n{result.stdout[-4000:]}")
    return result.stdout


def fingerprint(paths):
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def once(name, paths, install):
    """Runs `install` unless it succeeded before with the same content of `paths`."""
    stamp, wanted = CACHE / f"{name}.stamp", fingerprint(paths)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    install()
    stamp.write_text(wanted)
