//! The atomics, threads and parking of std and the runtime, or loom's when the models run: chosen here, once.

#[cfg(not(loom))]
pub(crate) use chosen::*;
#[cfg(loom)]
pub(crate) use modelled::*;

#[cfg(not(loom))]
mod chosen {
    pub(crate) use pirn_runtime::Unparker;
    pub(crate) use pirn_runtime::internal::{WaitReason, park_for, park_uninterruptibly, park_until, random};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence};
    pub(crate) use std::thread::yield_now as yield_thread;

    #[inline]
    pub(crate) fn pause(times: u32) {
        for _ in 0..times {
            std::hint::spin_loop();
        }
    }

    /// std's cell with loom's verbs.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(loom)]
mod modelled {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence};
    pub(crate) use loom::thread::yield_now as yield_thread;
    use std::task::Waker;
    use std::time::Instant;

    /// The model is told by the scheduler of loom who waits: any pause is a chance for others.
    pub(crate) fn pause(_: u32) {
        loom::thread::yield_now();
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum WaitReason {
        ChanReceive,
        ChanReceiveNever,
        ChanSend,
        Select,
        SelectNoCases,
    }

    /// Wakes a thread of the model, or a task.
    #[derive(Debug)]
    pub(crate) enum Unparker {
        Thread(loom::thread::Thread),
        Task(Waker),
    }

    impl Unparker {
        pub(crate) fn current() -> Unparker {
            Unparker::Thread(loom::thread::current())
        }

        pub(crate) fn unpark(&self) {
            match self {
                Unparker::Thread(thread) => thread.unpark(),
                Unparker::Task(waker) => waker.wake_by_ref(),
            }
        }
    }

    impl From<Waker> for Unparker {
        fn from(waker: Waker) -> Unparker {
            Unparker::Task(waker)
        }
    }

    pub(crate) fn park_for(_: WaitReason) {
        loom::thread::park();
    }

    pub(crate) fn park_uninterruptibly(_: WaitReason) {
        loom::thread::park();
    }

    /// There is no time in a model: whoever has a deadline may meet it at any moment.
    pub(crate) fn park_until(_: WaitReason, _: Instant) {
        loom::thread::yield_now();
    }

    pub(crate) fn random() -> u64 {
        0
    }
}
