"""Test results of every ecosystem's runner as one list of cases."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Case:
    name: str
    outcome: str
    seconds: float
    detail: str = ""


def from_junit(folder):
    """All cases of the JUnit XML files in a folder (pytest, the JUnit console, node's test runner)."""
    return [case for path in sorted(folder.glob("*.xml")) for case in _junit_file(path)]


def _junit_file(path):
    for element in ElementTree.parse(path).iter("testcase"):
        outcome, detail = PASSED, ""
        for child in element:
            if child.tag in ("failure", "error"):
                outcome, detail = FAILED, (child.get("message") or "") + "\n" + (child.text or "")
            elif child.tag == "skipped":
                outcome, detail = SKIPPED, child.get("message") or ""
        name = ".".join(filter(None, (element.get("classname"), element.get("name"))))
        yield Case(name, outcome, float(element.get("time") or 0), detail)


def from_go_json(text):
    """Leaf tests of `go test -json`: a test with subtests counts by these."""
    outcomes, output = {}, {}
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        name = event.get("Test")
        if event["Action"] in ("output", "build-output"):
            output.setdefault(name, []).append(event["Output"])
        elif name and event["Action"] in ("pass", "fail", "skip"):
            outcomes[name] = (event["Action"], event.get("Elapsed", 0), event.get("Package", ""))
        elif event["Action"] == "fail":
            outcomes.setdefault(None, ("fail", event.get("Elapsed", 0), event.get("Package", "")))
    words = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}
    names = [name for name in outcomes if name]
    cases = []
    for name in names:
        if not any(other.startswith(name + "/") for other in names):
            action, seconds, package = outcomes[name]
            cases.append(Case(f"{package.rsplit('/', 1)[-1]}.{name}", words[action], seconds, "".join(output.get(name, []))))
    if None in outcomes and not any(case.outcome == FAILED for case in cases):
        cases.append(Case("the package", FAILED, 0, "".join(output.get(None, []))))
    return cases
