#![doc = include_str!("../README.md")]

mod api;
mod config;
mod error;
mod guard;
mod http;
mod listener;
mod parse;
pub mod prometheus;
mod rpc;
mod server;
mod shape;
mod stream;
mod token;

pub use config::{ServerConfig, ServerLimits};
pub use server::{Addresses, ServerError, Servers};
pub use token::{Token, TokenError};
