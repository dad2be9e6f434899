//! Sockets, pipes and other descriptors for goroutines, OS threads and async tasks: std's names, and a thread is held by
//! none that waits.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod signal; // signals of the process, as messages
pub mod process; // children that are waited for without a thread
pub mod os; // what only some platforms have: `os::unix::net`
mod asynchronous; // `Async`
mod conversions; // as descriptors, and from and to std's types
pub mod io; // `pipe`, `copy`, `stdin`
mod unix; // `UnixListener`, `UnixStream`, `UnixDatagram`
mod udp; // `UdpSocket`
mod tcp; // `TcpListener`, `TcpStream`, and how they are made
mod addresses; // `ToSocketAddrs`, `lookup_host`
mod lookup; // looking up names
mod forward; // what several types have alike
mod poll; // `Poll`: tries an operation, and waits while it would block
mod shared; // what the clones of a descriptor have in common
mod sys_signals; // the handler of signals
mod sys; // calls of the system

pub use addresses::{ToSocketAddrs, lookup_host};
pub use asynchronous::{Async, Pollable};
pub use poll::Poll;
pub use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use tcp::{ConnectOptions, Incoming, IntoIncoming, ListenOptions, TcpListener, TcpStream};
pub use udp::UdpSocket;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
