"""The node of a phone through the generated bindings: questions and answers, topics, power, what is
counted, a network of one's own, and IP packets by file descriptor."""

import asyncio
import ipaddress
import socket
import struct
import unittest
from datetime import timedelta

from phones import AT_ONCE, LIMIT, LONG, Pair, Profiles, online, open_phone
from threephone_uniffi import (
    CancelHandle,
    DropCount,
    DropKind,
    PeerKind,
    PeerState,
    PhoneError,
    PowerMode,
    PowerPolicy,
    PrivateNetwork,
    SendState,
    TopicPolicy,
    TopicRule,
    Tun,
    WakeCause,
)


class Steering(Pair):
    """What is asked of Ann's and Ben's nodes."""

    async def test_a_question_is_answered_to_whom_it_waits_for(self):
        asking = asyncio.create_task(
            self.ann.bus().send_for_reply(self.ben.address(), b"ask", b"when?", LONG)
        )
        question = await asyncio.wait_for(self.ben.bus().receive(b"ask", LONG), LIMIT)
        await self.ben.bus().reply(question.source, question.id, b"at nine")
        answer = await asyncio.wait_for(asking, LIMIT)
        self.assertEqual((answer.id, answer.reply.payload), (question.id, b"at nine"))
        self.assertEqual((answer.reply.reply, answer.reply.source), (True, self.ben.address()))
        # It went to nobody else.
        self.assertIsNone(await self.ann.bus().receive(None, AT_ONCE))

        unheard = await self.ann.bus().send_for_reply("400::1", b"", b"?", AT_ONCE)
        self.assertIsNone(unheard.reply)
        handle = CancelHandle()
        waiting = asyncio.create_task(
            self.ann.bus().send_for_reply("400::1", b"", b"?", LONG, handle)
        )
        await asyncio.sleep(0)  # lets it begin
        handle.cancel()
        with self.assertRaises(PhoneError.Cancelled):
            await asyncio.wait_for(waiting, LIMIT)
        with self.assertRaises(PhoneError.InvalidArgument):
            await self.ben.bus().reply(question.source, "no id", b"")

    async def test_peeking_takes_nothing(self):
        id = await self.ann.bus().send(self.ben.address(), b"look", b"here")
        bus = self.ben.bus()
        for _ in range(2):
            seen = await asyncio.wait_for(bus.peek(b"look", LONG), LIMIT)
            self.assertEqual((seen.id, seen.payload), (id, b"here"))
        self.assertEqual(await bus.receive(b"look", AT_ONCE), seen)
        self.assertIsNone(await bus.peek(b"look", AT_ONCE))

    async def test_topics_let_in_whom_they_list(self):
        bus = self.ben.bus()
        rule = TopicRule(topic=b"friends", sources=[f"{self.ann.address()}/128"])
        policy = TopicPolicy(accept_others=False, rules=[rule])
        await bus.set_topic_policy(policy)
        self.assertEqual(await bus.topic_policy(), policy)
        refused = await self.ann.bus().send(self.ben.address(), b"strangers", b"1")
        await self.ann.bus().send(self.ben.address(), b"friends", b"2")
        message = await asyncio.wait_for(bus.receive(None, LONG), LIMIT)
        self.assertEqual(message.payload, b"2")
        # The refused one went before it, over the one link that there is.
        drops = (await self.ben.metrics()).drops
        policies = [drop for drop in drops if drop.kind == DropKind.MESSAGE]
        self.assertEqual([drop.reason for drop in policies], ["policy"])
        self.assertIsInstance(policies[0], DropCount)
        progress = await self.ann.bus().progress(refused)
        self.assertEqual((progress.state, progress.bytes), (SendState.PENDING, 1))
        self.assertEqual((progress.deadline - progress.created), timedelta(minutes=5))
        await self.ann.bus().give_up(refused)
        self.assertEqual(await self.ann.bus().wait_for(refused, LONG), SendState.ABORTED)
        self.assertIsNone(await self.ann.bus().progress("00" * 8))
        for topic, source in [(b"threephone", "400::1"), (b"x", "nowhere")]:
            rules = [TopicRule(topic=topic, sources=[source])]
            with self.assertRaises(PhoneError.InvalidArgument):
                await bus.set_topic_policy(TopicPolicy(rules=rules))

    async def test_a_suspended_node_has_no_link_and_comes_back(self):
        suspended = PowerPolicy.ALWAYS(mode=PowerMode.SUSPENDED)
        self.assertEqual(await self.ben.set_power(suspended), PowerMode.SUSPENDED)
        self.assertEqual((await self.ben.ledger()).mode, PowerMode.SUSPENDED)
        [peer] = await self.ben.list_peers()
        self.assertNotEqual(peer.state, PeerState.CONNECTED)
        id = await self.ann.bus().send(self.ben.address(), b"", b"later")
        self.assertEqual(await self.ben.set_power(PowerPolicy.AUTO()), PowerMode.ACTIVE)
        message = await asyncio.wait_for(self.ben.bus().receive(None, LONG), LIMIT)
        self.assertEqual(message.id, id)
        before = (await self.ben.ledger()).network_changes
        await self.ben.network_changed()
        self.assertEqual((await self.ben.ledger()).network_changes, before + 1)

    async def test_what_a_node_does_is_counted(self):
        id = await self.ann.bus().send(self.ben.address(), b"", b"x" * 5000)
        await self.ann.bus().wait_for(id, LONG)
        metrics = await self.ann.metrics()
        self.assertEqual((metrics.links_opened, metrics.routes), (1, 1))
        self.assertGreaterEqual(metrics.messages_delivered, 2)
        self.assertGreater(metrics.tx_bytes, 5000)
        ledger = await self.ann.ledger()
        self.assertEqual({use.cause for use in ledger.causes}, set(WakeCause))
        self.assertGreater(sum(use.spent.wake_ups for use in ledger.causes), 0)
        [peer] = ledger.peers
        self.assertGreater(peer.spent.wake_ups, 0)
        self.assertGreater(peer.tx_bytes, 5000)
        statistics = await self.ann.packet_statistics()
        sent = [row for row in statistics.by_source if row.address == self.ann.address()]
        self.assertGreater(sent[0].bytes, 5000)
        self.assertIn(self.ben.address(), [row.address for row in statistics.by_destination])


