"""How the work is carried out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cord.recipe.section import Section


class RunSettings(Section):
    """How the work is carried out; only `seed` changes what comes out."""

    seed: int = 0
    shards: int = Field(default=8, ge=1, le=100_000)
    """Unit of retry and of commit."""
    in_flight: int = Field(default=64, ge=1)
    """Problems decoded at once, over all shards of a process (with `runner: ray`, of a worker)."""
    workers: int = Field(default=2, ge=1)
    """Shards decoded at once; with `runner: ray` the cluster's CPUs decide."""
    retries: int = Field(default=3, ge=0)
    """Of each task, and of a problem that fails as nobody foresaw, with growing, jittered waits."""
    on_teacher_lost: Literal["wait", "continue", "fail"] = "wait"
    """What a teacher's server that does not answer means: `wait` for it; `continue` the round
    without it (each record says who was missing), and ask it again later; `fail` the shard. A lost
    meta-prover is waited for, or fails."""
    teacher_deadline_s: Annotated[float, Field(gt=0, strict=False)] | None = None
    """How long a server may be away before that; by default an hour for `wait` (then the shard
    fails), a minute for `continue`, ten seconds for `fail`."""
    runner: Literal["threads", "ray"] = "threads"
    """Where shards are decoded: in the flow's own process, or by a Ray cluster's workers."""
    ray_address: str | None = Field(default=None, min_length=1, max_length=300)
    """`auto` (the cluster that this machine is a node of), `HOST:6379` or `ray://HOST:10001`; by
    default RAY_ADDRESS, else `auto`."""
    ray_cpus: Annotated[float, Field(ge=0, strict=False)] = 1.0
    """What one shard takes of a node's CPUs."""
    ray_resources: dict[str, Annotated[float, Field(gt=0, strict=False)]] = Field(
        default_factory=dict
    )
    """What one shard takes else: `{GPU: 1}`, or a resource that nodes were started with."""

    @field_validator("ray_resources")
    @classmethod
    def _only_others(cls, given: dict[str, float]) -> dict[str, float]:
        if "CPU" in given:
            raise ValueError("CPUs are given by `ray_cpus`")
        return given

    @property
    def patience_s(self) -> float:
        """How long a server may be away."""
        usual = {"wait": 3600.0, "continue": 60.0, "fail": 10.0}
        return self.teacher_deadline_s or usual[self.on_teacher_lost]
