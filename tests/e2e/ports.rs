//! Ports for servers that are started later.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use backstock_proto::listen::free_port;
use tokio::net::TcpSocket;

/// What keeps the ports that were given until this process ends.
static KEPT: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// A free port. Nobody else is given it while this process runs, and a server that is told of it may
/// listen on it again and again: Linux lets those bind it that set `SO_REUSEADDR`, as servers do.
pub(crate) fn port() -> u16 {
    for _ in 0..10 {
        let port = free_port().expect("a free port");
        let socket = TcpSocket::new_v4().expect("a socket");
        // Another test may have taken it in between.
        if socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok() {
            socket.set_reuseaddr(true).expect("a setting");
            KEPT.lock().expect("ports").push(socket);
            return port;
        }
    }
    panic!("no free port stays free");
}
