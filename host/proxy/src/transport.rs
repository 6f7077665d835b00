//! Transports: each side of the relay is a pair of channels, whatever is behind it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `duplex` | the channels of one side, and what goes through them |
//! | `lines` | framing: bytes to lines |
//! | `stdio` | our own stdin and stdout: the client in front |
//! | `child` | a server as a child process |
//! | `http_client` | a server at a URL |
//! | `server` | a server, whichever of the two |
//! | `http_server` | clients in front, over HTTP |

pub mod child;
mod duplex;
pub mod http_client;
pub mod http_server;
mod lines;
pub mod server;
pub mod stdio;

pub(crate) use duplex::QUEUE;
pub use duplex::{Duplex, DuplexPeer, Incoming, Message};
pub use lines::Splitter;
