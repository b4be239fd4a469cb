//! Who waits for which received messages, and those that came back from readers who left.
//!
//! Completed messages stay in the engine, which counts them and acknowledges only what it has room
//! for. They leave it one by one: into a subscription while that has room, or to a reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::command::{Handover, Released, Reply, Taking};
use crate::bus::Wanted;
use crate::engine;
use crate::message::{ReceivedMessage, TopicFilter};
use crate::node::Subscription;

/// Messages a subscription holds for its reader; the rest waits in the engine.
const SUBSCRIPTION: usize = 256;

/// What the sender of a message has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// That it arrived.
    Arrived,
    /// That somebody read it, too.
    Read,
}

/// Where whole messages wait.
pub(crate) trait Queue {
    /// Takes the oldest that is wanted, and tells its sender.
    fn take(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage>;
    /// A copy of it; its sender is told all the same.
    fn peek(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage>;
    /// Tells the sender of a message that somebody read it.
    fn tell_read(&mut self, message: &ReceivedMessage);
}

/// The engine at a moment.
pub(crate) struct Engine<'a>(pub(crate) &'a mut engine::Engine, pub(crate) Instant);

impl Queue for Engine<'_> {
    fn take(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
        self.0.take_wanted(wanted, self.1)
    }

    fn peek(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
        self.0.peek_wanted(wanted, self.1)
    }

    fn tell_read(&mut self, message: &ReceivedMessage) {
        self.0.tell_read(message, self.1);
    }
}

/// Readers and subscriptions.
pub(crate) struct Inbox {
    subscriptions: HashMap<Bytes, Subscriber>,
    readers: Vec<Reader>,
    returned: VecDeque<(ReceivedMessage, Told)>,
    released: mpsc::UnboundedSender<Released>,
}

/// Somebody who waits for a message.
struct Reader {
    filter: TopicFilter,
    taking: Taking,
    reply: Reply<Option<Handover>>,
}

struct Subscriber {
    sender: mpsc::Sender<ReceivedMessage>,
    /// Set while messages wait because the channel is full; the reader then says when it has room.
    starved: Arc<AtomicBool>,
}

impl Inbox {
    /// `released` is where readers give back what they do not take.
    pub(crate) fn new(released: mpsc::UnboundedSender<Released>) -> Self {
        Self {
            subscriptions: HashMap::new(),
            readers: Vec::new(),
            returned: VecDeque::new(),
            released,
        }
    }

    /// Reserves `topic`; replaces who had it before, whose channel then ends.
    pub(crate) fn subscribe(&mut self, topic: Bytes) -> Subscription {
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION);
        let starved = Arc::new(AtomicBool::new(false));
        self.subscriptions.insert(topic, Subscriber { sender, starved: Arc::clone(&starved) });
        Subscription { receiver, starved, released: self.released.clone() }
    }

    /// Where messages are given back.
    pub(crate) fn released(&self) -> mpsc::UnboundedSender<Released> {
        self.released.clone()
    }

    /// Lets somebody wait for a message.
    pub(crate) fn park(
        &mut self,
        filter: TopicFilter,
        taking: Taking,
        reply: Reply<Option<Handover>>,
    ) {
        self.readers.retain(|reader| !reader.reply.is_closed());
        self.readers.push(Reader { filter, taking, reply });
    }

    /// A message came back from a reader who left; it is the next to be taken.
    pub(crate) fn give_back(&mut self, message: ReceivedMessage, told: Told) {
        self.returned.push_back((message, told));
    }

    /// The oldest message for `filter`, from those that came back or from `queue`.
    pub(crate) fn find(
        &mut self,
        filter: &TopicFilter,
        taking: Taking,
        queue: &mut impl Queue,
    ) -> Option<ReceivedMessage> {
        let (subscriptions, returned) = (&self.subscriptions, &mut self.returned);
        let wanted = |topic: &Bytes| match filter {
            TopicFilter::Any => !subscriptions.contains_key(topic),
            TopicFilter::Is(wanted) => topic == wanted && !subscriptions.contains_key(topic),
        };
        if let Some(position) = returned.iter().position(|(message, _)| wanted(&message.topic)) {
            return give_returned(returned, position, taking, queue);
        }
        let mut read = |wanted: &Wanted<'_>| match taking {
            Taking::Take => queue.take(wanted),
            Taking::Peek => queue.peek(wanted),
        };
        match filter {
            TopicFilter::Is(topic) if wanted(topic) => read(&Wanted::Topic(topic)),
            TopicFilter::Is(_) => None,
            TopicFilter::Any => read(&Wanted::Passing(&wanted)),
        }
    }

    /// Hands out all that can be handed out.
    pub(crate) fn deliver(&mut self, queue: &mut impl Queue) {
        let returned = &mut self.returned;
        for (topic, subscriber) in &self.subscriptions {
            subscriber.fill(|| {
                match returned.iter().position(|(message, _)| message.topic == topic) {
                    Some(position) => give_returned(returned, position, Taking::Take, queue),
                    None => queue.take(&Wanted::Topic(topic)),
                }
            });
        }
        let mut waiting = Vec::new();
        for reader in std::mem::take(&mut self.readers) {
            if reader.reply.is_closed() {
                continue;
            }
            match self.find(&reader.filter, reader.taking, queue) {
                // A reader that left in this moment gives the message back by dropping it.
                Some(message) => {
                    drop(reader.reply.send(Some(self.hand_over(message, reader.taking))));
                }
                None => waiting.push(reader),
            }
        }
        self.readers = waiting;
    }

    /// Packs a message for a reader.
    pub(crate) fn hand_over(&self, message: ReceivedMessage, taking: Taking) -> Handover {
        match taking {
            Taking::Take => Handover::new(message, self.released.clone()),
            Taking::Peek => Handover::copy(message),
        }
    }
}

