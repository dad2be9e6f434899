//! The sockets and pipes as descriptors, and from and to std's types. The only place with `FromRawFd`.

#![allow(unsafe_code, reason = "FromRawFd")]

use crate::forward::{adopt, restore};
use crate::io::{PipeReader, PipeWriter};
use crate::tcp::{TcpListener, TcpStream};
use crate::udp::UdpSocket;
use crate::unix::{UnixDatagram, UnixListener, UnixStream};
use std::fmt;
use std::io;
use std::net;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net as unix;

macro_rules! conversions {
    ($($Type:ident: $Std:ty, $kind:literal;)*) => { $(
        impl AsFd for $Type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $Type {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_fd().as_raw_fd()
            }
        }

        /// What std's value has been set to is kept: its timeouts, and whether it is non-blocking. Its descriptor is
        /// non-blocking from here on.
        impl From<$Std> for $Type {
            fn from(std: $Std) -> $Type {
                $Type(adopt(std, $kind))
            }
        }

        /// Its descriptor blocks again, unless it was set to be non-blocking.
        impl From<$Type> for $Std {
            fn from(this: $Type) -> $Std {
                restore(this.0)
            }
        }

        /// As from std's value.
        impl From<OwnedFd> for $Type {
            fn from(fd: OwnedFd) -> $Type {
                $Type::from(<$Std>::from(fd))
            }
        }

        /// The descriptor blocks again, as that of std's value would.
        impl From<$Type> for OwnedFd {
            fn from(this: $Type) -> OwnedFd {
                restore(this.0).into()
            }
        }

        impl FromRawFd for $Type {
            unsafe fn from_raw_fd(fd: RawFd) -> $Type {
                // SAFETY: the caller promises it.
                $Type::from(unsafe { OwnedFd::from_raw_fd(fd) })
            }
        }

        impl IntoRawFd for $Type {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}
conversions! {
    TcpListener: net::TcpListener, "tcp";
    TcpStream: net::TcpStream, "tcp";
    UdpSocket: net::UdpSocket, "udp";
    UnixListener: unix::UnixListener, "unix";
    UnixStream: unix::UnixStream, "unix";
    UnixDatagram: unix::UnixDatagram, "unixgram";
    PipeReader: io::PipeReader, "pipe";
    PipeWriter: io::PipeWriter, "pipe";
}
