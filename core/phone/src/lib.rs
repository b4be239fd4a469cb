//! The phone: node, store and services of one profile, opened as one thing with one event stream.
//!
//! ```no_run
//! # async fn example() -> Result<(), threephone::PhoneError> {
//! use threephone::{Cursor, Home, KeySource, Network, Phone, PhoneOptions, Purpose};
//!
//! let home = Home::new("/home/ann/phone");
//! Phone::init(home.clone(), "Ann", KeySource::File).await?;
//! let phone = Phone::open(PhoneOptions {
//!     home,
//!     key: KeySource::File,
//!     network: Network::Offline,
//!     purpose: Purpose::Command,
//! })
//! .await?;
//! let mut cursor = Cursor::START;
//! while let Some(batch) = phone.events().next_batch(cursor, 100).await {
//!     // … draw what changed, then:
//!     cursor = batch.cursor;
//! }
//! phone.close().await
//! # }
//! ```
//!
//! This crate knows no protocol and no table of a service. It owns the home folder ([`Home`]), the
//! lock that lets one process at a time in, the runtime that everything runs on, the adapter that
//! lets delivery see the node as a link, and the order in which all of it starts and stops.

mod bus;
mod error;
mod event;
mod home;
mod init;
mod key;
pub mod limits;
mod link;
mod lock;
mod model;
mod node_key;
mod open;
mod peer;
mod phone;
mod runtime;
mod time;

pub use bus::Bus;
pub use error::PhoneError;
pub use event::{Batch, Cursor, EventLog};
pub use home::{Home, shell_word};
pub use init::InitReport;
pub use key::KeySource;
pub use link::TOPIC;
pub use lock::{Holder, Purpose};
pub use model::{Event, Network, NodeOptions, Peer, PhoneOptions, Status, Tun};
pub use phone::Phone;

pub use threephone_address as address;
pub use threephone_delivery as delivery;
pub use threephone_identity as identity;
pub use threephone_mail as mail;
pub use threephone_messaging as messaging;
pub use threephone_node as node;
pub use threephone_store as store;
