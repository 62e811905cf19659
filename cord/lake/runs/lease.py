"""Who carries out a run: one process at a time, by a lease in the lake.

    runs/RUN/lease/000007.json      the highest generation is the holder's

A generation is created only where there is none, so that of all who want it one gets it, on a
folder as on S3. Its holder rewrites only its own, with a later expiry. The next generation is made
when the present one is released, when its holder is a dead process of this host, or when it
expired more than `Terms.allowance_s` ago by the clock of whoever makes it.

What is promised: as long as clocks differ by less than the allowance, no two processes believe at
the same time that they hold a run. A renewal counts only if it was over before the expiry that it
prolongs, so that whoever finds the lease expired beyond the allowance has read what its holder
goes by. Where clocks differ by more, a run may be taken over from a holder that lives; that one
finds the higher generation at its next renewal and stops. Nothing is written twice even then: that
is held by the tables' transactions, not by the lease.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from cord.errors import LakeError, RunHeld, RunLost
from cord.lake.runs.holder import Holder, is_elsewhere, is_provably_dead, this_process
from cord.lake.stores.store import Store

_GENERATION = re.compile(r"/(\d{6,18})\.json$")
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease holds."""

    ttl_s: float = 60.0
    renew_every_s: float = 15.0
    allowance_s: float = 10.0
    """By so much clocks may differ; a lease is left alone for so long after its expiry."""


TERMS = Terms()


class Lease(BaseModel):
    """One generation, as it is in the lake."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    holder: Holder
    nonce: str
    """Of the attempt that made it: a put that was repeated knows its own by it."""
    taken_at: AwareDatetime
    renewed_at: AwareDatetime
    expires_at: AwareDatetime
    released_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that this process holds, until `lease.expires_at` at least."""

    generation: int
    lease: Lease


def present() -> datetime:
    """The present by this machine's clock, in UTC."""
    return datetime.now(UTC)


