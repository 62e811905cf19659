"""infra/compose.yaml and what it mounts, read by the programs that they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INFRA = Path(__file__).parents[2] / "infra"
BIN = Path(sys.executable).parent
FILES = {
    "here": ("compose.yaml",),
    "elsewhere": ("compose.yaml", "compose.elsewhere.yaml"),
    "gpu-host": ("compose.yaml", "compose.gpu-host.yaml"),
}
FILLED_IN = {"CORD_HOST": "cord.example.org", "CORD_TLS": "internal"}
AS_ROOT = {"prepare"}
"""It gives the volumes to their users, and ends."""


def program(name: str) -> str:
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"there is no {name}; infra/install-validators.sh installs it")
    return found


def composed(files: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    named = [argument for name in files for argument in ("-f", str(INFRA / name))]
    return subprocess.run(
        [program("docker-compose"), *named, "--profile", "*", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", params=FILES.values(), ids=FILES.keys())
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    """All services, as compose understands the files."""
    done = composed(request.param, **FILLED_IN)
    assert done.stdout.strip(), done.stderr
    assert "level=warning" not in done.stderr
    return dict(json.loads(done.stdout)["services"])


def test_each_is_pinned_bounded_and_may_nothing(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?[\w.-]*$", service["image"]), (name, service["image"])
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert (int(service["user"].split(":")[0]) == 0) is (name in AS_ROOT), name
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"] and limits["cpus"] and limits["pids"], name
        assert not service.get("privileged") and service.get("network_mode") != "host", name
        assert service["logging"]["options"]["max-size"], name


def test_what_runs_on_is_looked_at(services: dict[str, Any]) -> None:
    for name, service in services.items():
        lasting = service.get("restart", "no") != "no"
        assert lasting is ("healthcheck" in service), name


def test_only_proxies_are_reached_from_outside_and_only_by_tls(services: dict[str, Any]) -> None:
    published = {name for name, service in services.items() if service.get("ports")}
    assert published <= {"caddy", "teachers-gate"}
    ports = {port["published"] for name in published for port in services[name]["ports"]}
    assert ports == {"80", "443"}  # 80 leads to 443


def test_no_secret_stands_in_an_environment_or_a_command(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|API_KEY|AUTH_STRING|ACCESS_KEY", variable):
                assert variable.endswith("_FILE") and value.startswith("/run/secrets/"), name
        for word in [*(service.get("command") or []), *(service.get("entrypoint") or [])]:
            assert not re.search(r"--(api-key|password|token)\b", word), name


def test_prefect_asks_who_is_there(services: dict[str, Any]) -> None:
    variable = "PREFECT_SERVER_API_AUTH_STRING_FILE"
    assert services["prefect"]["environment"][variable] == "/run/secrets/prefect_auth_string"


@pytest.mark.parametrize("missing", ["CORD_HOST", "CORD_TLS"])
def test_what_a_person_must_say_is_asked_for(missing: str) -> None:
    done = composed(
        FILES["here"], **{name: value for name, value in FILLED_IN.items() if name != missing}
    )
    assert not done.stdout.strip()  # PyPI's build of compose ends with 0 whatever it says
    assert missing in done.stderr and "infra/.env" in done.stderr


def test_the_example_of_env_holds_names_only() -> None:
    lines = (INFRA / ".env.example").read_text().splitlines()
    said = [line for line in lines if line and not line.startswith("#")]
    assert said and all(re.fullmatch(r"[A-Z0-9_]+=", line) for line in said)


def test_secrets_are_strong_kept_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = [str(INFRA / "make-secrets.sh"), str(folder)]
    said = subprocess.run(make, check=True, capture_output=True, text=True).stdout
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made = {path.name: path.read_text() for path in folder.iterdir()}
    for name, content in made.items():
        assert content not in said
        if name.endswith(("password", "secret_key", "api_key")):
            assert len(content) == 64 and len(set(content)) > 8, name
    assert made["prefect_auth_string"].startswith("cord:")
    assert len({*made.values()}) == len(made), "each is its own"
    (folder / "teacher_api_key").unlink()
    subprocess.run(make, check=True, capture_output=True)
    again = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in made if again[name] != made[name]} == {"teacher_api_key"}
    asked = {
        secret["file"].removeprefix("./secrets/")
        for secret in _yaml(INFRA / "compose.yaml")["secrets"].values()
    }
    assert asked == made.keys(), "compose mounts what is made"


def test_the_entry_reads_secrets_from_files_and_says_which_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame")
    ask = [str(INFRA / "entrypoint.sh"), "sh", "-c", "env"]
    base = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": "/etc/ca.pem"}
    done = subprocess.run(
        ask,
        env=base | {"TEACHER_API_KEY_FILE": str(tmp_path / "key")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TEACHER_API_KEY=sesame" in done.stdout.splitlines()
    assert "TEACHER_API_KEY_FILE" not in done.stdout
    assert "SSL_CERT_FILE=/etc/ca.pem" in done.stdout.splitlines()
    done = subprocess.run(
        ask,
        env=base | {"HF_TOKEN_FILE": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "HF_TOKEN_FILE" in done.stderr and "make-secrets.sh" in done.stderr


@pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.teachers"])
def test_caddy_takes_its_file(name: str) -> None:
    done = subprocess.run(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(INFRA / name)],
        env={"PATH": os.environ["PATH"], "HOME": "/tmp", **FILLED_IN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        [program("hadolint"), str(INFRA / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_image_is_pinned_and_nobody_is_root_in_it() -> None:
    lines = (INFRA / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
    assert lines.index("USER 10001:10001") > max(
        i for i, line in enumerate(lines) if line.startswith(("RUN", "COPY"))
    )
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*", "what is not named does not get into the image"
    assert not [line for line in ignored if line.startswith("!") and "secret" in line]


def test_promtool_takes_the_configuration_and_each_alert_comes_when_it_should() -> None:
    promtool, folder = program("promtool"), INFRA / "prometheus"
    for asked in (("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")):
        done = subprocess.run(
            [promtool, *asked], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = {
        test["alertname"]
        for group in _yaml(folder / "rules_test.yml")["tests"]
        for test in group["alert_rule_test"]
    }
    assert {"CordNoProgress", "TeacherDown", "CordQuarantineShare"} <= tested


def _yaml(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text())
