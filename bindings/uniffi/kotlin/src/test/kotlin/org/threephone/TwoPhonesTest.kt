//! Two phones in one process, joined over loopback, driven through the generated Kotlin bindings.
//! Every wait is for an event of a phone or for an answer; the one time limit is there only so that
//! a phone that never answers fails the test instead of hanging it.

package org.threephone

import java.io.File
import java.nio.file.Files
import java.time.Duration
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Assert.fail
import org.junit.Test

private const val LIMIT = 60_000L
private val LONG: Duration = Duration.ofMinutes(10)
private const val NOBODY = "400::1"

/** Follows a phone's events, acknowledging each batch by naming its cursor. */
private class Watch(phone: Phone) {
    private val events = phone.events()
    private var cursor = 0uL

    suspend fun <T : Any> until(met: suspend () -> T?): T {
        while (true) {
            met()?.let { return it }
            cursor = events.nextBatch(cursor, 100u).cursor
        }
    }
}

class TwoPhonesTest {
    private val homes: File = Files.createTempDirectory("threephone-").toFile()
    private val opened = mutableListOf<Phone>()

    @After
    fun shutDown() {
        runBlocking { opened.forEach { it.shutDown() } }
        opened.forEach { it.close() }
        homes.deleteRecursively()
    }

    private fun home(name: String) = File(homes, name).path

    private suspend fun open(name: String, network: Network, key: KeySource = KeySource.File): Phone =
        Phone.open(PhoneOptions(home(name), key, network)).also { opened.add(it) }

    private suspend fun online(name: String, listen: List<String>, peers: List<String>): Phone =
        open(name, Network.Online(NodeOptions(listen = listen, peers = peers)))

    private inner class Pair(val ann: Phone, var ben: Phone, val port: String) {
        suspend fun meet() {
            val topic = "hello".toByteArray()
            for ((here, there) in listOf(ann to ben, ben to ann)) {
                val id = here.bus().send(there.address(), topic, ByteArray(0))
                there.bus().receive(topic, LONG)
                there.bus().receive(topic, Duration.ZERO, after = id)
            }
        }

        suspend fun stopBen() = ben.shutDown()

        suspend fun startBen() {
            ben = online("Ben", listOf(), listOf(port))
            meet()
        }
    }

    /** Runs a test with Ann, who listens, and Ben, who dials her; both know the way to each other. */
    private fun withTwo(test: suspend CoroutineScope.(Pair) -> Unit) = withLimit {
        initProfile(home("Ann"), "Ann", KeySource.File)
        initProfile(home("Ben"), "Ben", KeySource.File)
        val ann = online("Ann", listOf("tcp://127.0.0.1:0"), listOf())
        val port = ann.status().listening.single()
        val pair = Pair(ann, online("Ben", listOf(), listOf(port)), port)
        pair.meet()
        test(pair)
    }

    private fun withLimit(test: suspend CoroutineScope.() -> Unit) =
        runBlocking(Dispatchers.Default) { withTimeout(LIMIT) { test() } }

    private suspend fun lines(phone: Phone, peer: Phone, count: Int): List<LineView>? =
        phone.messaging().listLines(LineQuery(chat = peer.address())).takeIf { it.size >= count }

    private suspend inline fun <reified E : PhoneException> refused(call: suspend () -> Unit): E {
        try {
            call()
        } catch (error: PhoneException) {
            if (error is E) return error
            throw error
        }
        fail("nothing was thrown")
        throw IllegalStateException()
    }

    @Test
    fun `a line is delivered and read and answered`() = withTwo { two ->
        val atAnn = Watch(two.ann)
        val atBen = Watch(two.ben)
        val sent = two.ann.messaging().send(two.ben.address(), "Kommst du? 🌻")
        suspend fun isAt(state: LineState) =
            Unit.takeIf { two.ann.messaging().line(sent.id)?.state == state }

        val line = atBen.until { lines(two.ben, two.ann, 1) }.single()
        assertEquals("Kommst du? 🌻", line.text)
        assertEquals(LineState.RECEIVED, line.state)
        atAnn.until { isAt(LineState.DELIVERED) }
        assertEquals(1uL, two.ben.messaging().markRead(two.ann.publicKey()))
        atAnn.until { isAt(LineState.READ) }

        two.ben.messaging().send(two.ann.address(), "Ja")
        val both = atAnn.until { lines(two.ann, two.ben, 2) }
        assertEquals(listOf("Kommst du? 🌻", "Ja"), both.map { it.text })
        val chat = two.ann.messaging().listChats().single()
        assertEquals(two.ben.address(), chat.peer)
        assertEquals(1uL, chat.unread)
    }

