"""Turns at a provider: so many at once, and each may end before what came back is worked up."""

import asyncio


class Turn:
    """async with Turn(places) as turn: a place, until the end or until `end` is called."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_held = False

    async def __aenter__(self) -> "Turn":
        await self._places.acquire()
        self._is_held = True
        return self

    def end(self) -> None:
        """The provider has answered: somebody else may ask it. What is left to do here is our own work."""
        if self._is_held:
            self._is_held = False
            self._places.release()

    async def __aexit__(self, *_exc: object) -> None:
        self.end()
