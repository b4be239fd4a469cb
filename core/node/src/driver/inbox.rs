//! Who waits for which received messages, and those that came back from readers who left.
//!
//! Completed messages stay in the engine, which counts them and acknowledges only what it has room
//! for. They leave it one by one: into a subscription while that has room, or to a reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::command::{Handover, Released, Reply};
use crate::bus::Wanted;
use crate::message::{ReceivedMessage, TopicFilter};
use crate::node::Subscription;

/// Messages a subscription holds for its reader; the rest waits in the engine.
const SUBSCRIPTION: usize = 256;

/// Readers and subscriptions.
pub(crate) struct Inbox {
    subscriptions: HashMap<Bytes, Subscriber>,
    readers: Vec<(TopicFilter, Reply<Option<Handover>>)>,
    returned: VecDeque<ReceivedMessage>,
    released: mpsc::UnboundedSender<Released>,
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

    /// Lets somebody wait for a message.
    pub(crate) fn park(&mut self, filter: TopicFilter, reply: Reply<Option<Handover>>) {
        self.readers.retain(|(_, reply)| !reply.is_closed());
        self.readers.push((filter, reply));
    }

    /// A message came back from a reader who left; it is the next to be taken.
    pub(crate) fn give_back(&mut self, message: ReceivedMessage) {
        self.returned.push_back(message);
    }

    /// The oldest message for `filter`, from those that came back or by `take` from the engine.
    pub(crate) fn find(
        &mut self,
        filter: &TopicFilter,
        take: &mut impl FnMut(&Wanted<'_>) -> Option<ReceivedMessage>,
    ) -> Option<ReceivedMessage> {
        let (subscriptions, returned) = (&self.subscriptions, &mut self.returned);
        let wanted = |topic: &Bytes| match filter {
            TopicFilter::Any => !subscriptions.contains_key(topic),
            TopicFilter::Is(wanted) => topic == wanted && !subscriptions.contains_key(topic),
        };
        if let Some(position) = returned.iter().position(|message| wanted(&message.topic)) {
            return returned.remove(position);
        }
        match filter {
            TopicFilter::Is(topic) if wanted(topic) => take(&Wanted::Topic(topic)),
            TopicFilter::Is(_) => None,
            TopicFilter::Any => take(&Wanted::Passing(&wanted)),
        }
    }

    /// Hands out all that can be handed out. `take` removes from the engine the oldest message
    /// whose topic is wanted.
    pub(crate) fn deliver(&mut self, mut take: impl FnMut(&Wanted<'_>) -> Option<ReceivedMessage>) {
        let returned = &mut self.returned;
        for (topic, subscriber) in &self.subscriptions {
            subscriber.fill(|| {
                let position = returned.iter().position(|message| message.topic == topic);
                match position {
                    Some(position) => returned.remove(position),
                    None => take(&Wanted::Topic(topic)),
                }
            });
        }
        let mut waiting = Vec::new();
        for (filter, reply) in std::mem::take(&mut self.readers) {
            if reply.is_closed() {
                continue;
            }
            match self.find(&filter, &mut take) {
                // A reader that left in this moment gives the message back by dropping it.
                Some(message) => {
                    drop(reply.send(Some(Handover::new(message, self.released.clone()))));
                }
                None => waiting.push((filter, reply)),
            }
        }
        self.readers = waiting;
    }

    /// Packs a message for a reader.
    pub(crate) fn hand_over(&self, message: ReceivedMessage) -> Handover {
        Handover::new(message, self.released.clone())
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
    struct Queue(Vec<ReceivedMessage>);

    impl Queue {
        fn take(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
            let passes = |message: &ReceivedMessage| match wanted {
                Wanted::Topic(topic) => message.topic == *topic,
                Wanted::Passing(passes) => passes(&message.topic),
            };
            let position = self.0.iter().position(passes)?;
            Some(self.0.remove(position))
        }
    }

    fn inbox() -> (Inbox, mpsc::UnboundedReceiver<Released>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Inbox::new(sender), receiver)
    }

    #[test]
    fn a_message_for_a_reader_who_left_goes_to_the_next() {
        let (mut inbox, mut released) = inbox();
        let mut queue = Queue(vec![message("a", 1)]);
        let (reply, answer) = oneshot::channel();
        inbox.park(TopicFilter::Any, reply);
        inbox.deliver(|wanted| queue.take(wanted));
        drop(answer);
        let Ok(Released::Message(back)) = released.try_recv() else { panic!("it comes back") };
        inbox.give_back(back);
        let (reply, mut answer) = oneshot::channel();
        inbox.park(TopicFilter::Is("a".into()), reply);
        inbox.deliver(|wanted| queue.take(wanted));
        let handover = answer.try_recv().unwrap().unwrap();
        assert_eq!(handover.take(), Some(message("a", 1)));
        assert!(released.try_recv().is_err(), "what was taken does not come back");
    }

    #[test]
    fn what_a_full_subscription_cannot_hold_stays_in_the_queue() {
        let (mut inbox, mut released) = inbox();
        let mut queue = Queue(vec![message("s", 1); SUBSCRIPTION + 5]);
        let mut subscription = inbox.subscribe("s".into());
        inbox.deliver(|wanted| queue.take(wanted));
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

    #[test]
    fn reserved_topics_are_for_their_subscription_only() {
        let (mut inbox, _released) = inbox();
        let mut queue = Queue(vec![message("s", 1)]);
        let _subscription = inbox.subscribe("s".into());
        for filter in [TopicFilter::Any, TopicFilter::Is("s".into())] {
            assert_eq!(inbox.find(&filter, &mut |wanted| queue.take(wanted)), None);
        }
    }
}
