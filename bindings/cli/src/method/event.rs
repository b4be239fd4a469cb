//! `event.next`: the phone's event stream, for programs that draw it.

use serde::Deserialize;
use threephone::delivery::DeliveryEvent;
use threephone::mail::MailEvent;
use threephone::messaging::MessagingEvent;
use threephone::{Cursor, Event, Phone};

use crate::rpc::Failure;
use crate::view::{BatchView, EventView};

#[derive(Deserialize, Default)]
pub(super) struct Next {
    #[serde(default)]
    after: u64,
    max: Option<usize>,
}

pub(super) async fn next(phone: &Phone, params: Next) -> Result<BatchView, Failure> {
    let max = params.max.unwrap_or(100).min(1_000);
    let batch = phone.events().next_batch(Cursor(params.after), max).await;
    let batch = batch.ok_or_else(|| Failure::failed("the phone is closing"))?;
    Ok(BatchView { cursor: batch.cursor.0, events: batch.events.iter().map(view).collect() })
}

fn view(event: &Event) -> EventView {
    let plain = |kind: &str| EventView { kind: kind.into(), id: None, chat: None, lost: None };
    let about = |kind: &str, id: String| EventView { id: Some(id), ..plain(kind) };
    match event {
        Event::Chat(MessagingEvent::LineAdded { id, chat }) => {
            EventView { chat: Some(chat.to_string()), ..about("line_added", id.to_string()) }
        }
        Event::Chat(MessagingEvent::LineChanged { id, chat }) => {
            EventView { chat: Some(chat.to_string()), ..about("line_changed", id.to_string()) }
        }
        Event::Chat(MessagingEvent::ChatChanged { chat }) => {
            EventView { chat: Some(chat.to_string()), ..plain("chat_changed") }
        }
        Event::Mail(MailEvent::Arrived { id }) => about("mail_arrived", id.to_string()),
        Event::Mail(MailEvent::Changed { id }) => about("mail_changed", id.to_string()),
        Event::Delivery(DeliveryEvent::PeerKeyChanged { address, .. }) => {
            about("device_key_changed", address.to_string())
        }
        Event::Delivery(DeliveryEvent::Refused { address, .. }) => {
            about("envelope_refused", address.to_string())
        }
        Event::PeerUp { endpoint } => about("peer_up", endpoint.to_string()),
        Event::PeerDown { endpoint } => about("peer_down", endpoint.to_string()),
        Event::Reachable { key } => about("reachable", key.address().to_string()),
        Event::Unreachable { prefix } => about("unreachable", prefix.to_string()),
        Event::Overflow { lost } => EventView { lost: Some(*lost), ..plain("overflow") },
        // Of a newer core than this program.
        _ => plain("other"),
    }
}
