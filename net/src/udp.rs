//! [`UdpSocket`].

use crate::addresses::{ToSocketAddrs, each};
use crate::forward;
use crate::poll::Poll;
use crate::shared::Shared;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What dumps call it.
pub(crate) const KIND: &str = "udp";

/// A UDP socket: [`std::net::UdpSocket`], name for name, but what waits for it holds no thread. For goroutines, OS
/// threads and async tasks; several may use it at the same time.
///
/// Besides, it has Go's [deadlines](Self::set_deadline), and [`readable`](Self::readable) and
/// [`writable`](Self::writable).
///
/// # Errors
/// As [`TcpStream`](crate::TcpStream).
///
/// # Cancellation
/// While the runtime shuts down, an operation that waits unwinds its goroutine with `pirn::ShutDown`, and no datagram has
/// been taken or sent.
///
/// ```
/// use pirn::net::UdpSocket;
///
/// pirn::run(|| {
///     let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
///     let address = a.local_addr().unwrap();
///     pirn::go(move || b.send_to(b"hello", address).unwrap());
///     let mut buf = [0; 100];
///     let (length, _) = a.recv_from(&mut buf).unwrap();
///     assert_eq!(&buf[..length], b"hello");
/// });
/// ```
pub struct UdpSocket(pub(crate) Poll<net::UdpSocket>);

/// Options that std's socket has: reading and setting each.
macro_rules! options {
    ($($get:ident, $set:ident: $Value:ty, $what:literal;)*) => { $(
        #[doc = concat!("Sets ", $what, ".")]
        ///
        /// # Errors
        /// If the system refuses.
        pub fn $set(&self, value: $Value) -> io::Result<()> {
            self.0.get_ref().$set(value)
        }

        #[doc = concat!("Says ", $what, ".")]
        ///
        /// # Errors
        /// If the system does not say.
        pub fn $get(&self) -> io::Result<$Value> {
            self.0.get_ref().$get()
        }
    )* };
}

impl UdpSocket {
    /// A socket at the first of the addresses that is to be had; port 0 is any.
    ///
    /// # Errors
    /// That of the last address, or of a lookup.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<UdpSocket> {
        let socket = each(address.to_socket_addrs()?, net::UdpSocket::bind)?;
        socket.set_nonblocking(true)?;
        Ok(UdpSocket(Poll::of(socket, KIND, Shared::default())))
    }

    /// Takes a datagram, and says where it comes from. What does not fit is lost.
    ///
    /// # Errors
    /// As the type says.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.read_with(|inner| inner.recv_from(buf))
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays.
    ///
    /// # Errors
    /// As the type says.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.read_with(|inner| inner.peek_from(buf))
    }

    /// Sends a datagram to the first of the addresses, as std does.
    ///
    /// # Errors
    /// As the type says; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], address: A) -> io::Result<usize> {
        match address.to_socket_addrs()?.next() {
            Some(address) => self.0.write_with(|inner| inner.send_to(buf, address)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")),
        }
    }

    /// Makes an address, the first that is to be had, the one for [`send`](Self::send), and takes datagrams from no other
    /// any more.
    ///
    /// # Errors
    /// That of the last address, or of a lookup.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        each(address.to_socket_addrs()?, |address| self.0.get_ref().connect(address))
    }

    /// Sends a datagram to the address that it is connected to.
    ///
    /// # Errors
    /// As the type says.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.write_with(|inner| inner.send(buf))
    }

    /// Takes a datagram. What does not fit is lost.
    ///
    /// # Errors
    /// As the type says.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| inner.recv(buf))
    }

    /// As [`recv`](Self::recv), but the datagram stays.
    ///
    /// # Errors
    /// As the type says.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| inner.peek(buf))
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// Its own address.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// A second descriptor for the same socket. It has the same timeouts, but deadlines of its own.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(UdpSocket(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Joins a group of IPv4, at the interface with this address; `0.0.0.0` is any.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.get_ref().join_multicast_v4(group, interface)
    }

    /// Joins a group of IPv6, at the interface with this number; 0 is any.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.get_ref().join_multicast_v6(group, interface)
    }

    /// Leaves a group of IPv4.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.get_ref().leave_multicast_v4(group, interface)
    }

    /// Leaves a group of IPv6.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.get_ref().leave_multicast_v6(group, interface)
    }

    options! {
        broadcast, set_broadcast: bool, "whether it may send to broadcast addresses, `SO_BROADCAST`";
        multicast_loop_v4, set_multicast_loop_v4: bool, "whether datagrams to groups of IPv4 come back to this machine";
        multicast_loop_v6, set_multicast_loop_v6: bool, "whether datagrams to groups of IPv6 come back to this machine";
        multicast_ttl_v4, set_multicast_ttl_v4: u32, "through how many routers datagrams to groups of IPv4 may go";
        ttl, set_ttl: u32, "through how many routers its datagrams may go, `IP_TTL`";
    }

    forward::timeouts!();
    forward::deadlines!();
    forward::socket!(net::UdpSocket);
}
