//! The network seam: the socket types every crate uses, named in one place so that a simulated
//! network can stand in for them.

pub use tokio::net::{TcpListener, TcpStream};
