"""Calls of `triple` in other processes and event loops: forked, spawned and new ones."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any

from keras_dl_serving import AsyncClient, Client

CALLS = 30


def wrong(client: Client, start: int, count: int = CALLS) -> list[int]:
    """Return the inputs, of `count` from `start` on, that got the output of another input."""
    inputs = range(start, start + count)
    return [x for x in inputs if client.predict("triple", [float(x)])["y"].tolist() != [3.0 * x]]


async def wrong_of_gathered(client: AsyncClient, start: int, count: int = CALLS) -> list[Any]:
    """Return the same for concurrent calls, with the exceptions."""
    inputs = range(start, start + count)
    calls = (client.predict("triple", [float(x)]) for x in inputs)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [
        answer if isinstance(answer, BaseException) else x
        for x, answer in zip(inputs, answers, strict=True)
        if isinstance(answer, BaseException) or answer["y"].tolist() != [3.0 * x]
    ]


def wrong_around_a_fork(url: str) -> list[Any]:
    """Return the wrong outputs in a process that has used a client, and in four that are forked from it."""
    with Client(url, timeout=20) as client:
        tasks = [lambda start=start: wrong(client, start) for start in (1000, 2000, 3000, 4000)]
        found = [wrong(client, 0)]
        found += in_children(*tasks, meanwhile=lambda: found.append(wrong(client, 5000, 4 * CALLS)))
        return [*found, wrong(client, 6000)]


def wrong_around_a_fork_of_tasks(url: str) -> list[Any]:
    """Return the same for an `AsyncClient` whose event loop has ended before the fork."""
    client = AsyncClient(url, timeout=20)
    tasks = [
        lambda start=start: asyncio.run(wrong_of_gathered(client, start)) for start in (1000, 2000, 3000)
    ]
    found = [asyncio.run(wrong_of_gathered(client, 0))]
    return [*found, *in_children(*tasks), asyncio.run(wrong_of_gathered(client, 4000))]


def spawned(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a function in a new process, which shares nothing with this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def in_children(*tasks: Callable[[], Any], meanwhile: Callable[[], object] | None = None) -> list[Any]:
    """Return the result of each task, or its exception, in a process forked for it."""
    children = [_fork(task) for task in tasks]
    if meanwhile:
        meanwhile()
    return _results(children)


def _fork(task: Callable[[], Any]) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.set_blocking(reading, False)
        return child, reading
    try:
        try:
            result = task()
        except BaseException as error:
            result = error
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(result, pipe)
    finally:
        os._exit(0)


def _results(children: Sequence[tuple[int, int]]) -> list[Any]:
    deadline = time.monotonic() + 60
    results = []
    for process, pipe in children:
        while not os.waitpid(process, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(process, 9)
                os.waitpid(process, 0)
                break
            time.sleep(0.01)
        try:
            results.append(pickle.loads(os.read(pipe, 2**16)))
        except (BlockingIOError, EOFError):
            results.append(ChildProcessError("the child hung or died"))
        os.close(pipe)
    return results
