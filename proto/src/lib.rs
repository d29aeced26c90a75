//! The words everybody shares: the wire, the log, ids, error codes and the shard map.
//!
//! No async of our own and no I/O: what is here is vocabulary and pure functions. The gateway and
//! the node meet only in this crate.

pub mod control;
pub mod error_code;
pub mod hash;
pub mod ids;
pub mod inbox;
pub mod json;
pub mod mutant;
pub mod names;
pub mod shard_map;
pub mod task;
pub mod webhook;
pub mod workflow;

/// The generated code, nested as its packages are: they refer to each other by relative paths.
#[allow(missing_debug_implementations, clippy::all, unreachable_pub)]
mod axp {
    pub mod v1 {
        tonic::include_proto!("axp.v1");
    }
    pub mod node {
        pub mod v1 {
            tonic::include_proto!("axp.node.v1");
        }
    }
    pub mod raft {
        pub mod v1 {
            tonic::include_proto!("axp.raft.v1");
        }
    }
    pub mod log {
        pub mod v1 {
            tonic::include_proto!("axp.log.v1");
        }
    }
}

/// What the Raft log stores and the state machine keeps, `axp.log.v1`.
pub use axp::log::v1 as log;
/// Gateway to node and node to node, `axp.node.v1`.
pub use axp::node::v1 as node;
/// Node to node, `axp.raft.v1`; also the on-disk form of log records.
pub use axp::raft::v1 as raft;
/// The public gRPC API, `axp.v1`.
pub use axp::v1;

/// All file descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
