"""Keeps the account of what a project has applied, and deletes what it no longer has.

That is housekeeping, and never a reason for a verdict: what can't be deleted is told, stays on the
list, and is tried again by the next run; where the account can't be kept, nothing is deleted.
"""

from uuid import uuid4

from tiltd.core import podspec, stock
from tiltd.model.actions import TakeStock
from tiltd.model.desired import JSON
from tiltd.model.events import StockTaken
from tiltd.model.stock import Entry
from tiltd.ports import Cluster, Log, PermanentError, TransientError

_SECONDS = 120.0


async def take(
    cluster: Cluster, action: TakeStock, namespace: str, origin: str, log: Log
) -> StockTaken:
    """Read the account, add what is new, and with `prune` delete what is gone.

    Args:
        cluster: that of the session.
        action: what to do.
        namespace: the default one.
        origin: where the project is from.
        log: of the session.

    Raises:
        TransientError: the cluster is away.
    """
    try:
        return await _take(cluster, action, namespace, origin, log)
    except PermanentError as error:
        words = f"no account of what is applied can be kept: {error.problem.message}"
        log.write(f"{words}\nwhat goes from the Tiltfile is not deleted\n", level="warn")
        return StockTaken(action.key, (), pruned=True)


async def _take(
    cluster: Cluster, action: TakeStock, namespace: str, origin: str, log: Log
) -> StockTaken:
    lists = stock.parse(await cluster.stock())
    now = frozenset(action.entries)
    name = stock.own(lists, now, namespace, origin)
    if action.forget:
        if name is not None:
            await cluster.note_stock(name, None)
        return StockTaken(action.key, (), pruned=True)
    lost = stock.gone(lists, name, now, namespace)
    others = stock.shared(lists, name, now, namespace)
    before = lists.get(name, frozenset[Entry]()) if name is not None else frozenset[Entry]()
    if action.prune:
        for entry in others:
            words = "another project of this name has it, too, and keeps it"
            log.write(f"{entry}: no longer in the Tiltfile; it stays: {words}\n", level="warn")
        left = await _delete(cluster, lost, namespace, log)
        await _note(cluster, name, origin, now | left, log)
        return StockTaken(action.key, (), pruned=True)
    if not now <= before:
        await _note(cluster, name, origin, now | before, log)
    return StockTaken(action.key, (*lost, *others), pruned=False)


async def _note(
    cluster: Cluster, name: str | None, origin: str, entries: frozenset[Entry], log: Log
) -> None:
    """Write the project's list, and take one over that was kept from elsewhere."""
    if name is not None and stock.of(name, origin):
        await cluster.note_stock(name, stock.text(entries))
        return
    new = stock.named(origin, uuid4().hex[:8])
    await cluster.note_stock(new, stock.text(entries))
    if name is not None:
        words = "was kept from another machine or folder; it is taken over"
        log.write(f"the account of what this project has applied {words}\n", level="warn")
        await cluster.note_stock(name, None)


async def there(cluster: Cluster, lost: tuple[Entry, ...], namespace: str) -> dict[Entry, JSON]:
    """Those of the entries that are still in the cluster, and are this project's."""
    if not lost:
        return {}
    found = await cluster.look(frozenset(stock.scope(entry, namespace) for entry in lost))
    return {
        entry: body
        for entry in lost
        for body in (f.body for f in found)
        if stock.is_it(entry, body, namespace)
    }


async def reason_to_stay(cluster: Cluster, entry: Entry, body: JSON, namespace: str) -> str:
    """Why an object is not deleted; empty: it is.

    What is not in the default namespace may belong to a project in another one as well.
    """
    if words := stock.kept(body):
        return words
    if podspec.section(body, "metadata").get("namespace") != namespace:
        try:
            where = stock.elsewhere(entry, namespace, await cluster.stocks_elsewhere())
        except PermanentError as error:
            return f"whether other projects have it can't be told: {error.problem.message}"
        if where:
            return f"a project in namespace {where} has it, too"
    defined = stock.defines(body)
    if defined is not None and await cluster.look(frozenset({defined})):
        return f"there are objects of kind {defined.kind}"
    return ""


async def _delete(
    cluster: Cluster, lost: tuple[Entry, ...], namespace: str, log: Log
) -> frozenset[Entry]:
    """Delete them, what has pods first; those that are still there."""
    found = await there(cluster, lost, namespace)
    left: set[Entry] = set()
    for entry, body in sorted(found.items(), key=lambda item: _rank(item[1])):
        if words := await reason_to_stay(cluster, entry, body, namespace):
            log.write(f"{entry}: no longer in the Tiltfile; it stays: {words}\n", level="warn")
            continue
        try:
            await cluster.delete((body,), _SECONDS)
        except (PermanentError, TransientError) as error:
            words = error.problem.message
            log.write(
                f"{entry}: no longer in the Tiltfile, but still there: {words}\n", level="warn"
            )
            left.add(entry)
        else:
            log.write(f"{entry}: deleted, because it is no longer in the Tiltfile\n")
    return frozenset(left)


def _rank(body: JSON) -> int:
    if any(True for _ in podspec.templates(body)):
        return 0
    return 2 if body.get("kind") == "CustomResourceDefinition" else 1
