"""Turns at a provider."""

import asyncio

import pytest

from workers.turns import Turn


def test_a_turn_that_ends_early_lets_the_next_one_in_and_gives_its_place_back_once():
    async def run():
        places = asyncio.Semaphore(1)
        async with Turn(places) as turn:
            assert places.locked()
            turn.end()
            turn.end()
            async with Turn(places):
                assert places.locked()
        async with Turn(places):
            return places.locked()

    assert asyncio.run(run())


def test_a_turn_that_fails_gives_its_place_back():
    async def run():
        places = asyncio.Semaphore(1)
        with pytest.raises(ValueError, match="gone"):
            async with Turn(places):
                raise ValueError("gone")
        return places.locked()

    assert not asyncio.run(run())
