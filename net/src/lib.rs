//! Sockets, pipes and other descriptors for goroutines, OS threads and async tasks: std's names, and a thread is held by
//! none that waits.
//!
//! | for | use |
//! | --- | --- |
//! | TCP and UDP | [`TcpListener`], [`TcpStream`], [`UdpSocket`]; [`ListenOptions`], [`ConnectOptions`] |
//! | sockets of Unix | [`UnixListener`](os::unix::net::UnixListener), [`UnixStream`](os::unix::net::UnixStream), [`UnixDatagram`](os::unix::net::UnixDatagram) |
//! | names | [`lookup_host`], or the name in the place of an address |
//! | any other descriptor | [`Poll`] |
//! | async code | [`Async`] |
//! | pipes, standard input, copying | [`io`] |
//! | child processes, signals | [`process`], [`signal`] |
//!
//! # How they wait
//! The descriptors are non-blocking. An operation is tried at once. If it would block, a goroutine is parked until the
//! system says that it is worth to try again; an OS thread sleeps. Several may use one socket at the same time, in each
//! direction: share it by reference, as `&TcpStream` reads and writes, or by an `Arc`. So there are no halves to split a
//! socket into.
//!
//! # Timeouts and deadlines
//! A timeout, which is std's, is the time that one operation may wait. A deadline, which is Go's, is a moment: from then on
//! all operations fail, those that wait included, until another is set. The earlier of the two counts. Both end an
//! operation with [`TimedOut`](std::io::ErrorKind::TimedOut). A deadline in the past ends all that wait at once.
//!
//! # With contexts and selects
//! A deadline in the past ends all operations, so a context can end what waits for a socket, as in Go:
//!
//! ```
//! use pirn::context::Context;
//! use pirn::net::{TcpListener, TcpStream};
//! use std::io::{ErrorKind, Read};
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! pirn::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//!     let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
//!     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(10));
//!     let _stop = context.after_func({
//!         let stream = stream.clone();
//!         move || stream.set_deadline(Some(Instant::now()))
//!     });
//!     assert_eq!((&*stream).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
//! });
//! ```
//!
//! A listener is ended by [`close`](TcpListener::close). A `select!` is among channels, and a socket is none: a goroutine
//! for each socket reads, and sends what it has read to a channel.
//!
//! # From and into std
//! Each type is `From` std's and the other way round, and from and into [`OwnedFd`](std::os::fd::OwnedFd). What comes from
//! std becomes non-blocking for the system, and what goes there blocks again. For the user both stay as they were set by
//! `set_nonblocking`, and keep their timeouts. A clone shares that with its original, so after `into_std` of one of them
//! the other still works, but blocks its thread when it waits.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod signal; // signals of the process, as messages
pub mod process; // children that are waited for without a thread
pub mod os; // what only some platforms have: `os::unix::net`
mod for_hyper; // `Async` with the traits of hyper
mod for_tokio; // the same with those of tokio
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