    @Test
    fun `a mail arrives with its file`() = withTwo { two ->
        val atAnn = Watch(two.ann)
        val atBen = Watch(two.ben)
        val data = ByteArray(25_600) { it.toByte() }
        val sent = two.ann.mail().send(
            MailDraft(
                to = listOf("ben@[IPv6:${two.ben.address()}]"),
                subject = "Die Liste",
                text = "Lieber Ben, anbei die Gurkensorten.",
                attachments = listOf(Attachment("liste.bin", "image/png", data)),
            ),
        )
        val mail = atBen.until {
            two.ben.mail().listMails(MailQuery(mailbox = Mailbox.INBOX)).firstOrNull()
        }
        assertEquals("Die Liste", mail.subject)
        atAnn.until {
            val states = two.ann.mail().show(sent.id).view.recipients.map { it.state }
            Unit.takeIf { states == listOf(RecipientState.DELIVERED) }
        }
        val detail = two.ben.mail().show(mail.id)
        assertTrue(detail.text.contains("Gurkensorten"))
        assertEquals("liste.bin", detail.attachments.single().name)
        assertArrayEquals(data, two.ben.mail().attachment(mail.id, 0u))
        assertArrayEquals(two.ann.mail().raw(sent.id), two.ben.mail().raw(mail.id))
        assertEquals(listOf(mail.id), two.ben.mail().search("gurken").map { it.id })
        two.ben.mail().markSeen(mail.id)
        assertTrue(two.ben.mail().show(mail.id).view.flags.seen)
        refused<PhoneException.NotFound> { two.ben.mail().attachment(mail.id, 1u) }
    }

    @Test
    fun `bus messages of no byte and of many arrive`() = withTwo { two ->
        val topic = "weather".toByteArray()
        for (payload in listOf(ByteArray(0), ByteArray(70_000) { it.toByte() })) {
            val id = two.ann.bus().send(two.ben.address(), topic, payload)
            val message = two.ben.bus().receive(topic, LONG)!!
            assertEquals(id, message.id)
            assertArrayEquals(payload, message.payload)
            assertEquals(two.ann.publicKey(), message.sourcePublicKey)
            val state = two.ann.bus().waitFor(id, LONG)
            assertTrue(state == SendState.RECEIVED || state == SendState.READ)
            assertNull(two.ben.bus().receive(topic, Duration.ZERO, after = id))
        }
    }

    @Test
    fun `a question is peeked at and answered to whom it waits for`() = withTwo { two ->
        val topic = "ask".toByteArray()
        val asking = async(start = CoroutineStart.UNDISPATCHED) {
            two.ann.bus().sendForReply(two.ben.address(), topic, "when?".toByteArray(), LONG)
        }
        val bus = two.ben.bus()
        val seen = bus.peek(topic, LONG)!!
        val question = bus.receive(topic, LONG)!!
        assertEquals(seen.id, question.id)
        bus.reply(question.source, question.id, "at nine".toByteArray())
        val answer = asking.await()
        assertEquals(question.id, answer.id)
        assertEquals("at nine", answer.reply!!.payload.decodeToString())
        assertNull(two.ann.bus().receive(null, Duration.ZERO))
    }

    @Test
    fun `a node is steered and tells what it counts`() = withTwo { two ->
        val bus = two.ben.bus()
        val rule = TopicRule("hello".toByteArray(), listOf(two.ann.address()))
        bus.setTopicPolicy(TopicPolicy(acceptOthers = false, rules = listOf(rule)))
        assertEquals(listOf("${two.ann.address()}/128"), bus.topicPolicy().rules.single().sources)
        val refused = two.ann.bus().send(two.ben.address(), ByteArray(0), "x".toByteArray())
        two.meet()
        val drop = two.ben.metrics().drops.single { it.kind == DropKind.MESSAGE }
        assertEquals("policy", drop.reason)
        assertEquals(SendState.PENDING, two.ann.bus().progress(refused)!!.state)
        two.ann.bus().giveUp(refused)
        assertEquals(SendState.ABORTED, two.ann.bus().waitFor(refused, LONG))

        assertEquals(PowerMode.SUSPENDED, two.ben.setPower(PowerPolicy.Always(PowerMode.SUSPENDED)))
        assertEquals(PowerMode.SUSPENDED, two.ben.ledger().mode)
        assertEquals(PowerMode.ACTIVE, two.ben.setPower(PowerPolicy.Auto))
        two.ben.networkChanged()
        two.meet()
        val ledger = two.ben.ledger()
        assertEquals(WakeCause.entries.toSet(), ledger.causes.map { it.cause }.toSet())
        assertTrue(ledger.peers.single().spent.wakeUps > 0uL)
        assertTrue(two.ben.metrics().linksOpened >= 2uL)
        assertTrue(two.ben.packetStatistics().bySource.any { it.address == two.ann.address() })
    }

