//! How TCP sockets come to be connected: to the first of several addresses that answers.
//!
//! Addresses are tried one after the other. If they are of both families, IPv4 and IPv6, there are two such lines: that of
//! the first address's family begins, and the other one joins in after a while, or when the first has come to its end.
//! The first connection wins. This is "happy eyeballs" (RFC 8305), as Go does it: a family that does not work on the way
//! to the peer costs that while, and not the minutes after which the system gives up.
//!
//! The caller does all of it: a connect goes on in the system, and one caller can wait for two of them.

use super::sockets::{KIND, set_keepalive, socket};
use crate::addresses::{NO_ADDRESSES, ToSocketAddrs};
use crate::poll::{Poll, deadline};
use crate::shared::Shared;
use crate::sys;
use pirn_runtime::internal::{Direction, now};
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use std::vec;

/// An address has at least so much of a timeout for all, if there are others after it. As in Go.
const SHARE_MIN: Duration = Duration::from_secs(2);
/// So long the second family waits for the first. As in Go; RFC 8305 allows 100 ms to 2 s.
const FALLBACK_DELAY: Duration = Duration::from_millis(300);

/// How to connect.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) timeout: Option<Duration>,
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Duration>,
    pub(super) local_addr: Option<SocketAddr>,
    /// None: all addresses stand in one line.
    pub(super) fallback_delay: Option<Duration>,
}

impl Default for Dial {
    fn default() -> Dial {
        Dial { timeout: None, nodelay: false, keepalive: None, local_addr: None, fallback_delay: Some(FALLBACK_DELAY) }
    }
}

impl Dial {
    /// Connects to the first of the addresses that answers.
    pub(super) fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<Poll<TcpStream>> {
        let until = deadline(self.timeout);
        let (first, others) = self.lines(address.to_socket_addrs_until(until)?.collect());
        let mut joins_at = if others.is_empty() { None } else { deadline(self.fallback_delay) };
        let (mut first, mut second) = (Line::new(self, first, until), Line::new(self, others, until));
        let mut error = None;
        let mut has_joined = false;
        loop {
            if let Some(stream) = first.advance(&mut error) {
                return Ok(stream);
            }
            has_joined |= first.attempt.is_none() || joins_at.is_some_and(|at| at <= now());
            if has_joined {
                joins_at = None;
                if let Some(stream) = second.advance(&mut error) {
                    return Ok(stream);
                }
            }
            let no_address = || io::Error::new(io::ErrorKind::InvalidInput, NO_ADDRESSES);
            let waited = match (&first.attempt, &second.attempt) {
                (None, None) => return Err(error.unwrap_or_else(no_address)),
                (Some(one), None) | (None, Some(one)) => {
                    one.stream.wait_ready(Direction::Write, earlier(one.until, joins_at))
                }
                (Some(one), Some(other)) => wait_for_either(one, other),
            };
            if let Err(error) = waited
                && error.kind() != io::ErrorKind::TimedOut
            {
                return Err(error);
            }
        }
    }

    /// Those of the first one's family, and the others.
    fn lines(&self, addresses: Vec<SocketAddr>) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let is_first_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
        let is_raced = self.fallback_delay.is_some();
        addresses.into_iter().partition(|address| !is_raced || address.is_ipv4() == is_first_v4)
    }

    /// Begins to connect.
    fn begin(&self, address: SocketAddr) -> io::Result<Poll<TcpStream>> {
        let socket = socket(address)?;
        if let Some(local) = self.local_addr {
            socket.bind(&local.into())?;
        }
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if self.keepalive.is_some() {
            set_keepalive(&SockRef::from(&socket), self.keepalive)?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !sys::is_in_progress(&error) => Err(error),
            _ => Ok(Poll::of(TcpStream::from(socket), KIND, Shared::default())),
        }
    }
}

/// Addresses that are tried one after the other.
struct Line<'a> {
    dial: &'a Dial,
    /// The end of the time for all.
    until: Option<Instant>,
    attempt: Option<Attempt>,
    addresses: vec::IntoIter<SocketAddr>,
}

/// A connect that goes on.
struct Attempt {
    stream: Poll<TcpStream>,
    /// The end of its share of the time.
    until: Option<Instant>,
}

impl<'a> Line<'a> {
    fn new(dial: &'a Dial, addresses: Vec<SocketAddr>, until: Option<Instant>) -> Line<'a> {
        Line { dial, until, attempt: None, addresses: addresses.into_iter() }
    }

    /// Goes on without waiting: to a connection, to an attempt that has to be waited for, or to the end. `last` is the
    /// last error.
    fn advance(&mut self, last: &mut Option<io::Error>) -> Option<Poll<TcpStream>> {
        loop {
            let attempt = self.attempt.take().map_or_else(|| self.next_attempt(), |attempt| Some(Ok(attempt)))?;
            match attempt.and_then(Attempt::look) {
                Ok(Look::Connected(stream)) => return Some(stream),
                Ok(Look::GoesOn(attempt)) => {
                    self.attempt = Some(attempt);
                    return None;
                }
                Err(error) => *last = Some(error),
            }
        }
    }

    /// Begins with the next address. None: there is none.
    fn next_attempt(&mut self) -> Option<io::Result<Attempt>> {
        let left = self.addresses.len();
        let address = self.addresses.next()?;
        let until = match self.until.map(|until| share(until, left)) {
            None => None,
            Some(Some(until)) => Some(until),
            Some(None) => {
                // Nor is there for those after it.
                self.addresses = Vec::new().into_iter();
                return Some(Err(too_late()));
            }
        };
        Some(self.dial.begin(address).map(|stream| Attempt { stream, until }))
    }
}

/// What has become of an attempt.
enum Look {
    Connected(Poll<TcpStream>),
    GoesOn(Attempt),
}

impl Attempt {
    /// See tcp I2.
    fn look(self) -> io::Result<Look> {
        match self.stream.get_ref().peer_addr() {
            Ok(_) => return Ok(Look::Connected(self.stream)),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        if let Some(error) = self.stream.get_ref().take_error()? {
            return Err(error);
        }
        if self.until.is_some_and(|until| until <= now()) { Err(too_late()) } else { Ok(Look::GoesOn(self)) }
    }
}

/// Waits for one of two, until the time of one is over.
fn wait_for_either(one: &Attempt, other: &Attempt) -> io::Result<()> {
    // A set of descriptors is one itself, which is readable when one of them is ready. It lives for this wait alone.
    let set = sys::writable_set(&[one.stream.as_fd(), other.stream.as_fd()])?;
    Poll::of(set, KIND, Shared::default()).wait_ready(Direction::Read, earlier(one.until, other.until))
}

/// The earlier of two moments; none is never.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Until when the next address may take, of so many that are left. None: the time is over.
fn share(until: Instant, left: usize) -> Option<Instant> {
    let now = now();
    let rest = until.saturating_duration_since(now);
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    (!rest.is_zero()).then(|| now + (rest / left).max(SHARE_MIN).min(rest))
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}
