"""Where blocking calls run, and how they speak to the loop.

A `Pool` bounds the calls into one SDK.  It is not a `ThreadPoolExecutor`, because the interpreter
joins that one's threads at exit: a call that hangs in a dead network would hold up the end of the
daemon.  The threads here are daemonic and start with the first call, so a pool that is never used
costs nothing, and an SDK that is imported inside the call is imported off the loop.

A `Follower` is a read without an end (a watch, a log) in a thread of its own; it stops because
what it reads is closed.  `alone` is a single call in a thread of its own, for waits that would
block a pool's slot for hours (the end of a process).
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@contextmanager
def bugs_told(tell: Callable[[BaseException], None]) -> Generator[None]:
    """While this lasts, what escapes any thread is told on the loop.

    A thread that dies of a bug would only leave a trace on the standard error, and the daemon would
    go on without what that thread was for: deaf to files, say.
    """
    loop, before = asyncio.get_running_loop(), threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value
        if error is None or isinstance(error, SystemExit):
            return
        name = args.thread.name if args.thread is not None else "?"
        error.add_note(f"in the thread {name}")
        try:
            loop.call_soon_threadsafe(tell, error)
        except RuntimeError:  # the loop has closed: nobody is left to be told
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class PoolClosedError(RuntimeError):
    """A call came after the pool was closed: parts were stopped in the wrong order."""


class _Call:
    """A call on its way to a thread, and its answer on the way back."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self._loop.create_future()
        self._fn: Callable[[], Any] | None = partial(copy_context().run, fn)
        self._claim = threading.Lock()

    def run(self) -> None:
        """Call, in the current thread, unless nobody waits for it any more."""
        with self._claim:
            fn, self._fn = self._fn, None
        if fn is None:
            return
        try:
            result = fn()
        except BaseException as error:  # noqa: BLE001 - goes to whoever awaits the call
            self._tell(self._fail, error)
        else:
            self._tell(self._succeed, result)

    def drop(self) -> None:
        """Never start it, if it has not started yet."""
        with self._claim:
            self._fn = None

    def cancel(self) -> None:
        """Never start it, and cancel who waits; from any thread."""
        self.drop()
        self._tell(lambda _: self.answer.cancel(), None)

    def _tell(self, tell: Callable[[Any], object], value: object) -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody is waiting any more
            self._loop.call_soon_threadsafe(tell, value)

    def _succeed(self, result: object) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if self.answer.done():
            return
        if isinstance(error, StopIteration):  # a future refuses it
            wrapped = RuntimeError("the call raised StopIteration")
            wrapped.__cause__ = error
            error = wrapped
        self.answer.set_exception(error)


async def _answer(call: _Call) -> Any:
    try:
        return await call.answer
    finally:
        call.drop()


class Pool:
    """Short blocking calls into one SDK, at most `limit` at a time.

    A call that has started can't be cancelled, only abandoned: its slot stays taken until it
    returns, so give each one its own timeout.  One that still waits for a slot is never made.

    Args:
        name: of its threads.
        limit: how many calls run at the same time.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0
        self._closed = False

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` in a thread, with the context variables of the caller.

        Raises:
            PoolClosedError: the pool was closed before.
        """
        call = _Call(partial(fn, *args, **kwargs))
        self._submit(call)
        result: R = await _answer(call)
        return result

    def _submit(self, call: _Call) -> None:
        with self._lock:
            if self._closed:
                raise PoolClosedError(self._name)
            self._calls.put(call)
            self._unfinished += 1
            if self._threads < min(self._unfinished, self._limit):
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call  # what it returned must not live until the next call
            with self._lock:
                self._unfinished -= 1

    def close(self) -> None:
        """Start nothing any more, cancel what waits, abandon what runs; returns at once."""
        with self._lock:
            self._closed = True
            with suppress(queue.Empty):
                while True:
                    waiting = self._calls.get_nowait()
                    if waiting is not None:
                        waiting.cancel()
            for _ in range(self._threads):
                self._calls.put(None)


async def alone(name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Make one blocking call in a daemonic thread of its own."""
    call = _Call(partial(fn, *args, **kwargs))
    threading.Thread(target=call.run, name=name, daemon=True).start()
    result: R = await _answer(call)
    return result


class Follower(Generic[T]):
    """An endless blocking stream (a watch, a log) in a daemonic thread of its own.

    Args:
        name: of the thread.
        stream: what to read.
        close: closes what the stream reads, from another thread, which ends the read.
        each: called on the loop with each item.
        ended: called on the loop once, with the error that ended the stream; `None` if it just
            ended or was stopped.
    """

    def __init__(
        self,
        name: str,
        stream: Iterable[T],
        close: Callable[[], None],
        each: Callable[[T], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream, self._close, self._each, self._ended = stream, close, each, ended
        self._stopped = threading.Event()
        run = partial(copy_context().run, self._run)
        threading.Thread(target=run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Close what is read; nothing is told any more."""
        self._stopped.set()
        self._close()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._stream:
                if self._stopped.is_set() or not self._tell(self._item, item):
                    break
        except BaseException as raised:  # noqa: BLE001 - goes to the owner
            error = raised
        self._tell(self._end, error)

    def _tell(self, tell: Callable[[Any], None], value: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(tell, value)
        except RuntimeError:  # the loop has closed: nobody is listening any more
            return False
        return True

    def _item(self, item: T) -> None:
        if not self._stopped.is_set():
            self._each(item)

    def _end(self, error: BaseException | None) -> None:
        # Closing under the reader's feet makes many SDKs raise: after a stop that is no news.
        self._ended(None if self._stopped.is_set() else error)