    @Test
    fun `phones of a private network meet and a short key is refused`() = withLimit {
        initProfile(home("Ann"), "Ann", KeySource.File)
        initProfile(home("Ben"), "Ben", KeySource.File)
        fun network(key: Int) = PrivateNetwork("ours", ByteArray(key) { 7 })
        val listening = NodeOptions(listOf("tls://127.0.0.1:0"), privateNetwork = network(32))
        val ann = open("Ann", Network.Online(listening))
        val ways = ann.status().listening
        val dialling = NodeOptions(peers = ways, privateNetwork = network(32))
        Pair(ann, open("Ben", Network.Online(dialling)), ways.single()).meet()
        val short = NodeOptions(privateNetwork = network(31))
        refused<PhoneException.InvalidArgument> { open("Ben", Network.Online(short)) }
    }

    @Test
    fun `a waiting receive ends by its handle or its coroutine and loses nothing`() = withTwo { two ->
        val bus = two.ben.bus()
        val handle = CancelHandle()
        // Undispatched: it has begun to wait when `async` returns.
        val waiting = async(start = CoroutineStart.UNDISPATCHED) {
            refused<PhoneException.Cancelled> { bus.receive(null, LONG, cancel = handle) }
        }
        handle.cancel()
        waiting.await()

        val dropped = async(start = CoroutineStart.UNDISPATCHED) { bus.receive(null, LONG) }
        dropped.cancel()
        try {
            dropped.await()
            fail("a cancelled coroutine gave a result")
        } catch (_: CancellationException) {
        }
        two.ann.bus().send(two.ben.address(), ByteArray(0), "still there".toByteArray())
        assertEquals("still there", bus.receive(null, LONG)!!.payload.decodeToString())
    }

    @Test
    fun `receives that are cancelled at any moment lose nothing`() = withTwo { two ->
        val seed = 20261124
        val turns = Random(seed)
        val bus = two.ben.bus()
        val topic = "race".toByteArray()
        val sent = (1..40).map { two.ann.bus().send(two.ben.address(), topic, byteArrayOf(it.toByte())) }
        val got = mutableListOf<String>()
        var after: String? = null
        var cancelled = 0
        while (got.size < sent.size) {
            val call = async(start = CoroutineStart.UNDISPATCHED) { bus.receive(topic, LONG, after) }
            repeat(turns.nextInt(40)) { yield() }
            if (turns.nextInt(10) < 7) call.cancel()
            try {
                after = call.await()!!.id
                got.add(after)
            } catch (_: CancellationException) {
                cancelled += 1
            }
        }
        assertEquals("seed $seed", sent.sorted(), got.sorted())
        assertTrue(cancelled > 0)
    }

    @Test
    fun `batches that are cancelled at any moment lose nothing`() = withTwo { two ->
        val seed = 20261125
        val turns = Random(seed)
        val events = two.ben.events()
        var cursor = events.now()
        val texts = (1..40).map { "$it" }
        val sending = launch { texts.forEach { two.ann.messaging().send(two.ben.address(), it) } }
        val added = mutableListOf<Long>()
        var cancelled = 0
        while (added.size < texts.size) {
            val call = async(start = CoroutineStart.UNDISPATCHED) { events.nextBatch(cursor, 3u) }
            repeat(turns.nextInt(40)) { yield() }
            if (turns.nextInt(10) < 7) call.cancel()
            try {
                val batch = call.await()
                cursor = batch.cursor
                added += batch.events.filterIsInstance<Event.LineAdded>().map { it.id }
            } catch (_: CancellationException) {
                cancelled += 1
            }
        }
        sending.join()
        val lines = two.ben.messaging().listLines(LineQuery(chat = two.ann.address()))
        // Events tell lines as they come in, the list has them as their author wrote them.
        assertEquals("seed $seed", lines.map { it.id }.sorted(), added)
        assertEquals(texts, lines.map { it.text })
        assertTrue(cancelled > 0)
    }

