"""Serves a Millrace handler: copy this file and write the function. docs/remote-handlers.md tells what happens here.

    from millrace_handler import Item, ItemError, serve

    def shout(item: Item, params: dict) -> object:
        return {"text": item.input["name"].upper()}

    serve("shout", shout)

The function may be `async`, which suits waiting, or plain, which runs in a thread. Needs Python 3.11, temporalio and httpx.
"""

import asyncio
import inspect
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

CONTRACT = 1
ASK_SECONDS = 1.0  # a pause or a cancel is heard of this soon
PAGE_ITEMS = 200
POST_LINES, POST_BYTES = 500, 2 << 20
OUTPUT_BYTES_MAX = 1 << 20
UNPOSTED_BYTES_MAX = 16 << 20  # of results that wait to be posted; above that no item begins
THROTTLED_SECONDS = 3.0  # who would have to wait longer for the next item makes way for others
THREADS = 256  # for plain functions, over all chunks

log = logging.getLogger("millrace")


@dataclass(frozen=True)
class Item:
    index: int
    custom_id: str
    input: Any
    attempt: int
    """From 1."""
    idempotency_key: str
    """The same at each execution of this item: hand it to what must not happen twice. Execution is at least once."""


class ItemError(Exception):
    """Fails the item with a code of your own; any other exception fails it as `handler_failed`."""

    def __init__(self, code: str, message: str, *, retryable: bool = True, retry_after_seconds: float = 0) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


Function = Callable[[Item, Any], Any]


def serve(name: str, function: Function, **options: Any) -> None:
    """Works until SIGTERM or SIGINT; items under way then get to their end. See `serving` for the options."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_serve_until_told(name, function, options))
    logging.shutdown()
    sys.stdout.flush()
    # All is done. The interpreter's own end would wait for functions that were given up, and at times Temporal's threads abort in
    # it (https://github.com/temporalio/sdk-python/issues/300).
    os._exit(0)


async def _serve_until_told(name: str, function: Function, options: dict[str, Any]) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(name, function, **options):
        log.info("serving %s", name)
        await told.wait()
        log.info("stopping")


@asynccontextmanager
async def serving(
    name: str,
    function: Function,
    *,
    address: str | None = None,
    namespace: str | None = None,
    chunks_at_once: int = 8,
    grace_seconds: float = 30,
) -> AsyncIterator[None]:
    """For programs that do more than this. `chunks_at_once`: of all jobs, each with the items that its job allows."""
    client = await Client.connect(
        address or os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
        namespace=namespace or os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as http:
        process = Process(function, http, chunks_at_once)

        @activity.defn(name="process_items")
        async def process_items(loan: dict[str, Any]) -> dict[str, Any]:
            return await Turn(loan, process).run()

        async with Worker(
            client,
            task_queue=f"handler.{name}",
            activities=[process_items],
            max_concurrent_activities=chunks_at_once,
            # A process that froze still has its polls open, and each swallows a chunk until its heartbeat is missed.
            max_concurrent_activity_task_polls=2,
            graceful_shutdown_timeout=timedelta(seconds=grace_seconds),
            # Temporal hears from us every 2 s, and so we of a cancel.
            max_heartbeat_throttle_interval=timedelta(seconds=2),
            default_heartbeat_throttle_interval=timedelta(seconds=2),
        ):
            yield


class Process:
    """What the turns of this process share, and how they share it."""

    def __init__(self, function: Function, http: httpx.AsyncClient, chunks_at_once: int) -> None:
        self.http = http
        self._function = function
        self._threads = ThreadPoolExecutor(THREADS, "item")
        self._waits = inspect.iscoroutinefunction(function)
        self.items_max = 1_000_000 if self._waits else max(1, THREADS // chunks_at_once)
        self._changed = asyncio.Condition()
        self._sharing = 0
        self._alone = False
        self.wanted = 0
        """Turns that wait to be alone: the others make way."""

    async def call(self, item: Item, params: Any) -> Any:
        try:
            if self._waits:
                return await self._function(item, params)
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._call_plain, item, params)
        except SystemExit as error:
            # Of a task this would end the process, and all other items with it.
            raise RuntimeError(f"SystemExit: {error}") from error

    def _call_plain(self, item: Item, params: Any) -> Any:
        try:
            return self._function(item, params)
        except StopIteration as error:
            # A future can't hold one.
            raise RuntimeError("StopIteration") from error

    async def until_shared(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and self.wanted == 0)

    @asynccontextmanager
    async def place(self, alone: bool) -> AsyncIterator[None]:
        """Ordinary turns run side by side; one under suspicion of ending the process gets it alone, so that only it is blamed."""
        async with self._changed:
            self.wanted += alone
            try:
                await self._changed.wait_for(lambda: not self._alone and not (alone and self._sharing))
            finally:
                self.wanted -= alone
                self._changed.notify_all()
            self._alone, self._sharing = alone, self._sharing + (not alone)
        try:
            yield
        finally:
            async with self._changed:
                self._alone, self._sharing = False, self._sharing - (not alone)
                self._changed.notify_all()


class Away(Exception):
    """The API can't be asked just now."""


