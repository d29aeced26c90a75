//! The sockets of a node, bound before anything else so that port 0 works.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Error;
use crate::config::NodeConfig;
use crate::net::Listener;

/// The three ports of a node.
#[derive(Debug)]
pub struct Listeners {
    pub api: Listener,
    pub raft: Listener,
    pub admin: Listener,
}

/// Where a node really listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub api: SocketAddr,
    pub raft: SocketAddr,
    pub admin: SocketAddr,
}

impl Listeners {
    /// # Errors
    /// When an address is taken or is not of this machine.
    pub async fn bind(config: &NodeConfig) -> Result<Self, Error> {
        Ok(Self {
            api: bind("node.api-listen", &config.api_listen).await?,
            raft: bind("node.raft-listen", &config.raft_listen).await?,
            admin: bind("node.admin-listen", &config.admin_listen).await?,
        })
    }

    pub(super) fn addresses(&self) -> Result<Addresses, Error> {
        let of = |key: &'static str, listener: &Listener| {
            listener.local_addr().map_err(|source| Error::Listen {
                key,
                address: String::new(),
                source,
            })
        };
        Ok(Addresses {
            api: of("node.api-listen", &self.api)?,
            raft: of("node.raft-listen", &self.raft)?,
            admin: of("node.admin-listen", &self.admin)?,
        })
    }
}

async fn bind(key: &'static str, address: &str) -> Result<Listener, Error> {
    TcpListener::bind(address).await.map(Listener::from).map_err(|source| Error::Listen {
        key,
        address: address.to_owned(),
        source,
    })
}
