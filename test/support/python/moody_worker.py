"""Serves `moody` for the tests, with the library of examples/python-handler."""

import asyncio
import os
import signal
from typing import Any

from millrace_handler import Item, ItemError, serve

ANSWERS = {"large": "x" * (10 << 20), "nan": float("nan"), "surrogate": {"n": "\ud800"}, "text": "no object"}


async def moody(item: Item, params: dict[str, Any]) -> Any:
    wish = item.input
    if "log" in params:
        with open(params["log"], "a") as log:
            log.write(f"{wish['n']}\n")
    if wish.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    await sleep(wish)
    if wish.get("raise") == "exit":
        raise SystemExit(3)
    if wish.get("raise") == "stop_iteration":
        raise StopIteration
    if wish.get("raise") == "item_error":
        raise ItemError("too_moody", "Not today.", retryable=False)
    if item.attempt < wish.get("good_at", 1):
        raise ValueError(f"not at attempt {item.attempt}")
    if "answer" in wish:
        return ANSWERS[wish["answer"]]
    return {"n": wish["n"], "attempt": item.attempt, "key": item.idempotency_key}


async def sleep(wish: dict[str, Any]) -> None:
    try:
        await asyncio.sleep(wish.get("seconds", 0))
    except asyncio.CancelledError:
        if not wish.get("deaf"):
            raise
        await asyncio.sleep(wish["seconds"])


if __name__ == "__main__":
    serve("moody", moody, grace_seconds=5)
