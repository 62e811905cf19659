"""A recipe lies in the lake and stands on the dashboard: no secret gets into one, nor into what is
said of it."""

from __future__ import annotations

import pytest
import yaml
from factory import STARTER

from cord.errors import CordError, RecipeError
from cord.lake import open_lake
from cord.recipe_file import parse_recipe

SECRET = "hunter2-planted"


def teacher(**changes: object) -> dict[str, object]:
    return {"teachers": [{"name": "qwq", "model": "Qwen/QwQ-32B", **changes}]}


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (teacher(url=f"https://me:{SECRET}@gpu-1:8000/v1"), "api_key_env"),
        (teacher(url=f"https://{SECRET}@gpu-1/v1"), "api_key_env"),
        (teacher(url=f"https://gpu-1:8000/v1?key={SECRET}"), "api_key_env"),
        (teacher(api_key=SECRET), "api_key"),
        (teacher(serve={"arguments": ["--api-key", SECRET]}), "api_key_env"),
        (teacher(serve={"arguments": [f"--api_key={SECRET}"]}), "api_key_env"),
        (teacher(serve={"arguments": [f"--hf-token={SECRET}"]}), "HF_TOKEN"),
        ({"problems": {"path": f"s3://KEY:{SECRET}@bucket/problems.jsonl"}}, "AWS_ACCESS_KEY_ID"),
        ({"problems": {"path": f"https://me:{SECRET}@host/p.jsonl"}}, "environment"),
        ({"problems": {"path": f"https://host/p.jsonl?sig={SECRET}"}}, "environment"),
        ({"decontaminate": [f"s3://KEY:{SECRET}@bucket/set.jsonl"]}, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_recipe_with_a_secret_is_refused_and_not_repeated(
    changes: dict[str, object], remedy: str
) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(yaml.safe_dump({**STARTER, **changes}))
    assert remedy in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_lakes_address_with_keys_is_refused_and_not_repeated() -> None:
    with pytest.raises(CordError) as raised:
        open_lake(f"s3://KEY:{SECRET}@bucket/lake")
    assert "AWS_ACCESS_KEY_ID" in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["http://me:{}@127.0.0.1:9", "me:{}@127.0.0.1:9"])
def test_an_endpoint_with_a_password_is_refused_and_not_repeated(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.format(SECRET))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(CordError) as raised:
        open_lake("s3://bucket/lake")
    assert "AWS_ENDPOINT_URL" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_what_looks_like_a_secret_and_is_none_passes() -> None:
    for path in ("s3://bucket/a@b?c.jsonl", "data/me@home.jsonl", "GAIR/LIMO"):
        changed = {**STARTER, "problems": {"path": path}}
        assert parse_recipe(yaml.safe_dump(changed)).problems.path == path