class Gone(Exception):
    """The turn is over whatever we do: somebody else has the chunk, or its token has expired."""


class Turn:
    """One attempt at a chunk that was lent to us: claim it, work through its items, post what comes of them."""

    def __init__(self, loan: dict[str, Any], process: Process) -> None:
        if loan["contract"] != CONTRACT:
            raise ApplicationError(f"This worker knows contract {CONTRACT}, not {loan['contract']}.")
        self._loan, self._process = loan, process
        self._headers = {"Authorization": f"Bearer {loan['token']}", "Content-Type": "application/x-ndjson"}
        self._stop: str | None = None  # why no item begins any more
        self._held = False  # no item begins for now
        self._broken: Exception | None = None
        self._wait_ms: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[bytes] = []
        self._unposted = 0
        self._spent, self._ended = 0.0, 0
        self._changed, self._due = asyncio.Event(), asyncio.Event()

    async def run(self) -> dict[str, Any]:
        beating = asyncio.create_task(self._beat())
        try:
            await self._process.until_shared()
            claim = (await self._call("POST", self._loan["claim_url"])).json()
            if claim["stop"] is not None:
                return {"stop": claim["stop"]}
            self._work = claim["work"]
            self._set_concurrency(self._work["concurrency"])
            self._headers["Millrace-Epoch"] = str(claim["epoch"])
            async with self._releasing(), self._process.place(self._work["isolated"]):
                await self._work_through()
            return {"epoch": claim["epoch"], "stop": self._stop, "wait_ms": self._wait_ms}
        except Gone as gone:
            return {"stop": str(gone)}
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            activity.heartbeat()
            if activity.is_worker_shutdown():
                self._end("shutdown")
            await asyncio.sleep(ASK_SECONDS)

    @asynccontextmanager
    async def _releasing(self) -> AsyncIterator[None]:
        """A turn that fails or is cancelled says so: one that ends without a word is taken for a crash."""
        try:
            yield
        except (Exception, asyncio.CancelledError):
            with suppress(Exception):
                while self._lines:
                    await self._post()
                await self._call("DELETE", self._loan["claim_url"])
            raise

    async def _work_through(self) -> None:
        self._started = time.monotonic()
        reporting = asyncio.create_task(self._report())
        try:
            await self._begin_items()
            while self._tasks and self._broken is None:
                await self._something()
        finally:
            await _cancel(reporting, *self._tasks)
        if self._broken is not None:
            raise self._broken
        while self._lines:
            with suppress(Away):
                await self._post()
                continue
            await asyncio.sleep(ASK_SECONDS)

    # Items: page after page, and from the start again for those that are to be tried again, until nothing comes.

    async def _begin_items(self) -> None:
        after, begun = None, 0
        while await self._may_begin():
            page, next_after, wait_ms = await self._page(after)
            for item in page:
                if not await self._may_begin():
                    return
                self._begin(item)
            begun += len(page)
            if wait_ms is not None:
                await self._wait(wait_ms)
            elif next_after is not None:
                after = next_after
                if self._work["isolated"]:
                    await self._all_posted()
            elif not self._held:
                await self._all_posted()
                if begun == 0:
                    return
                after, begun = None, 0

    async def _may_begin(self) -> bool:
        while self._stop is None and self._broken is None:
            if self._held and not self._tasks:
                self._end("paused")
            elif self._process.wanted and not self._work["isolated"]:
                self._end("time_box")
            elif time.monotonic() - self._started > self._box():
                self._end("time_box")
            elif self._held or len(self._tasks) >= self._concurrency or self._unposted > UNPOSTED_BYTES_MAX:
                await self._something()
            else:
                return True
        return False

    def _box(self) -> float:
        """Slow items get more time, since a turn loses some where it begins and ends."""
        mean = self._spent / self._ended if self._ended else 0.0
        return float(min(self._loan["time_box_max_seconds"], max(self._loan["time_box_seconds"], 5 * mean)))

    async def _page(self, after: int | None) -> tuple[list[Item], int | None, float | None]:
        limit = min(PAGE_ITEMS, self._concurrency - len(self._tasks)) if self._work["paced"] else PAGE_ITEMS
        query = {"limit": max(1, limit)} | ({} if after is None else {"after": after})
        try:
            response = await self._call("GET", self._loan["items_url"], params=query)
        except Away as away:
            log.warning("no items: %s", away)
            return [], None, 1000 * ASK_SECONDS
        self._heed(response.headers.get("Millrace-Stop"))
        # As bytes: str.splitlines would also split at characters that may stand inside of a string.
        items = [_to_item(json.loads(line)) for line in response.content.split(b"\n") if line]
        next_after, wait_ms = response.headers.get("Millrace-Next"), response.headers.get("Millrace-Wait-Ms")
        return items, next_after and int(next_after), wait_ms and float(wait_ms)

    async def _wait(self, wait_ms: float) -> None:
        if wait_ms > 1000 * THROTTLED_SECONDS and not self._tasks:
            self._wait_ms = wait_ms
            self._end("throttled")
        until = time.monotonic() + wait_ms / 1000
        while self._stop is None and self._broken is None and (left := until - time.monotonic()) > 0:
            await self._something(left)

    def _begin(self, item: Item) -> None:
        task = asyncio.create_task(self._run(item))
        self._tasks.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks or len(self._lines) >= POST_LINES:
            self._due.set()
        self._changed.set()

    async def _run(self, item: Item) -> None:
        started = time.monotonic()
        outcome = await self._outcome_of(item)
        spent = time.monotonic() - started
        self._spent, self._ended = self._spent + spent, self._ended + 1
        head = {"index": item.index, "attempt": item.attempt, "duration_ms": round(1000 * spent)}
        self._lines.append(_to_line(head, outcome))
        self._unposted += len(self._lines[-1])

    async def _outcome_of(self, item: Item) -> dict[str, Any]:
        seconds = self._work["item_timeout_ms"] / 1000
        calling = asyncio.ensure_future(self._process.call(item, self._work["params"]))
        try:
            # Whoever doesn't heed its cancel goes on alone: a thread can't be stopped, a coroutine may not want to.
            if not (await asyncio.wait({calling}, timeout=seconds))[0]:
                return _failure("handler_timeout", f"The handler took longer than {seconds:g} s.")
            return {"output": calling.result()}
        except ItemError as error:
            wait_ms = round(1000 * error.retry_after_seconds)
            return _failure(error.code, str(error), retryable=error.retryable, retry_after_ms=wait_ms)
        except Exception as error:
            log.debug("item %s failed", item.index, exc_info=True)
            return _failure("handler_failed", f"{type(error).__name__}: {error}")
        finally:
            calling.cancel()
            calling.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    # Results out, and whether to go on back: as soon as it makes sense, and every second.

    async def _report(self) -> None:
        while True:
            try:
                await self._post()
            except Away as away:
                log.warning("no results: %s", away)
            except Exception as error:
                self._broken = error
                self._changed.set()
                return
            self._changed.set()
            self._due.clear()
            await _within(ASK_SECONDS, self._due)

    async def _post(self) -> None:
        count = size = 0
        for line in self._lines[:POST_LINES]:
            if count and size + len(line) > POST_BYTES:
                break
            count, size = count + 1, size + len(line)
        running = {"Millrace-Running": str(len(self._tasks))}
        body = b"".join(self._lines[:count])
        answer = (await self._call("POST", self._loan["results_url"], content=body, headers=running)).json()
        del self._lines[:count]
        self._unposted -= size
        if self._lines:
            self._due.set()
        self._set_concurrency(answer["concurrency"])
        self._heed(answer["stop"])

    async def _all_posted(self) -> None:
        while (self._tasks or self._lines) and self._broken is None:
            if not self._tasks:
                self._due.set()
            await self._something()

    def _set_concurrency(self, allowed: int) -> None:
        self._concurrency = 1 if self._work["isolated"] else max(1, min(allowed, self._process.items_max))

    def _heed(self, stop: str | None) -> None:
        self._held = stop == "paused"
        if stop is None or self._held:
            return
        self._end(stop)
        if stop in ("cancelled", "ended"):
            for task in self._tasks:
                task.cancel()

    def _end(self, why: str) -> None:
        self._stop = self._stop or why
        self._changed.set()

    async def _something(self, seconds: float = ASK_SECONDS) -> None:
        """Until something has changed, or for a while."""
        self._changed.clear()
        await _within(min(seconds, ASK_SECONDS), self._changed)

    async def _call(self, method: str, url: str, **request: Any) -> httpx.Response:
        headers = self._headers | request.pop("headers", {})
        try:
            response = await self._process.http.request(method, url, headers=headers, **request)
        except httpx.TransportError as error:
            raise Away(f"{error!r}") from error
        if response.status_code < 400:
            return response
        if response.status_code >= 500 or response.status_code == 429:
            raise Away(f"{method} {url} answered {response.status_code}")
        problem: dict[str, Any] = {}
        with suppress(ValueError):
            problem = response.json()
        if problem.get("code") in ("superseded", "chunk_token_expired"):
            raise Gone(problem["code"])
        raise ApplicationError(f"{method} {url} answered {response.status_code}: {response.text[:500]}")


async def _within(seconds: float, event: asyncio.Event) -> None:
    # Not asyncio.wait_for: before Python 3.12 a cancel that comes with the event gets lost in it.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _to_item(line: dict[str, Any]) -> Item:
    return Item(line["index"], line["custom_id"], line["input"], line["attempt"], line["idempotency_key"])


def _failure(code: str, message: str, *, retryable: bool = True, retry_after_ms: int = 0) -> dict[str, Any]:
    # JSON in UTF-8 can't hold lone surrogates.
    text = message[:1000].encode("utf-8", "replace").decode("utf-8")
    return {"error": {"code": code, "message": text, "retryable": retryable, "retry_after_ms": retry_after_ms}}


def _to_line(head: dict[str, Any], outcome: dict[str, Any]) -> bytes:
    try:
        line = _dump(head | outcome)
    except (TypeError, ValueError, RecursionError) as error:
        return _dump(head | _failure("output_not_storable", f"The output is not JSON: {error}", retryable=False))
    if len(line) > OUTPUT_BYTES_MAX + 200:
        return _dump(head | _failure("output_too_large", "The output is larger than 1 MB.", retryable=False))
    return line


def _dump(line: dict[str, Any]) -> bytes:
    return json.dumps(line, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