class Networks(Profiles):
    """Nodes that are started otherwise."""

    async def pair(self, listen, ann, ben):
        """Opens Ann with the options `ann` and lets Ben dial her with his."""
        ann = await self.open(await self.init("Ann"), online(listen=[listen], **ann))
        way = (await ann.status()).listening
        ben = await self.open(await self.init("Ben"), online(peers=way, **ben))
        id = await ben.bus().send(ann.address(), b"", b"hello")
        message = await asyncio.wait_for(ann.bus().receive(None, LONG), LIMIT)
        self.assertEqual(message.id, id)
        return ann, ben

    async def test_a_network_of_ones_own_has_a_key_and_no_public_peers(self):
        network = PrivateNetwork(name="ours", key=b"k" * 32)
        options = {"private_network": network, "public_peers": True}
        ann, ben = await self.pair("tls://127.0.0.1:0", options, options)
        [peer] = await ben.list_peers()
        self.assertEqual((peer.kind, peer.state), (PeerKind.STATIC, PeerState.CONNECTED))
        self.assertTrue(peer.endpoint.startswith("tls://"))
        short = PrivateNetwork(name="ours", key=b"k" * 31)
        with self.assertRaises(PhoneError.InvalidArgument) as caught:
            await open_phone(self.homes / "Ann", online(private_network=short))
        self.assertEqual(caught.exception.argument, "private_network")

    async def test_ip_packets_go_through_descriptors(self):
        """Pairs of datagram sockets stand for what VpnService gives: one packet a read."""
        (ann_app, ann_tun), (ben_app, ben_tun) = (
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)
        )
        for end in (ann_app, ann_tun, ben_app, ben_tun):
            self.addCleanup(end.close)
            end.setblocking(False)
        ann, ben = await self.pair(
            "tcp://127.0.0.1:0",
            {"tun": Tun.DESCRIPTOR(fd=ann_tun.fileno())},
            {"tun": Tun.DESCRIPTOR(fd=ben_tun.fileno())},
        )
        ann_tun.close()  # the phone has one of its own
        loop = asyncio.get_running_loop()
        for source, sender, target, receiver in [
            (ann, ann_app, ben, ben_app),
            (ben, ben_app, ann, ann_app),
        ]:
            addresses = [ipaddress.IPv6Address(end.address()).packed for end in (source, target)]
            content = bytes(range(256)) * 4
            # Of no protocol above IPv6: 59.
            head = struct.pack("!IHBB", 6 << 28, len(content), 59, 64)
            await loop.sock_sendall(sender, head + b"".join(addresses) + content)
            packet = await asyncio.wait_for(loop.sock_recv(receiver, 65535), LIMIT)
            self.assertEqual(packet[8:40], b"".join(addresses))
            self.assertEqual(packet[40:], content)
        self.assertEqual((await ann.metrics()).packets_sent, 1)
        self.assertEqual((await ben.metrics()).packets_delivered, 1)
        with self.assertRaises(PhoneError.InvalidArgument) as caught:
            await open_phone(self.homes / "Ann", online(tun=Tun.DESCRIPTOR(fd=-1)))
        self.assertEqual(caught.exception.argument, "tun")


if __name__ == "__main__":
    unittest.main()
