"""The suites: what each installs, and the command that runs it and leaves its results."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .common import CACHE, HERE, KAFKA_SH, SetupError, command, need, once
from .results import FAILED, Case, from_go_json, from_junit

SUITE_TIMEOUT_S = 300
PYTHON = CACHE / "python/bin/python"
JAVA_CLASSES = CACHE / "java/classes"


@dataclass
class Outcome:
    cases: list[Case]
    output: str = field(repr=False, default="")


class Suite:
    name: str

    def install(self):
        raise NotImplementedError

    def run(self, env, pattern, results: Path) -> Outcome:
        raise NotImplementedError


def execute(arguments, cwd, env):
    try:
        done = subprocess.run(
            [str(a) for a in arguments], cwd=cwd, env=env, timeout=SUITE_TIMEOUT_S, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
        )
    except subprocess.TimeoutExpired as late:
        output = late.output.decode(errors="replace") if isinstance(late.output, bytes) else late.output or ""
        return 124, output + f"\nended after {SUITE_TIMEOUT_S} s"
    return done.returncode, done.stdout


def outcome(code, output, cases):
    """A runner that failed without a failed test (it crashed, or found none) is a failure too."""
    if not cases or (code and all(case.outcome != FAILED for case in cases)):
        cases = [*cases, Case("the runner itself", FAILED, 0, output[-6000:])]
    return Outcome(cases, output)


def install_java():
    need("javac", "a Java 17 JDK (Debian package openjdk-17-jdk-headless)")
    command([KAFKA_SH, "install"])
    sources = sorted((HERE / "java/src").rglob("*.java"))

    def build():
        command(["javac", "--release", "17", "-Xlint:all,-processing,-classfile", "-Werror", "-proc:none", "-d", JAVA_CLASSES,
                 "-cp", CACHE / "kafka/lib/*", *sources])

    once("java", [*sources, HERE / "kafka/pom.xml"], build)


def install_python():
    need("python3", "Python 3.11 or newer with venv")
    requirements = HERE / "python/requirements.txt"

    def build():
        command([sys.executable, "-m", "venv", "--clear", CACHE / "python"])
        command([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])

    once("python", [requirements], build)


def install_node():
    need("node", "Node.js 20 or newer")
    need("npm", "the package manager of Node.js")
    files = [HERE / "node/package.json", HERE / "node/package-lock.json"]

    def build():
        target = CACHE / "node"
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            (target / file.name).write_bytes(file.read_bytes())
        command(["npm", "ci", "--no-fund", "--no-audit"], cwd=target)

    once("node", files, build)


def install_go():
    need("go", "Go 1.24 or newer")
    folder = HERE / "go"
    sources = [*folder.rglob("*.go"), folder / "go.mod", folder / "go.sum"]

    def build():
        command(["go", "build", "-o", CACHE / "go/interop", "./interop"], cwd=folder)
        for package in ("franz", "sarama"):
            command(["go", "test", "-c", "-o", CACHE / f"go/{package}.test", f"./{package}"], cwd=folder)

    once("go", sources, build)


def install_kcat():
    from shutil import which
    if which("kcat") is None:
        need("apt-get", "the Debian package kcat is wanted")
        command(["apt-get", "update"])
        command(["apt-get", "install", "-y", "--no-install-recommends", "kcat"], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


class Pytest(Suite):
    def __init__(self, name, *installs):
        self.name, self.installs = name, (install_python, *installs)

    def install(self):
        for install in self.installs:
            install()

    def run(self, env, pattern, results):
        arguments = [PYTHON, "-B", "-m", "pytest", f"--junitxml={results / 'pytest.xml'}"]
        if pattern:
            arguments += ["-k", pattern]
        return outcome(*execute(arguments, HERE / self.name, env), from_junit(results))


class Java(Suite):
    name = "java"

    def install(self):
        install_java()

    def run(self, env, pattern, results):
        log4j = f"-Dlog4j2.configurationFile={HERE / 'kafka/log4j2.properties'}"
        arguments = [
            "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog.level=ERROR", log4j, "-cp", f"{JAVA_CLASSES}:{CACHE / 'kafka/lib'}/*",
            "org.junit.platform.console.ConsoleLauncher", "execute", "--scan-classpath", JAVA_CLASSES,
            "--config=junit.jupiter.execution.timeout.default=60s", "--disable-banner", "--details=summary",
            f"--reports-dir={results}",
        ]
        if pattern:
            arguments.append(f"--include-methodname=.*{pattern}.*")
        return outcome(*execute(arguments, HERE / "java", env), from_junit(results))


class Node(Suite):
    name = "node"

    def install(self):
        install_node()

    def run(self, env, pattern, results):
        arguments = ["node", "--test", "--test-concurrency=1", "--test-reporter=junit", f"--test-reporter-destination={results / 'node.xml'}"]
        if pattern:
            arguments.append(f"--test-name-pattern={pattern}")
        arguments += sorted((HERE / "node").glob("*.test.js"))
        return outcome(*execute(arguments, HERE / "node", env), from_junit(results))


class Go(Suite):
    def __init__(self, package):
        self.name, self.package = package, package

    def install(self):
        install_go()

    def run(self, env, pattern, results):
        binary = CACHE / f"go/{self.package}.test"
        arguments = ["go", "tool", "test2json", "-t", "-p", self.package, binary, "-test.v=test2json", f"-test.timeout={SUITE_TIMEOUT_S}s"]
        if pattern:
            arguments.append(f"-test.run={pattern}")
        code, output = execute(arguments, HERE / "go" / self.package, env)
        return outcome(code, output, from_go_json(output))


SUITES = {
    suite.name: suite
    for suite in (
        Pytest("python"), Java(), Pytest("tools", install_java), Node(), Go("franz"), Go("sarama"),
        Pytest("kcat", install_kcat), Pytest("interop", install_java, install_node, install_go, install_kcat),
    )
}

__all__ = ["SUITES", "SetupError"]
