//! [`ToSocketAddrs`], and [`lookup_host`].

use crate::lookup::lookup;
use std::io;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::option;
use std::slice;
use std::time::Instant;
use std::vec;

/// What stands for addresses: [`std::net::ToSocketAddrs`], with the same types, but a name is looked up as by
/// [`lookup_host`]. Types of your own may implement it.
///
/// ```
/// use pirn::net::ToSocketAddrs;
///
/// let mut addresses = "127.0.0.1:80".to_socket_addrs().unwrap();
/// assert_eq!(addresses.next(), Some(([127, 0, 0, 1], 80).into()));
/// ```
pub trait ToSocketAddrs {
    /// Gives the addresses, one after the other.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses.
    ///
    /// # Errors
    /// If the text is no address, or the name cannot be looked up.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;

    /// The same, not later than at a moment.
    #[doc(hidden)]
    fn to_socket_addrs_until(&self, _: Option<Instant>) -> io::Result<Self::Iter> {
        self.to_socket_addrs()
    }
}

/// Looks up a name: `"example.org:80"` or `("example.org", 80)`.
///
/// The system does it (`getaddrinfo`), on the calling goroutine, whose thread it blocks; its P goes to others. Several
/// lookups of one name at the same time are one, and at most 32 are done at a time; others wait.
///
/// # Errors
/// If the name is not known, or there is no answer.
///
/// ```
/// # pirn::run(|| {
/// let addresses: Vec<_> = pirn::net::lookup_host("localhost:80").unwrap().collect();
/// assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
/// # });
/// ```
pub fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    host.to_socket_addrs()
}

/// Types that are one address.
macro_rules! one {
    ($($Type:ty),*) => { $(
        impl ToSocketAddrs for $Type {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )* };
}
one!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Copied<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().copied())
    }
}

/// Types in which there may be a name.
macro_rules! named {
    ($($Type:ty),*) => { $(
        impl ToSocketAddrs for $Type {
            type Iter = vec::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                self.to_socket_addrs_until(None)
            }

            fn to_socket_addrs_until(&self, until: Option<Instant>) -> io::Result<Self::Iter> {
                self.resolve(until).map(Vec::into_iter)
            }
        }
    )* };
}
named!(str, String, (&str, u16), (String, u16));

trait Resolve {
    fn resolve(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>>;
}

impl Resolve for str {
    fn resolve(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.parse() {
            return Ok(vec![address]);
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        let port = port.parse().map_err(|_| invalid("invalid port value"))?;
        (host, port).resolve(until)
    }
}

impl Resolve for String {
    fn resolve(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        self.as_str().resolve(until)
    }
}

impl Resolve for (&str, u16) {
    fn resolve(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = *self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let mut addresses = lookup(host, until)?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }
}

impl Resolve for (String, u16) {
    fn resolve(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).resolve(until)
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }

    fn to_socket_addrs_until(&self, until: Option<Instant>) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs_until(until)
    }
}

/// As std says it.
pub(crate) const NO_ADDRESSES: &str = "could not resolve to any addresses";

/// Tries each address until one succeeds; the last error if none does. As std.
pub(crate) fn each<T>(
    addresses: impl Iterator<Item = SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, NO_ADDRESSES)))
}
