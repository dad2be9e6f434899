//! Why there is no stack.

use std::error::Error;
use std::fmt;
use std::io;

use super::class::Class;

/// No stack could be had. The G that wanted it has not started and can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StackError {
    /// The kernel refused something.
    Refused {
        /// The class of the stack.
        class: Class,
        /// What was asked of the kernel.
        what: &'static str,
        /// The kernel's error number.
        errno: i32,
    },
    /// Guards cost mappings on this kernel, and there would be too many.
    TooManyGuards {
        /// How many guards there may be.
        guards_max: usize,
    },
    /// Every slot of the class's address space is taken.
    Exhausted {
        /// The class of the stack.
        class: Class,
        /// How many slots there are.
        slots: usize,
    },
}

impl StackError {
    /// The refusal behind `error`.
    pub(super) fn refused(class: Class, what: &'static str, error: &io::Error) -> StackError {
        StackError::Refused { class, what, errno: error.raw_os_error().unwrap_or(0) }
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            StackError::Refused { class, what, errno } => {
                let (kib, reason) = (class.size_bytes() >> 10, io::Error::from_raw_os_error(errno));
                write!(f, "no memory for a goroutine stack of {kib} KiB: the kernel refused {what} ({reason}); ")?;
                // EAGAIN: what the kernel says when memory that is locked reaches its limit, and only then.
                f.write_str(if reason.kind() == io::ErrorKind::WouldBlock {
                    "the process locks all memory that it reserves (mlockall with MCL_FUTURE): raise the limit on that \
                     (ulimit -l), or lock less"
                } else {
                    "run fewer goroutines at a time, or raise the limits on address space (ulimit -v), on committed \
                     memory (vm.overcommit_memory) or on mappings (vm.max_map_count)"
                })
            }
            StackError::TooManyGuards { guards_max } => write!(
                f,
                "too many goroutine stacks: this kernel cannot guard a stack without two mappings for each \
                 (MADV_GUARD_INSTALL came with Linux 6.13), which allows {guards_max} stacks; raise \
                 vm.max_map_count or run fewer goroutines at a time"
            ),
            StackError::Exhausted { class, slots } => write!(
                f,
                "too many goroutine stacks of {} KiB: all {slots} that fit in the address space reserved for them \
                 are in use; use smaller stacks or run fewer goroutines at a time",
                class.size_bytes() >> 10
            ),
        }
    }
}

impl Error for StackError {}

impl From<StackError> for io::Error {
    fn from(error: StackError) -> io::Error {
        io::Error::new(io::ErrorKind::OutOfMemory, error)
    }
}
