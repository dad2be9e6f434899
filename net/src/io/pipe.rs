//! [`pipe`], and its two ends.

use crate::forward;
use crate::poll::Poll;
use std::io;

/// What dumps call it.
pub(crate) const KIND: &str = "pipe";

/// A pipe of the system: [`std::io::pipe`], but what waits for it holds no thread. For what other processes write and
/// read; between goroutines, a channel is faster.
///
/// # Errors
/// If there are no descriptors to be had.
///
/// ```
/// use std::io::{Read, Write};
///
/// pirn::run(|| {
///     let (mut reader, mut writer) = pirn::io::pipe().unwrap();
///     pirn::go(move || writer.write_all(b"hello").unwrap());
///     let mut text = String::new();
///     reader.read_to_string(&mut text).unwrap();
///     assert_eq!(text, "hello");
/// });
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader(Poll::named(reader, KIND)?), PipeWriter(Poll::named(writer, KIND)?)))
}

/// The end of a [`pipe`] that reads: [`std::io::PipeReader`], name for name.
///
/// As an input of a child it becomes blocking when it is converted; a child does not expect anything else:
///
/// ```
/// use std::io::Write;
/// use std::process::{Command, Stdio};
///
/// pirn::run(|| {
///     let (reader, mut writer) = pirn::io::pipe().unwrap();
///     let mut command = Command::new("cat");
///     command.stdin(std::os::fd::OwnedFd::from(reader)).stdout(Stdio::piped());
///     let child = command.spawn().unwrap();
///     // It has the other end too.
///     drop(command);
///     writer.write_all(b"hello").unwrap();
///     drop(writer);
///     assert_eq!(child.wait_with_output().unwrap().stdout, b"hello");
/// });
/// ```
pub struct PipeReader(pub(crate) Poll<io::PipeReader>);

/// The end of a [`pipe`] that writes: [`std::io::PipeWriter`], name for name.
pub struct PipeWriter(pub(crate) Poll<io::PipeWriter>);

impl PipeReader {
    /// A second descriptor for this end. It has deadlines of its own.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(PipeReader(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Std's end of the pipe, whose descriptor blocks again. That concerns clones too.
    pub fn into_std(self) -> io::PipeReader {
        forward::restore(self.0)
    }

    forward::deadlines!();
}

impl PipeWriter {
    /// A second descriptor for this end. It has deadlines of its own.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(PipeWriter(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Std's end of the pipe, whose descriptor blocks again. That concerns clones too.
    pub fn into_std(self) -> io::PipeWriter {
        forward::restore(self.0)
    }

    forward::deadlines!();
}

forward::read!(PipeReader, read_any, read);
forward::write!(PipeWriter, write);