class Leases:
    """The leases of one run. Every method raises `LakeError` where the lake fails."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        holder: Holder | None = None,
        terms: Terms = TERMS,
        clock: Callable[[], datetime] = present,
        is_dead: Callable[[Holder], bool] = is_provably_dead,
    ) -> None:
        """`holder` is this process by default; `clock` and `is_dead` are what it knows of time
        and of other processes."""
        self._store = store
        self._run_id = run_id
        self._folder = f"runs/{run_id}/lease/"
        self._holder = holder or this_process()
        self._terms = terms
        self._clock = clock
        self._is_dead = is_dead

    def living(self) -> Lease | None:
        """The lease under which the run is being carried out; None when nobody does."""
        _, lease = self._latest()
        return lease if lease is not None and self._lives(lease) else None

    def refuse(self) -> None:
        """Raises `RunHeld` when another process is the holder."""
        self._refuse(self._latest()[1])

    def take(self) -> Held:
        """Become the holder. Raises `RunHeld` when another process is.

        What this very process has left behind is taken over: who works in it is for
        `cord.lake.runs.holding` to know."""
        nonce = uuid4().hex
        for _ in range(_TRIES):
            generation, lease = self._latest()
            if lease is not None and lease.nonce == nonce:
                return Held(generation, lease)
            self._refuse(lease)
            if (held := self._create(generation + 1, nonce)) is not None:
                return held
        raise LakeError(
            f"the lease of run {self._run_id} changes faster than it can be read; try again"
        )

    def renew(self, held: Held) -> Held:
        """Hold it for another `Terms.ttl_s`. Raises `RunLost` when another process has it.

        A holder that comes too late (it was suspended, say) takes the next generation, if nobody
        else has: then nobody else has carried the run out meanwhile."""
        now = self._clock()
        if now >= held.lease.expires_at:
            return self._take_again(held)
        self._check_latest(held)
        until = {"renewed_at": now, "expires_at": self._expiry(now)}
        renewed = Held(held.generation, held.lease.model_copy(update=until))
        self._write(renewed)
        return renewed if self._clock() < held.lease.expires_at else self._take_again(held)

    def release(self, held: Held) -> None:
        """Let the next one have it at once."""
        try:
            self._check_latest(held)
        except RunLost:
            return
        released = held.lease.model_copy(update={"released_at": self._clock()})
        self._write(Held(held.generation, released))

    def _refuse(self, lease: Lease | None) -> None:
        if lease is not None and lease.holder != self._holder and self._lives(lease):
            last = lease.renewed_at if is_elsewhere(lease.holder) else None
            raise RunHeld(_who_holds(self._run_id, lease, self._terms), last)

    def _take_again(self, held: Held) -> Held:
        self._check_latest(held)
        nonce = uuid4().hex
        again = self._create(held.generation + 1, nonce)
        if again is None:
            generation, lease = self._latest()
            if lease is None or lease.nonce != nonce:
                raise RunLost(_who_took(self._run_id, lease))
            again = Held(generation, lease)
        return again

    def _create(self, generation: int, nonce: str) -> Held | None:
        """Make this generation, and clear away the older ones; None when another was faster."""
        now = self._clock()
        lease = Lease(
            holder=self._holder,
            nonce=nonce,
            taken_at=now,
            renewed_at=now,
            expires_at=self._expiry(now),
        )
        if not self._store.create(self._key(generation), _content(lease)):
            return None
        there = self._generations()
        if max(there, default=0) != generation:
            # It was free because it is long over: others have made it, and deleted it since.
            self._store.delete([self._key(generation)])
            return None
        self._store.delete([self._key(older) for older in there if older < generation])
        return Held(generation, lease)

    def _check_latest(self, held: Held) -> None:
        generation, lease = self._latest()
        is_ours = lease is None or lease.nonce == held.lease.nonce
        if generation != held.generation or not is_ours:
            raise RunLost(_who_took(self._run_id, lease))

    def _latest(self) -> tuple[int, Lease | None]:
        """The highest generation; 0 where there is none. One that is no lease holds nobody up: a
        holder that lives mends it within `Terms.renew_every_s`, or stops."""
        for _ in range(_TRIES):
            if not (there := self._generations()):
                return 0, None
            content = self._store.read(self._key(max(there)))
            if content is None:
                continue  # a higher one has been made since
            try:
                return max(there), Lease.model_validate_json(content)
            except ValidationError:
                return max(there), None
        raise LakeError(f"{self._folder} in the lake lists what it does not have; try again")

    def _lives(self, lease: Lease) -> bool:
        if lease.released_at is not None or self._is_dead(lease.holder):
            return False
        return self._clock() < lease.expires_at + timedelta(seconds=self._terms.allowance_s)

    def _generations(self) -> set[int]:
        found = (_GENERATION.search(key) for key in self._store.list(self._folder))
        return {int(match[1]) for match in found if match}

    def _write(self, held: Held) -> None:
        self._store.write(self._key(held.generation), _content(held.lease))

    def _key(self, generation: int) -> str:
        return f"{self._folder}{generation:06d}.json"

    def _expiry(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._terms.ttl_s)


def _content(lease: Lease) -> bytes:
    return lease.model_dump_json(indent=2).encode() + b"\n"


def moment(at: datetime) -> str:
    """A moment, for people."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _who_holds(run_id: str, lease: Lease, terms: Terms) -> str:
    return (
        f"run {run_id} is being carried out by {lease.holder.name} since {moment(lease.taken_at)} "
        f"(its lease was renewed at {moment(lease.renewed_at)} and holds until "
        f"{moment(lease.expires_at)}): wait for it, `cord status {run_id}` tells how far it is, or "
        f"stop it there; if it is dead, it can be resumed {terms.ttl_s + terms.allowance_s:.0f} s "
        "after its last renewal"
    )


def _who_took(run_id: str, lease: Lease | None) -> str:
    if lease is None:
        return f"the lease of run {run_id} was taken out of the lake; this process has stopped"
    return (
        f"run {run_id} was taken over by {lease.holder.name} at {moment(lease.taken_at)}, when "
        "this process did not renew its lease in time; it has stopped, and the other one goes on"
    )
