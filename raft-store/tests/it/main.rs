//! Integration tests of the store: both engines, as openraft and a node use them.

mod kv;
mod suite;
mod tail;
