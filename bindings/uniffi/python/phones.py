"""Phones in one process, joined over loopback, for the tests that drive them.

Every wait is for an event of a phone or for an answer; the one time limit is there only so that a
phone that never answers fails the test instead of hanging it.
"""

import asyncio
import tempfile
import unittest
from datetime import timedelta
from pathlib import Path

from threephone_uniffi import KeySource, Network, NodeOptions, Phone, PhoneOptions, init_profile

LIMIT = 60
LONG = timedelta(minutes=10)
AT_ONCE = timedelta(0)


def online(listen=(), peers=(), **others):
    return Network.ONLINE(options=NodeOptions(listen=list(listen), peers=list(peers), **others))


async def open_phone(home, network, key=None):
    options = PhoneOptions(home=str(home), key=key or KeySource.FILE(), network=network)
    return await Phone.open(options)


class Watch:
    """Follows a phone's events, acknowledging each batch by naming its cursor."""

    def __init__(self, phone):
        self.events = phone.events()
        self.cursor = 0

    async def until(self, met):
        """Waits, one batch of events at a time, until `met()` gives something."""

        async def follow():
            while not (result := await met()):
                batch = await self.events.next_batch(self.cursor, 100)
                self.cursor = batch.cursor
            return result

        return await asyncio.wait_for(follow(), LIMIT)


class Profiles(unittest.IsolatedAsyncioTestCase):
    """Folders that are removed, and phones that are shut down, when the test ends."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="threephone-")
        self.addCleanup(folder.cleanup)
        self.homes = Path(folder.name)

    async def init(self, name, key=None):
        home = self.homes / name
        await init_profile(str(home), name, key or KeySource.FILE())
        return home

    async def open(self, home, network, key=None):
        phone = await open_phone(home, network, key)
        self.addAsyncCleanup(phone.shut_down)
        return phone


class Pair(Profiles):
    """Ann listens, Ben dials her; both know the way to each other."""

    async def asyncSetUp(self):
        self.ann = await self.open(await self.init("Ann"), online(listen=["tcp://127.0.0.1:0"]))
        self.port = (await self.ann.status()).listening[0]
        self.ben_home = await self.init("Ben")
        await self.start_ben()

    async def start_ben(self):
        self.ben = await self.open(self.ben_home, online(peers=[self.port]))
        self.at_ann, self.at_ben = Watch(self.ann), Watch(self.ben)
        for here, there in [(self.ann, self.ben), (self.ben, self.ann)]:
            id = await here.bus().send(there.address(), b"hello", b"")
            await asyncio.wait_for(there.bus().receive(b"hello", LONG), LIMIT)
            await there.bus().receive(b"hello", AT_ONCE, after=id)
