//! Writing to standard error and to files of ours, without waiting for the reader, or not for long.
//!
//! Standard error is shared with other processes, so it cannot be made non-blocking: that is a property of the open
//! file description, which all of them have. Of a pipe or a terminal one more description is opened for each write,
//! through procfs, and that one does not block. It is not kept: the reader would never see the end of the pipe, and the
//! program may put another file in the place of standard error.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::thread::monotonic_ns;
use super::unhooked::poll;

/// So much at a time, so that a large text to a disk does not hold the caller for long.
const AT_ONCE_BYTES: usize = 1 << 20;

/// Writes to standard error as it is, without buffers or locks. Signal-safe (I4). It waits for a slow reader. If the
/// reader accepts nothing for that time, or writing fails, the rest is dropped.
pub(crate) fn write_stderr(mut text: &[u8], patience_ns: u64) {
    let mut progress_ns = monotonic_ns();
    while !text.is_empty() {
        match try_write_stderr(text) {
            Ok(0) if monotonic_ns() - progress_ns > patience_ns => return,
            Ok(0) => wait_writable(libc::STDERR_FILENO, 50),
            Ok(written) => {
                text = text.get(written..).unwrap_or_default();
                progress_ns = monotonic_ns();
            }
            Err(_) => return,
        }
    }
}

/// Writes to standard error what can be written without waiting. Returns how much that was: 0 if the reader has to read
/// first. Signal-safe (I4).
///
/// # Errors
/// What the kernel answers, if nothing could be written: the reader has gone, for example.
pub(crate) fn try_write_stderr(text: &[u8]) -> io::Result<usize> {
    match kind_of(libc::STDERR_FILENO)? {
        libc::S_IFSOCK => write_some(text, usize::MAX, |part| {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: the pointer and the length are those of `part`; send is signal-safe.
            unsafe { libc::send(libc::STDERR_FILENO, part.as_ptr().cast(), part.len(), flags) }
        }),
        libc::S_IFIFO | libc::S_IFCHR => match reopen_stderr() {
            Some(own) => write_some(text, usize::MAX, |part| write(own.as_raw_fd(), part)),
            None => try_write_polled(libc::STDERR_FILENO, text),
        },
        // A file takes it at once, at the offset that it shares with others.
        _ => write_some(text, usize::MAX, |part| write(libc::STDERR_FILENO, part)),
    }
}

/// Writes to a file that [`open_for_lines`] has opened what can be written without waiting: see [`try_write_stderr`].
///
/// # Errors
/// As there.
pub(crate) fn try_write_to(file: &File, text: &[u8]) -> io::Result<usize> {
    write_some(text, usize::MAX, |part| write(file.as_raw_fd(), part))
}

/// Opens a file to append to, or a FIFO. None: it is a FIFO without a reader.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn open_for_lines(path: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    match OpenOptions::new().create(true).append(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) && is_fifo(path) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.file_type().is_fifo())
}

/// What kind of file that is, as in `st_mode`.
fn kind_of(fd: RawFd) -> io::Result<libc::mode_t> {
    // SAFETY: stat is a plain C struct, for which all zeros are values.
    let mut about: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: fstat writes only to `about`.
    let status = unsafe { libc::fstat(fd, &raw mut about) };
    if status == 0 { Ok(about.st_mode & libc::S_IFMT) } else { Err(io::Error::last_os_error()) }
}

/// One more description of what standard error is, which does not block. None: there is no procfs, or it may not be
/// opened.
fn reopen_stderr() -> Option<OwnedFd> {
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // The thread's own: that of the process is empty once its first thread has ended.
    // SAFETY: the path ends with a zero; open is signal-safe.
    let fd = unsafe { libc::open(c"/proc/thread-self/fd/2".as_ptr(), flags) };
    // SAFETY: it has just been opened, and no other code has it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// For a description that may block: not more than a pipe takes at once if it takes anything. Only another writer that
/// comes in between could make this wait.
fn try_write_polled(fd: RawFd, text: &[u8]) -> io::Result<usize> {
    write_some(text, libc::PIPE_BUF, |part| {
        if is_writable(fd, 0) {
            return write(fd, part);
        }
        // SAFETY: it has no preconditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it is the calling thread's own.
        unsafe { *errno = libc::EAGAIN };
        -1
    })
}

/// Writes part after part, each of no more than `most` bytes, until one does not go.
fn write_some(text: &[u8], most: usize, mut write: impl FnMut(&[u8]) -> isize) -> io::Result<usize> {
    let text = &text[..text.len().min(AT_ONCE_BYTES)];
    let mut written = 0;
    while written < text.len() {
        let rest = &text[written..];
        match usize::try_from(write(&rest[..rest.len().min(most)])) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.kind() == io::ErrorKind::WouldBlock || written > 0 => break,
                error => return Err(error),
            },
        }
    }
    Ok(written)
}

fn write(fd: RawFd, text: &[u8]) -> isize {
    // SAFETY: the pointer and the length are those of `text`; write is signal-safe.
    unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) }
}

/// Waits until something can be written, or so long.
fn wait_writable(fd: RawFd, most_ms: libc::c_int) {
    if is_writable(fd, most_ms) {
        // It took nothing a moment ago: another writer may be quicker each time. This is not to spin.
        poll(&mut [], 1);
    }
}

fn is_writable(fd: RawFd, timeout_ms: libc::c_int) -> bool {
    let asked = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    poll(&mut [asked], timeout_ms) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without procfs.
    #[test]
    fn a_full_pipe_takes_nothing_and_holds_nobody() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let text = vec![b'x'; 300_000];
        let written = try_write_polled(writer.as_raw_fd(), &text).expect("it is open");
        assert!((libc::PIPE_BUF..text.len()).contains(&written), "{written}");
        assert_eq!(try_write_polled(writer.as_raw_fd(), &text).expect("it is open"), 0);
        let mut read = vec![0; written];
        io::Read::read_exact(&mut reader, &mut read).expect("it was written");
        assert_eq!(try_write_polled(writer.as_raw_fd(), &text[..10]).expect("it is open"), 10);
        drop(reader);
        let gone = try_write_polled(writer.as_raw_fd(), &text).expect_err("nobody reads");
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
