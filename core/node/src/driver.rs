//! Connects the engine to the network and a clock.
//!
//! One task, `core`, owns the engine, the peer table and everybody who waits for something; it is
//! the only place where state changes. Around it stand tasks that only move bytes: one reader and
//! one writer a link, one accepter a listener, one dialler an attempt. The way of a message is
//! caller → core → writer → socket → reader → core → receiver, with no timer and no further hop.
//!
//! Tried and rejected: a lock around the engine instead of a task. Senders then write on their
//! own, but every acknowledgement competes with them, and what could leave in one write leaves in
//! many.

mod alarm;
mod answer;
pub(crate) mod command;
mod connect;
pub(crate) mod core;
mod dial;
pub(crate) mod discovery;
pub(crate) mod fastpath;
mod forward;
mod inbox;
mod interface;
mod link;
pub(crate) mod listener;
pub(crate) mod manners;
pub(crate) mod meter;
pub(crate) mod network;
mod outbox;
mod outgoing;
pub(crate) mod outside;
pub(crate) mod peer;
mod tally;
pub(crate) mod transport;
