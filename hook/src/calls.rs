//! The calls in which Gs wait: what dumps and `Metrics` call them.

#![cfg(not(loom))]

use pirn_runtime::internal::{Call, Kind, Reason};

pub(crate) static NANOSLEEP: Call = Call::new(0, Reason::new("nanosleep", Kind::Moment));
pub(crate) static READ: Call = Call::new(1, Reason::new("read", Kind::Descriptor));
pub(crate) static RECV: Call = Call::new(2, Reason::new("recv", Kind::Descriptor));
pub(crate) static WRITE: Call = Call::new(3, Reason::new("write", Kind::Descriptor));
pub(crate) static SEND: Call = Call::new(4, Reason::new("send", Kind::Descriptor));
pub(crate) static ACCEPT: Call = Call::new(5, Reason::new("accept", Kind::Descriptor));
pub(crate) static CONNECT: Call = Call::new(6, Reason::new("connect", Kind::Descriptor));
/// A Unix listener whose queue is full does not say when there is room.
pub(crate) static CONNECT_AGAIN: Call = Call::new(7, Reason::new("connect again", Kind::Moment));
pub(crate) static POLL: Call = Call::new(8, Reason::new("poll", Kind::Descriptor));
pub(crate) static SELECT: Call = Call::new(9, Reason::new("select of descriptors", Kind::Descriptor));
pub(crate) static EPOLL_WAIT: Call = Call::new(10, Reason::new("epoll_wait", Kind::Descriptor));
pub(crate) static FUTEX: Call = Call::new(11, Reason::new("futex", Kind::Word));
pub(crate) static WAITPID: Call = Call::new(12, Reason::new("waitpid", Kind::Process));
/// Any child, or one of a group.
pub(crate) static WAIT: Call = Call::new(13, Reason::new("wait for a child", Kind::Moment));
pub(crate) static FLOCK: Call = Call::new(14, Reason::new("flock", Kind::Moment));
pub(crate) static GETADDRINFO: Call = Call::new(15, Reason::new("getaddrinfo", Kind::Event));
/// `sendfile`, `splice`.
pub(crate) static COPY: Call = Call::new(16, Reason::new("copy between descriptors", Kind::Descriptor));
pub(crate) static POSIX_SPAWN: Call = Call::new(17, Reason::new("posix_spawn", Kind::Event));

/// All of them.
pub(crate) static ALL: [&Call; 18] = [
    &NANOSLEEP,
    &READ,
    &RECV,
    &WRITE,
    &SEND,
    &ACCEPT,
    &CONNECT,
    &CONNECT_AGAIN,
    &POLL,
    &SELECT,
    &EPOLL_WAIT,
    &FUTEX,
    &WAITPID,
    &WAIT,
    &FLOCK,
    &GETADDRINFO,
    &COPY,
    &POSIX_SPAWN,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_number_of_its_own() {
        assert!(ALL.iter().enumerate().all(|(nth, call)| call.number() == nth));
    }
}
