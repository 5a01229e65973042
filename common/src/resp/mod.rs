//! RESP2 and RESP3 on the wire: the request parser and the reply writer.
//!
//! Both are written by hand. A request is an array of bulk strings (or an inline line), parsed into ranges over
//! the read buffer without allocation; a reply is appended straight to the client's output in the protocol
//! version that the client speaks. Only this module knows RESP2 from RESP3.

mod reply;
mod request;

pub use reply::{Mark, Reply, Resp, Segment};
pub use request::{Limits, Parser, ProtocolError, Requests, Status};
