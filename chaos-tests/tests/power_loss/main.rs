//! Power losses on a real mount: the layer itself, and the storage engines on it.
//!
//! Needs root and `/dev/fuse`; without them each test says so loudly and passes, because there is
//! no other way to run the rest of the suite as an ordinary user. CI runs it as root.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod engines;
mod mounted;
