//! A NATS client as a twistor protocol: callbacks on a single-threaded event loop.
//!
//! ```no_run
//! use std::time::Duration;
//! use twistor::Reactor;
//! use twistor_nats::Client;
//!
//! let mut reactor = Reactor::new()?;
//! let client = Client::connect("nats://127.0.0.1:4222", &mut reactor)?;
//!
//! client.subscribe("greet.*", {
//!     let client = client.clone();
//!     move |_reactor, message| {
//!         let Some(reply) = message.reply() else { return };
//!         if let Err(error) = client.publish(reply, "hello") {
//!             log::warn!("{error}");
//!         }
//!     }
//! })?;
//!
//! let timeout = Duration::from_secs(1);
//! client.request("greet.ann", "", timeout, &mut reactor, |reactor, answer| {
//!     match answer {
//!         Ok(message) => println!("{}", String::from_utf8_lossy(message.payload())),
//!         Err(error) => println!("{error}"),
//!     }
//!     reactor.stop();
//! })?;
//! reactor.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The model
//!
//! A [`Client`] is a handle, which can be cloned and kept, as a
//! [`Transport`](twistor::Transport) can: requests to it never block and never call back. A
//! subscription is a closure that is called with each message and with the reactor, one at a time.
//! The client connects in the background, and again when its connection is lost, to the servers
//! that it was given and those that they tell of. Then it makes its subscriptions again, before it
//! publishes anything.
//!
//! # What NATS promises, and what it does not
//!
//! Messages of one publisher on one connection arrive in order, at most once. What is published
//! while a connection breaks may be lost on the way, and a subscriber misses what is published
//! while it is not connected: [`Event::Disconnected`] and [`Event::Connected`] tell when that is. A
//! subscriber that reads too slowly is cut off by the server, without an error:
//! [`Event::Disconnected`] says where to look.
//!
//! # Features
//!
//! - `tls`: encrypted connections.
//! - `nkey`: authentication by an nkey.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
pub mod codec;
mod connection;
pub mod error;
mod event;
mod factory;
mod first_panic;
mod link;
mod message;
#[cfg(feature = "nkey")]
mod nkey;
mod options;
mod publish_queue;
mod reconnect;
mod server_address;
mod server_pool;
mod state;
mod statistics;
mod subscription;
#[cfg(feature = "tls")]
mod tls_trust;

pub use client::Client;
pub use codec::{HeaderMap, ServerInfo, Status, Subject};
pub use event::Event;
pub use message::Message;
#[cfg(feature = "nkey")]
pub use nkey::{Nkey, NkeyError};
pub use options::ConnectOptions;
pub use publish_queue::QueuePolicy;
pub use statistics::Statistics;
pub use subscription::SubscriptionId;
