"""Keeps the log small by itself: after a run, compacts a few old ones and lets the cache forget what it holds too much.

Nothing of that can fail a run, nor hold one up for long: it is done in slices in a thread, and given up when the
tracker closes.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from symphony_sdk.errors import SymphonyError

from pit_dag_tracker.compaction import compact, due, give_back
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.result_tables import Held, evict

RUNS_AT_ONCE = 8
"""Runs that are compacted after the end of one."""

_DAY = 86_400.0

_log = logging.getLogger(__name__)


class Upkeep:
    """What is done to the log of a data directory when nobody asks.

    Args:
        log: The log.
        config: The settings of the extension.
    """

    def __init__(self, log: EventLog, config: Mapping[str, Any]) -> None:
        self._log = log
        self._most = Held(config.get("cache_results", 200_000), config.get("cache_bytes", 1 << 30))
        self._seconds = config.get("compact_after", 30) * _DAY
        self._beyond = config.get("compact_beyond", 200)
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Look whether there is something to do, unless that is being done."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._tidy))

    async def close(self) -> None:
        """Do no more than what is being done."""
        self._closing = True
        if self._task is not None:
            await self._task

    def _tidy(self) -> None:
        try:
            self._log.work(partial(evict, most=self._most)).result()
            before = time.time() - self._seconds
            runs = self._log.look(partial(due, before=before, beyond=self._beyond))[:RUNS_AT_ONCE]
        except SymphonyError as error:
            _log.info("the log of the runs is not tidied: %s", error)
            return
        for run in runs:
            if self._closing:
                return
            try:
                compact(self._log, run, go_on=lambda: not self._closing)
            except (SymphonyError, msgspec.ValidationError) as error:
                _log.info("the log of run %s is not compacted: %s", run, error)
        if runs:
            self._shrink()

    def _shrink(self) -> None:
        try:
            give_back(self._log)
        except SymphonyError as error:
            _log.info("the file of the log is not made smaller: %s", error)
