"""Dates as steady as the event loop's clock."""

import asyncio
import time

import pytest

from tiltd.runtime.clock import Clock


async def test_it_goes_with_the_loop() -> None:
    clock = Clock(1000.0)
    assert clock.now() == 1000.0
    await asyncio.sleep(60)
    assert clock.now() == 1060.0


async def test_a_step_of_the_systems_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() == before


async def test_a_date_becomes_the_loops_time() -> None:
    clock, loop = Clock(1000.0), asyncio.get_running_loop()
    await asyncio.sleep(5)
    fired = asyncio.Event()
    loop.call_at(clock.loop_time(1012.0), fired.set)
    await fired.wait()
    assert clock.now() == 1012.0
