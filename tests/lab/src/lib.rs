#![doc = include_str!("../README.md")]

mod cable;
mod counters;
mod hostile;
mod judge;
mod node;
mod shape;
mod stock;
mod timers;
mod world;

pub use cable::{Cut, Wire};
pub use counters::Counters;
pub use judge::{Loop, Verdict};
pub use node::Kind;
pub use shape::Shape;
pub use world::{CableId, Ending, NodeId, World};