    @Test
    fun `a batch repeats until the next call names its cursor and a handle ends the wait`() = withTwo { two ->
        val events = two.ann.events()
        val start = events.now()
        listOf("eins", "zwei", "drei").forEach { two.ann.messaging().send(NOBODY, it) }
        val first = events.nextBatch(start, 2u)
        assertEquals(first, events.nextBatch(start, 2u))
        assertEquals(2, first.events.size)
        assertNotEquals(first.events[1], events.nextBatch(first.cursor, 1u).events[0])

        // Nothing happens in an offline phone, so this one waits.
        initProfile(home("Carla"), "Carla", KeySource.File)
        val quiet = open("Carla", Network.Offline).events()
        val handle = CancelHandle()
        val waiting = async(start = CoroutineStart.UNDISPATCHED) {
            refused<PhoneException.Cancelled> { quiet.nextBatch(quiet.now(), 10u, handle) }
        }
        assertFalse(waiting.isCompleted)
        handle.cancel()
        waiting.await()
        assertTrue(handle.isCancelled())
    }

    private class Listener(val error: Exception? = null) : EventListener {
        val told = CompletableDeferred<Unit>()
        val calls = AtomicInteger()

        override fun changed() {
            calls.incrementAndGet()
            told.complete(Unit)
            error?.let { throw it }
        }
    }

    @Test
    fun `a listener is told and one that throws is dropped`() = withTwo { two ->
        val listener = Listener()
        two.ann.events().setListener(listener)
        two.ann.messaging().send(NOBODY, "eins")
        listener.told.await()
        for (error in listOf(ListenerException.Done(), IllegalStateException("a bug in the app"))) {
            val throwing = Listener(error)
            two.ann.events().setListener(throwing)
            two.ann.messaging().send(NOBODY, "zwei")
            throwing.told.await()
            two.ann.messaging().send(NOBODY, "drei")
            val other = Listener()
            two.ann.events().setListener(other)
            two.ann.messaging().send(NOBODY, "vier")
            other.told.await()
            assertEquals(1, throwing.calls.get())
        }
        two.ann.events().setListener(null)
    }

    @Test
    fun `a restarted phone gets what was on the way`() = withTwo { two ->
        two.ann.messaging().send(two.ben.address(), "eins")
        two.stopBen()
        val second = two.ann.messaging().send(two.ben.address(), "zwei")
        two.startBen()
        val lines = Watch(two.ben).until { lines(two.ben, two.ann, 2) }
        assertEquals(listOf("eins", "zwei"), lines.map { it.text })
        assertEquals(listOf(1uL, 2uL), lines.map { it.seq })
        Watch(two.ann).until {
            Unit.takeIf { two.ann.messaging().line(second.id)?.state == LineState.DELIVERED }
        }
    }

    @Test
    fun `a phone that is shut down says so and a destroyed object is refused`() = withTwo { two ->
        val bus = two.ben.bus()
        val receiving = async(start = CoroutineStart.UNDISPATCHED) {
            refused<PhoneException.Closed> { bus.receive(null, LONG) }
        }
        two.ben.shutDown()
        receiving.await()
        refused<PhoneException.Closed> { two.ben.status() }
        refused<PhoneException.Closed> { two.ben.messaging().send(NOBODY, "zu spät") }
        refused<PhoneException.Closed> { bus.receive(null, Duration.ZERO) }
        val messaging = two.ann.messaging()
        messaging.close()
        try {
            messaging.listChats()
            fail("a destroyed object answered")
        } catch (_: IllegalStateException) {
        }
    }

    @Test
    fun `a profile opens with its own key only`() = withLimit {
        val key = KeySource.Bytes(ByteArray(32) { 1 })
        initProfile(home("Ann"), "Ann", key)
        val error = refused<PhoneException.WrongKey> {
            open("Ann", Network.Offline, KeySource.Bytes(ByteArray(32) { 2 }))
        }
        assertFalse("$error".contains(homes.path))
        refused<PhoneException.NoProfile> { open("Nobody", Network.Offline) }
        val ann = open("Ann", Network.Offline, key)
        refused<PhoneException.InUse> { open("Ann", Network.Offline, key) }
        refused<PhoneException.Offline> { ann.bus() }
        val invalid = refused<PhoneException.InvalidArgument> { ann.messaging().send("Ben", "x") }
        assertEquals("to", invalid.argument)
    }
}
