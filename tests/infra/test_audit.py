"""infra/audit.py: what it makes of pip-audit's report."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = Path(__file__).parents[2] / "infra" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAULT = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"], "description": ""}
REPORT: dict[str, Any] = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {"name": "holed", "version": "2.0", "vulns": [FAULT]},
        {"name": "own", "version": "3.0", "skip_reason": "not found"},
    ]
}


def test_a_known_fault_fails_and_says_what_mends_it(audit: ModuleType) -> None:
    code, said = audit.judged(REPORT, {})
    assert code == 1
    assert "holed 2.0: PYSEC-1, mended in 2.1" in said
    assert "2 packages audited, 1 unknown" in said


@pytest.mark.parametrize("id", ["PYSEC-1", "CVE-1"])
def test_an_accepted_one_passes_with_its_reason_shown(audit: ModuleType, id: str) -> None:
    code, said = audit.judged(REPORT, audit.allowed(f"# why\n{id}  never reached\n"))
    assert code == 0
    assert "never reached" in said


def test_none_is_accepted_without_a_reason(audit: ModuleType) -> None:
    with pytest.raises(SystemExit, match="CVE-1 has no reason"):
        audit.allowed("CVE-1\n")


def test_no_service_is_no_answer_and_is_said(audit: ModuleType) -> None:
    code, said = audit.judged(None, {})
    assert code == 0
    assert said.startswith("NOT AUDITED")