/// One of those that came back.
fn give_returned(
    returned: &mut VecDeque<(ReceivedMessage, Told)>,
    position: usize,
    taking: Taking,
    queue: &mut impl Queue,
) -> Option<ReceivedMessage> {
    let (message, told) = returned.get_mut(position)?;
    if *told == Told::Arrived {
        queue.tell_read(message);
        *told = Told::Read;
    }
    match taking {
        Taking::Peek => Some(message.clone()),
        Taking::Take => returned.remove(position).map(|(message, _)| message),
    }
}

impl Subscriber {
    fn fill(&self, mut take: impl FnMut() -> Option<ReceivedMessage>) {
        loop {
            // Set first: the reader may make room between our look and our leaving.
            self.starved.store(true, Ordering::SeqCst);
            let Ok(permit) = self.sender.try_reserve() else { return };
            self.starved.store(false, Ordering::SeqCst);
            match take() {
                Some(message) => permit.send(message),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use threephone_address::PublicKey;
    use tokio::sync::oneshot;

    use super::*;
    use crate::message::MessageId;

    fn message(topic: &'static str, number: u8) -> ReceivedMessage {
        ReceivedMessage {
            id: MessageId([number; 8]),
            topic: topic.into(),
            source: Ipv6Addr::LOCALHOST,
            source_key: PublicKey::from_bytes([1; 32]),
            destination: Ipv6Addr::LOCALHOST,
            payload: Bytes::new(),
            reply: false,
        }
    }

    /// Stands for the engine's queue of whole messages.
    struct Waiting(Vec<ReceivedMessage>);

    impl Queue for Waiting {
        fn take(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
            let passes = |message: &ReceivedMessage| match wanted {
                Wanted::Topic(topic) => message.topic == *topic,
                Wanted::Passing(passes) => passes(&message.topic),
            };
            let position = self.0.iter().position(passes)?;
            Some(self.0.remove(position))
        }

        fn peek(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
            let message = self.take(wanted)?;
            self.0.insert(0, message.clone());
            Some(message)
        }

        fn tell_read(&mut self, message: &ReceivedMessage) {
            panic!("{} was read before", message.id);
        }
    }

    fn inbox() -> (Inbox, mpsc::UnboundedReceiver<Released>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Inbox::new(sender), receiver)
    }

    #[test]
    fn a_message_for_a_reader_who_left_goes_to_the_next() {
        let (mut inbox, mut released) = inbox();
        let mut queue = Waiting(vec![message("a", 1)]);
        let (reply, answer) = oneshot::channel();
        inbox.park(TopicFilter::Any, Taking::Take, reply);
        inbox.deliver(&mut queue);
        drop(answer);
        let Ok(Released::Message(back)) = released.try_recv() else { panic!("it comes back") };
        inbox.give_back(back, Told::Read);
        let (reply, mut answer) = oneshot::channel();
        inbox.park(TopicFilter::Is("a".into()), Taking::Take, reply);
        inbox.deliver(&mut queue);
        let handover = answer.try_recv().unwrap().unwrap();
        assert_eq!(handover.take(), Some(message("a", 1)));
        assert!(released.try_recv().is_err(), "what was taken does not come back");
    }

    #[test]
    fn what_a_full_subscription_cannot_hold_stays_in_the_queue() {
        let (mut inbox, mut released) = inbox();
        let mut queue = Waiting(vec![message("s", 1); SUBSCRIPTION + 5]);
        let mut subscription = inbox.subscribe("s".into());
        inbox.deliver(&mut queue);
        assert_eq!(queue.0.len(), 5);
        subscription.receiver.try_recv().unwrap();
        assert!(
            subscription.starved.load(Ordering::SeqCst),
            "its reader will say that it has room"
        );
        drop(subscription);
        let mut back = 0;
        while let Ok(Released::Message(_)) = released.try_recv() {
            back += 1;
        }
        assert_eq!(back, SUBSCRIPTION - 1, "unread messages outlive the subscription");
    }

    #[tokio::test]
    async fn a_reader_whose_subscription_was_full_asks_for_more_once_when_half_is_taken() {
        let (mut inbox, mut released) = inbox();
        let mut queue = Waiting(vec![message("s", 1); 2 * SUBSCRIPTION]);
        let mut subscription = inbox.subscribe("s".into());
        inbox.deliver(&mut queue);
        for taken in 1..=SUBSCRIPTION {
            subscription.next().await.unwrap();
            let asks = matches!(released.try_recv(), Ok(Released::Room));
            assert_eq!(asks, taken == SUBSCRIPTION / 2, "after {taken}");
        }
        inbox.deliver(&mut queue);
        assert!(queue.0.is_empty());
    }

    #[test]
    fn reserved_topics_are_for_their_subscription_only() {
        let (mut inbox, _released) = inbox();
        let mut queue = Waiting(vec![message("s", 1)]);
        let _subscription = inbox.subscribe("s".into());
        for filter in [TopicFilter::Any, TopicFilter::Is("s".into())] {
            assert_eq!(inbox.find(&filter, Taking::Take, &mut queue), None);
        }
    }
}
