"""Ready automations on the user's Prefect server: silent runs are marked, crashed ones tried again,
somebody is told.

They are the server's own: it acts by them whether cord runs or not, and they are changed, disabled
and deleted on its page Automations. Making them again brings them up to date. The first one every
run makes by itself (`flows.heartbeats`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import httpx
from prefect.automations import AutomationCore, ChangeFlowRunState, EventTrigger, Posture
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events import ResourceSpecification
from prefect.events.actions import SendNotification
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.types import SecretDict

from cord.errors import CordError, UsageError
from flows import heartbeats
from flows.serving import users_server
from tasks.events import CONTRACT_FAILED, RELEASE_PUBLISHED, SHARD_FAILED

RETRY = "cord: a crashed run is tried again"
NOTIFY_RUNS = "cord: tell of runs that crashed or failed"
NOTIFY_EVENTS = "cord: tell of releases, contracts and shards"
LONGEST_TRY = timedelta(days=30)
"""For so long the server remembers that a run has begun."""
BLOCK = "cord-notify"
"""The block that holds the address given as an environment variable."""
_RUN: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}
_REFRESH: dict[str, str | list[str]] = {
    "prefect.resource.role": "flow",
    "prefect.resource.name": "refresh",
}
_DEPLOYED: dict[str, str | list[str]] = {"prefect.resource.role": "deployment"}


def retry_automation(retries: int) -> AutomationCore:
    """A crashed run of a deployment is scheduled again, `retries` times at most: the event says how
    often the run has begun. After that it stays Crashed.

    So does one that died before it was Running: events have no count of such tries, and a process
    that cannot begin would be started for ever."""
    begun = [str(count) for count in range(1, retries + 1)]
    return AutomationCore(
        name=RETRY,
        description=f"Made by cord: at most {retries} times for each run of a deployment.",
        trigger=EventTrigger(
            match=ResourceSpecification({**_RUN, "prefect.run-count": begun}),
            match_related=[dict(_REFRESH), dict(_DEPLOYED)],
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Running"},
            expect={"prefect.flow-run.Crashed"},
            posture=Posture.Reactive,
            threshold=1,
            within=LONGEST_TRY,
        ),
        actions=[
            ChangeFlowRunState(
                name="AwaitingRetry",
                state=StateType.SCHEDULED,
                force=True,
                message="it crashed and is tried again: only what is missing is done",
            )
        ],
    )


def notify_automations(block: UUID) -> list[AutomationCore]:
    """A notification block is told of runs that ended badly, and of cord's own events."""
    of_runs = EventTrigger(
        match=ResourceSpecification(_RUN),
        match_related=[ResourceSpecification(_REFRESH)],
        for_each={"prefect.resource.id"},
        expect={"prefect.flow-run.Crashed", "prefect.flow-run.Failed"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    of_events = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "cord.run.*"}),
        for_each={"prefect.resource.id"},
        expect={RELEASE_PUBLISHED, CONTRACT_FAILED, SHARD_FAILED},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return [
        AutomationCore(
            name=NOTIFY_RUNS,
            description="Made by cord.",
            trigger=of_runs,
            actions=[
                SendNotification(
                    block_document_id=block,
                    subject="cord: {{ flow_run.name }} {{ flow_run.state.name }}",
                    body="{{ flow_run.name }} {{ flow_run.state.name }} at try "
                    "{{ flow_run.run_count }}: {{ flow_run.state.message }}"
                    "{% if flow_run|ui_url %}\n{{ flow_run|ui_url }}{% endif %}",
                )
            ],
        ),
        AutomationCore(
            name=NOTIFY_EVENTS,
            description="Made by cord.",
            trigger=of_events,
            actions=[
                SendNotification(
                    block_document_id=block,
                    subject="{{ event.event }}: {{ event.payload.run }}",
                    body="{{ event.event }} of run {{ event.payload.run }}, data set "
                    "{{ event.payload.dataset }}"
                    "{% if event.payload.release %}: {{ event.payload.release }}, "
                    "{{ event.payload.records }} records{% endif %}"
                    "{% if event.payload.expectations %}: "
                    "{{ event.payload.expectations|join(', ') }}{% endif %}"
                    "{% if event.payload.error %}: shard {{ event.payload.shard }}, "
                    "{{ event.payload.error }}{% endif %}",
                )
            ],
        ),
    ]


def make_automations(retries: int, notify: str | None, url: str | None) -> list[str]:
    """Make them, or bring them up to date; returns their names.

    `notify` names a notification block as `TYPE/NAME` (`slack-webhook/ops`); `url` is posted
    `{"subject", "body"}` as JSON and kept on the server in a block of its own, encrypted. With
    `retries` 0 crashed runs are not tried again. Raises `UsageError` where there is no server or no
    such block, `CordError` where it refuses."""
    with _client() as client:
        wanted = [heartbeats.automation()]
        if retries:
            wanted.append(retry_automation(retries))
        block = _block(client, notify) if notify else _webhook(client, url) if url else None
        if block is not None:
            wanted += notify_automations(block)
        for one in wanted:
            _put(client, one)
        for name in {RETRY} - {one.name for one in wanted}:
            _delete(client, name)
    return [one.name for one in wanted]


def remove_automations() -> list[str]:
    """Delete them and the block with the address; returns the names of what there was. The one that
    marks silent runs is made again by the next run."""
    with _client() as client:
        names = (heartbeats.AUTOMATION, RETRY, NOTIFY_RUNS, NOTIFY_EVENTS)
        removed = [name for name in names if _delete(client, name)]
        try:
            found = client.read_block_document_by_name(BLOCK, "custom-webhook")
        except ObjectNotFound:
            return removed
        client.delete_block_document(found.id)
    return removed


def _put(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    there = client.read_automations_by_name(wanted.name)
    if not there:
        client.create_automation(wanted)
        return
    first, *others = sorted(there, key=lambda one: one.id)
    for other in others:
        client.delete_automation(other.id)
    client.update_automation(first.id, wanted.model_copy(update={"enabled": first.enabled}))


def _delete(client: SyncPrefectClient, name: str) -> bool:
    there = client.read_automations_by_name(name)
    for one in there:
        client.delete_automation(one.id)
    return bool(there)


def _block(client: SyncPrefectClient, named: str) -> UUID:
    kind, slash, name = named.partition("/")
    try:
        if not slash or not name:
            raise UsageError(f"{named!r} is no block: write TYPE/NAME, as in slack-webhook/ops")
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound:
        raise UsageError(
            f"the Prefect server has no block {named}; make it on its page Blocks, or see "
            "`prefect block ls`"
        ) from None


def _webhook(client: SyncPrefectClient, url: str) -> UUID:
    if not url.startswith(("http://", "https://")):
        raise UsageError("the address to notify must begin with https:// or http://")
    made = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{address}}",
        headers=None,
        cookies=None,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        secrets=SecretDict({"address": url}),  # encrypted, and shown to nobody
    )
    made.save(BLOCK, overwrite=True)
    return client.read_block_document_by_name(BLOCK, "custom-webhook").id


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    url = users_server("there is no server to keep automations")
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        said = str(error).splitlines()[0]
        raise CordError(
            f"the Prefect server at {url} did not take the automations: {said}"
        ) from None
