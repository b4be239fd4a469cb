"""Two phones in one process, driven through the generated bindings: chat, mail, bus and events."""

import asyncio
import os
import random
import unittest
from pathlib import Path

from phones import AT_ONCE, LIMIT, LONG, Pair, Profiles, open_phone

from threephone_uniffi import (
    Attachment,
    CancelHandle,
    Event,
    EventListener,
    KeySource,
    LineQuery,
    LineState,
    ListenerError,
    Mailbox,
    MailDraft,
    MailQuery,
    Network,
    PhoneError,
    ProgressListener,
    RecipientState,
    SendState,
    init_profile,
)

LETTER = Path(__file__).resolve().parents[3] / "fixtures" / "mail" / "welcome.eml"


async def listed(phone, peer, count):
    """The lines of a chat, once there are so many."""
    lines = await phone.messaging().list_lines(LineQuery(chat=peer.address()))
    return lines if len(lines) >= count else None


async def arrived(phone):
    """The mails in the inbox, once there are any."""
    return await phone.mail().list_mails(MailQuery(mailbox=Mailbox.INBOX))


class TwoPhones(Pair):
    """What Ann and Ben do together."""

    async def test_a_line_is_delivered_read_and_answered(self):
        sent = await self.ann.messaging().send(self.ben.address(), "Kommst du? 🌻")
        self.assertEqual((sent.sender, sent.recipient), (self.ann.address(), self.ben.address()))

        [line] = await self.at_ben.until(lambda: listed(self.ben, self.ann, 1))
        self.assertEqual((line.text, line.state), ("Kommst du? 🌻", LineState.RECEIVED))
        await self.at_ann.until(lambda: self.has_state(sent.id, LineState.DELIVERED))
        [chat] = await self.ben.messaging().list_chats()
        self.assertEqual((chat.peer, chat.unread, chat.last.id), (self.ann.address(), 1, line.id))

        self.assertEqual(await self.ben.messaging().mark_read(self.ann.public_key()), 1)
        self.assertEqual(await self.ben.messaging().mark_read(self.ann.address()), 0)
        await self.at_ann.until(lambda: self.has_state(sent.id, LineState.READ))

        await self.ben.messaging().send(f"[IPv6:{self.ann.address()}]", "Ja")
        lines = await self.at_ann.until(lambda: listed(self.ann, self.ben, 2))
        self.assertEqual([line.text for line in lines], ["Kommst du? 🌻", "Ja"])
        newest = await self.ann.messaging().list_lines(LineQuery(limit=1))
        self.assertEqual([line.text for line in newest], ["Ja"])
        self.assertIsNone(await self.ann.messaging().line(sent.id + 1000))

    async def has_state(self, line, state):
        return (await self.ann.messaging().line(line)).state == state

    async def test_a_mail_arrives_with_its_file(self):
        data = bytes(range(256)) * 100
        draft = MailDraft(
            to=[f"ben@[IPv6:{self.ben.address()}]"],
            subject="Die Liste",
            text="Lieber Ben, anbei die Gurkensorten.",
            html="<p>Lieber Ben</p>",
            attachments=[Attachment(name="liste.bin", content_type="image/png", data=data)],
        )
        sent = await self.ann.mail().send(draft)
        [mail] = await self.at_ben.until(lambda: arrived(self.ben))
        self.assertEqual((mail.subject, mail.attachments, mail.flags.seen), ("Die Liste", 1, False))

        async def delivered():
            [view] = await self.ann.mail().list_mails(MailQuery(mailbox=Mailbox.SENT))
            return [to.state for to in view.recipients] == [RecipientState.DELIVERED]

        await self.at_ann.until(delivered)
        detail = await self.ben.mail().show(mail.id)
        self.assertIn("Gurkensorten", detail.text)
        self.assertIn("Lieber Ben", detail.html)
        self.assertEqual(detail.attachments[0].name, "liste.bin")
        self.assertIn("Die Liste", [field.value for field in detail.headers])
        self.assertEqual(await self.ben.mail().attachment(mail.id, 0), data)
        raw = await self.ben.mail().raw(mail.id)
        self.assertEqual(raw, await self.ann.mail().raw(sent.id))

        self.assertEqual([found.id for found in await self.ben.mail().search("gurken")], [mail.id])
        await self.ben.mail().mark_seen(mail.id)
        self.assertTrue((await self.ben.mail().show(mail.id)).view.flags.seen)
        with self.assertRaises(PhoneError.NotFound):
            await self.ben.mail().attachment(mail.id, 1)
        with self.assertRaises(PhoneError.NotFound):
            await self.ben.mail().show(mail.id + 1000)

    async def test_bus_messages_of_no_byte_and_of_many_arrive(self):
        for payload in [b"", bytes(70_000)]:
            id = await self.ann.bus().send(self.ben.address(), b"weather", payload)
            message = await self.ben.bus().receive(b"weather", LONG)
            self.assertEqual((message.id, message.payload), (id, payload))
            self.assertEqual(message.topic, b"weather")
            self.assertEqual(message.source_public_key, self.ann.public_key())
            state = await self.ann.bus().wait_for(id, LONG)
            self.assertIn(state, [SendState.RECEIVED, SendState.READ])
            # Named, it is done with.
            rest = await self.ben.bus().receive(b"weather", AT_ONCE, after=id)
            self.assertIsNone(rest)

    async def test_a_bus_message_stays_until_it_is_named(self):
        first = await self.ann.bus().send(self.ben.address(), b"", b"1")
        await self.ann.bus().wait_for(first, LONG)
        second = await self.ann.bus().send(self.ben.address(), b"", b"2")
        await self.ann.bus().wait_for(second, LONG)
        bus = self.ben.bus()
        self.assertEqual((await bus.receive(None, LONG)).payload, b"1")
        self.assertEqual((await bus.receive(None, LONG)).payload, b"1")
        self.assertEqual((await bus.receive(None, LONG, after=first)).payload, b"2")
        self.assertIsNone(await bus.receive(None, AT_ONCE, after=second))

    async def test_a_waiting_receive_ends_by_its_handle_or_its_task(self):
        bus, handle = self.ben.bus(), CancelHandle()
        waiting = asyncio.create_task(bus.receive(None, LONG, cancel=handle))
        await asyncio.sleep(0)  # lets it begin
        handle.cancel()
        with self.assertRaises(PhoneError.Cancelled):
            await asyncio.wait_for(waiting, LIMIT)
        with self.assertRaises(PhoneError.Cancelled):
            await bus.receive(None, LONG, cancel=handle)

        dropped = asyncio.create_task(bus.receive(None, LONG))
        await asyncio.sleep(0)
        dropped.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await dropped
        await self.ann.bus().send(self.ben.address(), b"", b"still there")
        message = await asyncio.wait_for(bus.receive(None, LONG), LIMIT)
        self.assertEqual(message.payload, b"still there")

    async def test_a_wait_for_receipt_ends_by_its_handle(self):
        nobody, handle = "400::1", CancelHandle()
        id = await self.ann.bus().send(nobody, b"", b"")
        self.assertEqual(await self.ann.bus().wait_for(id, AT_ONCE), SendState.PENDING)
        waiting = asyncio.create_task(self.ann.bus().wait_for(id, LONG, handle))
        await asyncio.sleep(0)
        handle.cancel()
        with self.assertRaises(PhoneError.Cancelled):
            await asyncio.wait_for(waiting, LIMIT)

    async def test_receives_that_are_cancelled_at_any_moment_lose_nothing(self):
        seed, bus = 20261124, self.ben.bus()
        turns = random.Random(seed)
        sent = [
            await self.ann.bus().send(self.ben.address(), b"race", str(n).encode())
            for n in range(40)
        ]
        got, after, cancelled = [], None, 0
        while len(got) < len(sent):
            call = asyncio.create_task(bus.receive(b"race", LONG, after))
            for _ in range(turns.randrange(12)):
                await asyncio.sleep(0)
            if turns.random() < 0.7:
                call.cancel()
            try:
                message = await asyncio.wait_for(call, LIMIT)
            except asyncio.CancelledError:
                cancelled += 1
                continue
            got.append(message.id)
            after = message.id
        self.assertEqual(sorted(got), sorted(sent), f"seed {seed}")
        self.assertGreater(cancelled, 0)

    async def test_a_batch_repeats_until_the_next_call_names_its_cursor(self):
        events = self.ann.events()
        start = events.now()
        for text in ["eins", "zwei", "drei"]:
            await self.ann.messaging().send("400::1", text)
        first = await events.next_batch(start, 2)
        self.assertEqual(await events.next_batch(start, 2), first)
        self.assertEqual(len(first.events), 2)
        self.assertIsInstance(first.events[0], Event.LINE_ADDED)
        rest = await events.next_batch(first.cursor, 100)
        self.assertNotEqual(rest.events[0], first.events[1])
        self.assertEqual(await events.next_batch(start, 100), await events.next_batch(start, 100))

    async def test_a_waiting_batch_ends_by_its_handle_or_its_task_and_loses_nothing(self):
        # Nothing happens in an offline phone until it is told to.
        phone = await self.open(await self.init("Carla"), Network.OFFLINE())
        events, handle = phone.events(), CancelHandle()
        waiting = asyncio.create_task(events.next_batch(0, 10, handle))
        await asyncio.sleep(0)
        self.assertFalse(waiting.done())
        handle.cancel()
        with self.assertRaises(PhoneError.Cancelled):
            await asyncio.wait_for(waiting, LIMIT)
        self.assertTrue(handle.is_cancelled())

        cursor = events.now()
        dropped = asyncio.create_task(events.next_batch(cursor, 10))
        await asyncio.sleep(0)
        line = await phone.messaging().send("400::1", "da")
        dropped.cancel()
        try:
            await dropped
        except asyncio.CancelledError:
            pass
        batch = await asyncio.wait_for(events.next_batch(cursor, 100), LIMIT)
        self.assertIn(Event.LINE_ADDED(id=line.id, chat="400::1"), batch.events)

    async def test_a_listener_is_told_and_one_that_throws_is_dropped(self):
        listener = Listener()
        await self.ann.events().set_listener(listener)
        await self.ann.messaging().send("400::1", "eins")
        await asyncio.wait_for(listener.told.wait(), LIMIT)

        for error in [ListenerError.Done(), RuntimeError("a bug in the app")]:
            throwing = Listener(error)
            await self.ann.events().set_listener(throwing)
            await self.ann.messaging().send("400::1", "zwei")
            await asyncio.wait_for(throwing.told.wait(), LIMIT)
            await self.ann.messaging().send("400::1", "drei")
            other = Listener()
            await self.ann.events().set_listener(other)
            await self.ann.messaging().send("400::1", "vier")
            await asyncio.wait_for(other.told.wait(), LIMIT)
            self.assertEqual(throwing.calls, 1)
        await self.ann.events().set_listener(None)

    async def test_a_restarted_phone_gets_what_was_on_the_way(self):
        await self.ann.messaging().send(self.ben.address(), "eins")
        await self.ben.shut_down()
        second = await self.ann.messaging().send(self.ben.address(), "zwei")
        await self.start_ben()
        lines = await self.at_ben.until(lambda: listed(self.ben, self.ann, 2))
        self.assertEqual([line.text for line in lines], ["eins", "zwei"])
        self.assertEqual([line.seq for line in lines], [1, 2])
        await self.at_ann.until(lambda: self.has_state(second.id, LineState.DELIVERED))
        self.assertEqual((await self.ann.status()).outbox.queued, 0)

    async def test_peers_are_listed_added_and_removed(self):
        [peer] = await self.ben.list_peers()
        self.assertEqual((peer.endpoint, peer.remembered), (self.port, False))
        other = "tcp://127.0.0.1:9"
        await self.ben.add_peer(other)
        await self.ben.add_peer(other)
        remembered = [peer.endpoint for peer in await self.ben.list_peers() if peer.remembered]
        self.assertEqual(remembered, [other])
        await self.ben.remove_peer(other)
        with self.assertRaises(PhoneError.NotFound):
            await self.ben.remove_peer(other)
        with self.assertRaises(PhoneError.InvalidArgument) as caught:
            await self.ben.add_peer("nowhere")
        self.assertEqual(caught.exception.argument, "endpoint")

    async def test_a_phone_that_is_shut_down_says_so_everywhere(self):
        bus, events, cursor = self.ben.bus(), self.ben.events(), self.ben.events().now()
        receiving = asyncio.create_task(bus.receive(None, LONG))
        reading = asyncio.create_task(self.read_all(events, cursor))
        await asyncio.sleep(0)
        await self.ben.shut_down()
        for waiting in [receiving, reading]:
            with self.assertRaises(PhoneError.Closed):
                await asyncio.wait_for(waiting, LIMIT)
        for call in [
            lambda: self.ben.status(),
            lambda: self.ben.messaging().send("400::1", "zu spät"),
            lambda: self.ben.mail().list_mails(MailQuery()),
            lambda: bus.receive(None, AT_ONCE),
            lambda: events.set_listener(Listener()),
        ]:
            with self.assertRaises(PhoneError.Closed):
                await call()
        await self.ben.shut_down()

    async def read_all(self, events, cursor):
        while True:
            cursor = (await events.next_batch(cursor, 100)).cursor


