//! What the fault suite starts and breaks: private servers, processes and connections.
//!
//! What it guarantees:
//! - nothing of the host's own is touched: free ports of the loopback, folders of its own, no service of a package;
//! - everything ends with its owner, also when that one panics or is killed;
//! - only processes that were started here are ever signalled;
//! - a tool that is not installed is an error of its own, [`NodeError::Missing`], so that whoever asks can say what was
//!   left out instead of leaving it out silently.
//!
//! What it deliberately does not do: know anything of messages, or decide when something breaks.

mod child;
pub mod clock;
mod error;
pub mod injection;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
mod watch;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

pub use error::NodeError;

/// Ports of the loopback that were free a moment ago, all different.
pub fn free_ports<const N: usize>() -> Result<[u16; N], NodeError> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(NodeError::system("find a free port"))?;
        *port = bound
            .local_addr()
            .map_err(NodeError::system("find a free port"))?
            .port();
        // Kept until all are found, or the next one might be the same.
        listeners.push(bound);
    }
    Ok(ports)
}

/// Where a program of the host is, by its name.
fn program(name: &str) -> Option<PathBuf> {
    search_path()
        .split(':')
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|program| program.is_file())
}

/// The folders of programs; Debian's in any case.
fn search_path() -> String {
    let inherited = std::env::var("PATH").unwrap_or_default();
    format!("{inherited}:/usr/sbin:/usr/bin:/sbin:/bin")
}
