//! The stack trace of a coroutine that is suspended.

use crate::os::{Frame, unwind};
use crate::stack::GStack;
use corosensei::on_stack;

/// Takes the stack trace of a coroutine that is suspended: the coroutine is resumed with it, walks up its own frames,
/// and suspends again. It does so on the tracer's stack, so that its own needs no room and gets no pages.
pub(crate) struct Tracer {
    stack: GStack,
    /// What was found, the innermost first, those of the tracer's stack too.
    pub(crate) frames: Vec<Frame>,
}

impl Tracer {
    /// Finds up to `most` frames, working on `stack`.
    pub(crate) fn new(stack: GStack, most: usize) -> Tracer {
        Tracer { stack, frames: Vec::with_capacity(most) }
    }

    pub(super) fn trace(&mut self) {
        let Tracer { stack, frames } = self;
        frames.clear();
        on_stack(stack, || {
            unwind(|frame| {
                frames.push(frame);
                // A coroutine that is traced must not allocate, so the frames must fit.
                frames.len() < frames.capacity()
            });
        });
    }
}
