//! Starting a G with a name or a stack limit.

#![allow(unsafe_code, reason = "the closure and the result in a record")]

use super::body::Unscoped;
use super::start::{StartOptions, WhenClosing, expect_started, start};
use crate::join::JoinHandle;
use crate::sched::{Entered, Shared};
use crate::stack::Class;
use std::io;
use std::panic::Location;

/// Starts a G that has a name or a stack limit of its own.
///
/// ```
/// # pirn::run(|| {
/// let g = pirn::GoBuilder::new().name("sieve").stack_size(16 << 20).go(|| {
///     pirn::current().unwrap().name().unwrap().to_owned()
/// });
/// assert_eq!(g.join().unwrap(), "sieve");
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until go() is called"]
pub struct GoBuilder {
    name: Option<String>,
    stack_bytes: Option<usize>,
    /// None: the place of the call that starts it.
    birthplace: Option<&'static Location<'static>>,
}

/// A builder for Gs that belong to whoever called there: for those that a library starts in a closure, which
/// `#[track_caller]` does not reach.
pub fn builder_at(birthplace: &'static Location<'static>) -> GoBuilder {
    GoBuilder { birthplace: Some(birthplace), ..GoBuilder::new() }
}

impl GoBuilder {
    /// Makes a builder without a name and a limit.
    pub fn new() -> GoBuilder {
        GoBuilder::default()
    }

    /// Sets the name that dumps, panics and overflow reports show.
    pub fn name(mut self, name: impl Into<String>) -> GoBuilder {
        self.name = Some(name.into());
        self
    }

    /// Sets how large the stack may become, in bytes: 64 KiB to 1 GiB, rounded up to the next size class (64 KiB, then
    /// four times as much each). It costs only what the G uses of it.
    pub fn stack_size(mut self, bytes: usize) -> GoBuilder {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Starts the G.
    ///
    /// # Panics
    /// As [`go`](crate::go), and if the stack size is out of range, or if it and the program's thread-locals are more
    /// than 1 GiB together.
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let options = expect_started(self.options(None, Location::caller()));
        // SAFETY: everything is 'static.
        JoinHandle::new(expect_started(unsafe { start(options, f, Unscoped) }))
    }

    /// Starts the G, or says why it cannot.
    ///
    /// # Errors
    /// As [`try_go`](crate::try_go), and `InvalidInput` if the stack size is out of range, or if it and the program's
    /// thread-locals are more than 1 GiB together.
    #[track_caller]
    pub fn try_go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let options = StartOptions { when_closing: WhenClosing::Refuse, ..self.options(None, Location::caller())? };
        // SAFETY: everything is 'static.
        unsafe { start(options, f, Unscoped) }.map(JoinHandle::new)
    }

    pub(crate) fn options<'a>(
        self,
        shared: Option<&'a Shared>,
        birthplace: &'static Location<'static>,
    ) -> io::Result<StartOptions<'a>> {
        let room_bytes = || match shared {
            Some(shared) => shared.setup.room_bytes,
            None => Entered::new().map_or(0, |entered| entered.shared().setup.room_bytes),
        };
        let birthplace = self.birthplace.unwrap_or(birthplace);
        let class = self.stack_bytes.map(|bytes| stack_class(bytes, room_bytes())).transpose()?;
        Ok(StartOptions { class, name: self.name, ..StartOptions::new(shared, birthplace) })
    }
}

/// The size class for a stack limit, with so much room for thread-locals.
pub(crate) fn stack_class(bytes: usize, room_bytes: usize) -> io::Result<Class> {
    use crate::config::{STACK_BYTES_MAX, STACK_BYTES_MIN};
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes) {
        return Err(invalid(format!("a stack of {bytes} bytes is out of range: 64 KiB to 1 GiB")));
    }
    Class::fitting(bytes, room_bytes).ok_or_else(|| {
        invalid(format!(
            "a stack of {bytes} bytes and the {room_bytes} bytes that the program's thread-locals take do not fit into \
             1 GiB together: ask for a smaller stack, or make the thread-locals smaller"
        ))
    })
}
