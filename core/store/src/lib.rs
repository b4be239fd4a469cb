#![doc = include_str!("../README.md")]

mod error;
mod key;
mod migrate;
mod open;
mod reader;
mod store;
mod writer;

pub use error::StoreError;
pub use key::{KdfParams, StoreKey};
pub use migrate::Room;
pub use open::StoreOptions;
pub use rusqlite;
pub use store::Store;
pub use writer::WriteTx;
