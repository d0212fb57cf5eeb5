"""An asyncio event loop on the world's time, one for each simulated process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol


class Host(Protocol):
    """The process whose loop it is."""

    ended: bool

    @property
    def time(self) -> float: ...

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Calls that in the name of this process, unless it has ended by then."""

    def blocking(self, call: Callable[[], None]) -> None:
        """Calls that now; it may take time and see others do something meanwhile."""

    def broken(self, error: BaseException) -> None: ...


class Loop(asyncio.AbstractEventLoop):
    """Callbacks are run in the order in which they became ready, until none is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ready: deque[asyncio.Handle] = deque()
        self._awake = False
        self.tasks: list[asyncio.Task[Any]] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._awake:
            self._awake = True
            self._host.after(0.0, self._run)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._host.after(when - self.time(), lambda: self._come(timer))
        return timer

    def _come(self, timer: asyncio.TimerHandle) -> None:
        if not timer.cancelled():
            self._ready.append(timer)
            if not self._awake:
                self._awake = True
                self._run()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = self.create_future()

        def call() -> None:
            try:
                result, failed = func(*args), None
            except Exception as error:
                result, failed = None, error
            self._ready.append(asyncio.Handle(_settle, (future, result, failed), self))
            if not self._awake:
                self._awake = True
                self._run_ready()

        self._host.after(0.0, lambda: self._host.blocking(call))
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self.tasks.append(task)
        if len(self.tasks) > 50:
            self.tasks = [task for task in self.tasks if not task.done()]
        return task

    def time(self) -> float:
        return self._host.time

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._host.ended and context.get("exception") is not None:
            self._host.broken(context["exception"])

    def _run(self) -> None:
        self._host.blocking(self._run_ready)

    def _run_ready(self) -> None:
        asyncio._set_running_loop(self)
        try:
            while self._ready and not self._host.ended:
                self._ready.popleft()._run()
        finally:
            asyncio._set_running_loop(None)
            self._awake = False

    def close(self) -> None:
        """Forgets what is under way: the process has ended."""
        self._ready.clear()
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            if not task.done():
                _close(task.get_coro())
        self.tasks.clear()


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if not future.done():
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _close(coro: Any) -> None:
    with suppress(RuntimeError, ValueError):
        coro.close()
