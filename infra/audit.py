"""The pinned packages against what is known of their faults: `make audit`, in CI too.

    python infra/audit.py

Exit 1 where a package has a known vulnerability that infra/audit-allowed.txt does not name with a
reason, or where installed packages do not fit each other. Where no vulnerability service can be
asked (a network without one) it says so, and exits 0: nothing is known then, good or bad.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parent
LIMIT_S = 240
SERVICES = ("pypi", "osv")


def main() -> int:
    """Ask, say, and return the exit code."""
    fits = subprocess.run([sys.executable, "-m", "pip", "check"], check=False).returncode == 0
    pinned = (INFRA / "constraints.txt").read_text()
    # A service that knows none of a few widely used packages knows no others either.
    few = "\n".join(
        line for line in pinned.splitlines() if line.startswith(("boto3==", "urllib3=="))
    )
    service = next((service for service in SERVICES if asked(service, few)), None)
    report = asked(service, pinned) if service else None
    code, said = judged(report, allowed((INFRA / "audit-allowed.txt").read_text()))
    print(said)
    return code if fits else 1


def asked(service: str, requirements: str) -> Mapping[str, Any] | None:
    """pip-audit's report; None where the service cannot be asked."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
    command += ["--requirement", "/dev/stdin", "--no-deps", "--disable-pip", "--timeout", "5"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=requirements,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    known = [one for one in report["dependencies"] if "skip_reason" not in one]
    return dict(report) if known else None


def judged(report: Mapping[str, Any] | None, accepted: Mapping[str, str]) -> tuple[int, str]:
    """Exit code, and what to say."""
    if report is None:
        return 0, (
            f"NOT AUDITED: none of {', '.join(SERVICES)} could be asked from here; run `make "
            "audit` where one can be reached"
        )
    said, found = [], 0
    for package in report["dependencies"]:
        for fault in package.get("vulns", ()):
            reason = next(
                (accepted[id] for id in (fault["id"], *fault["aliases"]) if id in accepted), None
            )
            found += reason is None
            mended = ", ".join(fault["fix_versions"]) or "none yet"
            said.append(
                f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}"
                + (f" (accepted: {reason})" if reason else "")
            )
    skipped = sum("skip_reason" in package for package in report["dependencies"])
    audited = len(report["dependencies"]) - skipped
    said.append(f"{audited} packages audited, {skipped} unknown to the service, {found} faults")
    if found:
        said.append(
            "raise the version in infra/constraints.txt, or accept it with a reason in "
            "infra/audit-allowed.txt"
        )
    return int(found > 0), "\n".join(said)


def allowed(text: str) -> dict[str, str]:
    """ID to reason. Raises SystemExit for a line without a reason."""
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            id, _, reason = line.strip().partition(" ")
            if not reason.strip():
                raise SystemExit(
                    f"infra/audit-allowed.txt: {id} has no reason; write one behind it"
                )
            found[id] = reason.strip()
    return found


if __name__ == "__main__":
    sys.exit(main())