class Listener(EventListener):
    """Counts its calls, and throws if it was given what."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error
        self.loop, self.told = asyncio.get_running_loop(), asyncio.Event()

    def changed(self):
        self.calls += 1
        self.loop.call_soon_threadsafe(self.told.set)
        if self.error:
            raise self.error


class OnePhone(Profiles):
    """What needs no network."""

    async def test_a_profile_opens_with_its_own_key_only(self):
        key, other = KeySource.BYTES(bytes=b"k" * 32), KeySource.BYTES(bytes=b"x" * 32)
        home = await self.init("Ann", key)
        with self.assertRaises(PhoneError.WrongKey) as caught:
            await open_phone(home, Network.OFFLINE(), other)
        self.assertNotIn(str(self.homes), str(caught.exception))
        with self.assertRaises(PhoneError.InvalidArgument):
            await open_phone(home, Network.OFFLINE(), KeySource.BYTES(bytes=b"short"))
        phone = await self.open(home, Network.OFFLINE(), key)
        self.assertEqual(phone.name(), "Ann")

    async def test_a_passphrase_opens_what_it_made(self):
        key = KeySource.PASSPHRASE(bytes="Möhren".encode())
        home = await self.init("Ann", key)
        with self.assertRaises(PhoneError.WrongKey):
            await open_phone(home, Network.OFFLINE())
        await self.open(home, Network.OFFLINE(), key)

    async def test_folders_that_do_not_fit_are_told_apart(self):
        with self.assertRaises(PhoneError.NoProfile):
            await open_phone(self.homes / "nobody", Network.OFFLINE())
        home = await self.init("Ann")
        with self.assertRaises(PhoneError.AlreadyExists):
            await init_profile(str(home), "Ben", KeySource.FILE())
        with self.assertRaises(PhoneError.InvalidArgument):
            await init_profile(str(self.homes / "new"), "", KeySource.FILE())
        await self.open(home, Network.OFFLINE())
        with self.assertRaises(PhoneError.InUse) as caught:
            await open_phone(home, Network.OFFLINE())
        self.assertEqual(caught.exception.pid, os.getpid())

    async def test_an_offline_phone_queues_and_has_no_bus(self):
        phone = await self.open(await self.init("Ann"), Network.OFFLINE())
        line = await phone.messaging().send("400::1", "später")
        self.assertEqual(line.state, LineState.QUEUED)
        self.assertEqual((await phone.status()).outbox.queued, 1)
        with self.assertRaises(PhoneError.Offline):
            phone.bus()
        for to, text in [("ben", "x"), ("400::1", ""), ("::1", "x"), (phone.address(), "x")]:
            with self.assertRaises(PhoneError.InvalidArgument):
                await phone.messaging().send(to, text)
        with self.assertRaises(PhoneError.TooLarge):
            await phone.messaging().send("400::1", "x" * 10_000_000)

    async def test_files_go_in_and_out_unchanged(self):
        phone = await self.open(await self.init("Ann"), Network.OFFLINE())
        letter = LETTER.read_bytes()
        done = await phone.mail().import_file(str(LETTER), Mailbox.INBOX)
        self.assertEqual((done.done, done.duplicates, done.bytes), (1, 0, len(letter)))
        [mail] = await phone.mail().list_mails(MailQuery())
        self.assertEqual(await phone.mail().raw(mail.id), letter)
        self.assertEqual(await phone.mail().import_message(letter, Mailbox.INBOX), mail.id)

        box, copy = self.homes / "box.mbox", self.homes / "copy.mbox"
        box.write_bytes(b"".join(self.entry(n) for n in range(200)))
        listener = Told()
        done = await phone.mail().import_file(str(box), Mailbox.SENT, listener)
        self.assertEqual((done.done, listener.last), (200, done))
        await phone.mail().export_file(str(copy), Mailbox.SENT)
        self.assertEqual(copy.read_bytes(), box.read_bytes())
        with self.assertRaises(PhoneError.AlreadyExists):
            await phone.mail().export_file(str(copy), Mailbox.SENT)
        with self.assertRaises(PhoneError.NotFound):
            await phone.mail().import_file(str(self.homes / "none"), Mailbox.SENT)

    async def test_an_import_that_is_cancelled_keeps_what_it_has_and_goes_on_later(self):
        phone = await self.open(await self.init("Ann"), Network.OFFLINE())
        box = self.homes / "box.mbox"
        box.write_bytes(b"".join(self.entry(n) for n in range(2000)))
        handle = CancelHandle()
        with self.assertRaises(PhoneError.Cancelled):
            await phone.mail().import_file(str(box), Mailbox.INBOX, Told(handle.cancel), handle)
        kept = len(await phone.mail().list_mails(MailQuery()))
        self.assertGreater(kept, 0)
        done = await phone.mail().import_file(str(box), Mailbox.INBOX)
        self.assertEqual(done.done + done.duplicates, 2000)
        self.assertGreaterEqual(done.duplicates, kept)
        self.assertEqual(len(await phone.mail().list_mails(MailQuery())), 2000)

    @staticmethod
    def entry(n):
        head = f"From ann@example.org Mon Nov 23 09:30:00 2026\nSubject: {n}\n\n"
        return f"{head}Zeile {n}\n\n".encode()


class Told(ProgressListener):
    """Keeps what it was told last."""

    def __init__(self, then=lambda: None):
        self.last, self.then = None, then

    def progressed(self, progress):
        self.last = progress
        self.then()


if __name__ == "__main__":
    unittest.main()
