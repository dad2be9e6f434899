//! Operations with several buffers, of which a part may be done.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "buffers of the caller")]

use libc::{c_int, iovec, msghdr};
use std::mem;

/// The kernel takes no more parts, or messages, at once (its `UIO_MAXIOV`).
pub(crate) const AT_ONCE_MAX: usize = 1024;

/// A message of these parts, and nothing else.
pub(crate) fn message(parts: *const iovec, count: c_int) -> msghdr {
    // SAFETY: numbers and pointers, for which all zeros are values.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = count.max(0) as _;
    message
}

/// The parts of a message.
///
/// # Safety
/// So many are there, as long as the result is used.
pub(crate) unsafe fn parts_of<'a>(parts: *const iovec, count: usize) -> &'a [iovec] {
    if count == 0 || parts.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(parts, count) }
}

/// Whether `readv` and `writev` move anything. If the count is not valid, that is the kernel's to say; and if all parts are
/// empty they do nothing, while a message without bytes is one.
///
/// # Safety
/// So many are there.
pub(crate) unsafe fn moves_bytes(parts: *const iovec, count: c_int) -> bool {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: as the caller promises.
    count <= AT_ONCE_MAX && unsafe { parts_of(parts, count) }.iter().any(|part| part.iov_len > 0)
}

/// How many bytes they have.
pub(crate) fn bytes_of(parts: &[iovec]) -> usize {
    parts.iter().fold(0, |bytes, part| bytes.saturating_add(part.iov_len))
}

/// What is left of them when so many bytes are done.
pub(crate) fn rest_of(parts: &[iovec], mut done: usize) -> Vec<iovec> {
    let mut rest = Vec::with_capacity(parts.len());
    for part in parts {
        let skipped = done.min(part.iov_len);
        done -= skipped;
        if skipped < part.iov_len {
            rest.push(iovec { iov_base: part.iov_base.wrapping_byte_add(skipped), iov_len: part.iov_len - skipped });
        }
    }
    rest
}

/// Whether it is a stream, of which a part may be sent or received. What is sent on the others is whole.
pub(crate) fn is_stream(fd: c_int) -> bool {
    number_of(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// Whether it sends single messages, to anybody.
pub(crate) fn is_datagram(fd: c_int) -> bool {
    number_of(fd, libc::SO_TYPE) == Some(libc::SOCK_DGRAM)
}

/// Whether it is a Unix socket.
pub(crate) fn is_unix(fd: c_int) -> bool {
    number_of(fd, libc::SO_DOMAIN) == Some(libc::AF_UNIX)
}

/// What a socket has as that option. None: it is no socket.
fn number_of(fd: c_int, option: c_int) -> Option<c_int> {
    let mut number: c_int = 0;
    let mut bytes = size_of::<c_int>() as libc::socklen_t;
    let place = (&raw mut number).cast();
    // SAFETY: there is room for so many bytes.
    let status = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, place, &raw mut bytes) };
    (status == 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_begins_where_the_rest_ended() {
        let text = *b"abcdefgh";
        let part =
            |from: usize, len| iovec { iov_base: text.as_ptr().wrapping_add(from).cast_mut().cast(), iov_len: len };
        let parts = [part(0, 3), part(3, 0), part(3, 5)];
        assert_eq!(bytes_of(&parts), 8);
        for done in 0..=8 {
            let rest = rest_of(&parts, done);
            assert_eq!(bytes_of(&rest), 8 - done);
            if let Some(first) = rest.first() {
                assert_eq!(first.iov_base.addr() - text.as_ptr().addr(), done);
            }
            assert!(rest.iter().all(|part| part.iov_len > 0));
        }
    }
}
