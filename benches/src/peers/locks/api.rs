//! What the workloads over locks are written with. Everything is inlined: no call of ours stands between an operation and
//! what it costs.

use crate::peers::crossbeam::Api;

/// Who runs the workloads: tasks, and channels between them, unbuffered where the peer has such.
pub(crate) trait Tasks: 'static {
    /// Waits for a task.
    type Handle<T: Send + 'static>;
    /// Sends numbers.
    type Sender: Send + 'static;
    /// Receives them.
    type Receiver: Send + 'static;

    /// Starts a task.
    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    /// Waits for the end of one. No task panics.
    fn joined<T: Send + 'static>(handle: Self::Handle<T>) -> T;
    /// Lets others run.
    fn yield_now();
    /// A channel with one end each.
    fn channel() -> (Self::Sender, Self::Receiver);
    /// Sends. There is a receiver.
    fn send(sender: &Self::Sender, value: u64);
    /// Receives; none if the sender is gone.
    fn recv(receiver: &Self::Receiver) -> Option<u64>;
}

impl<A: Api> Tasks for A {
    type Handle<T: Send + 'static> = A::Handle<T>;
    type Sender = A::Sender<u64>;
    type Receiver = A::Receiver<u64>;

    #[inline(always)]
    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        A::go(work)
    }

    #[inline(always)]
    fn joined<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        A::joined(handle)
    }

    #[inline(always)]
    fn yield_now() {
        A::yield_now();
    }

    #[inline(always)]
    fn channel() -> (Self::Sender, Self::Receiver) {
        A::bounded(0)
    }

    #[inline(always)]
    fn send(sender: &Self::Sender, value: u64) {
        A::send(sender, value).expect("a receiver");
    }

    #[inline(always)]
    fn recv(receiver: &Self::Receiver) -> Option<u64> {
        A::recv(receiver)
    }
}

/// Locks of one library.
pub(crate) trait Locks: 'static {
    /// Which of the peer's, if it has several.
    const TAG: &str;
    /// One at a time.
    type Mutex<T: Send + 'static>: Send + Sync + 'static;
    /// Many that read, or one that writes.
    type RwLock<T: Send + Sync + 'static>: Send + Sync + 'static;
    /// Where tasks wait for what others do under a mutex.
    type Condvar: Send + Sync + 'static;

    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T>;
    fn rwlock<T: Send + Sync + 'static>(value: T) -> Self::RwLock<T>;
    fn condvar() -> Self::Condvar;
    /// Does `work` under the lock.
    fn lock<T: Send + 'static, R>(mutex: &Self::Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R;
    /// The same beside other readers.
    fn read<T: Send + Sync + 'static, R>(rwlock: &Self::RwLock<T>, work: impl FnOnce(&T) -> R) -> R;
    /// The same alone.
    fn write<T: Send + Sync + 'static, R>(rwlock: &Self::RwLock<T>, work: impl FnOnce(&mut T) -> R) -> R;
    /// Waits until `is_time`, and does `work` under the same turn of the lock.
    fn lock_when<T: Send + 'static, R>(
        mutex: &Self::Mutex<T>,
        condvar: &Self::Condvar,
        is_time: impl Fn(&T) -> bool,
        work: impl FnOnce(&mut T) -> R,
    ) -> R;
    fn notify_one(condvar: &Self::Condvar);
    fn notify_all(condvar: &Self::Condvar);
}

/// Implements [`Locks`] for `$locks` over what `$of` has. `$guarded` follows each call that gives a guard, and makes one of
/// what it returns. `$wait` waits on `$condvar` with `$guard`.
macro_rules! locks {
    ($locks:ty, $tag:literal, $of:path, [$($guarded:tt)*], |$condvar:ident, $guard:ident| $wait:expr) => {
        const _: () = {
            use $of as of;

            impl $crate::peers::locks::Locks for $locks {
                const TAG: &str = $tag;
                type Mutex<T: Send + 'static> = of::Mutex<T>;
                type RwLock<T: Send + Sync + 'static> = of::RwLock<T>;
                type Condvar = of::Condvar;

                #[inline(always)]
                fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
                    of::Mutex::new(value)
                }

                #[inline(always)]
                fn rwlock<T: Send + Sync + 'static>(value: T) -> Self::RwLock<T> {
                    of::RwLock::new(value)
                }

                #[inline(always)]
                fn condvar() -> Self::Condvar {
                    of::Condvar::new()
                }

                #[inline(always)]
                fn lock<T: Send + 'static, R>(mutex: &Self::Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
                    work(&mut mutex.lock()$($guarded)*)
                }

                #[inline(always)]
                fn read<T: Send + Sync + 'static, R>(rwlock: &Self::RwLock<T>, work: impl FnOnce(&T) -> R) -> R {
                    work(&rwlock.read()$($guarded)*)
                }

                #[inline(always)]
                fn write<T: Send + Sync + 'static, R>(rwlock: &Self::RwLock<T>, work: impl FnOnce(&mut T) -> R) -> R {
                    work(&mut rwlock.write()$($guarded)*)
                }

                #[inline(always)]
                fn lock_when<T: Send + 'static, R>(
                    mutex: &Self::Mutex<T>,
                    $condvar: &Self::Condvar,
                    is_time: impl Fn(&T) -> bool,
                    work: impl FnOnce(&mut T) -> R,
                ) -> R {
                    let mut $guard = mutex.lock()$($guarded)*;
                    while !is_time(&$guard) {
                        $wait;
                    }
                    work(&mut $guard)
                }

                #[inline(always)]
                fn notify_one(condvar: &Self::Condvar) {
                    condvar.notify_one();
                }

                #[inline(always)]
                fn notify_all(condvar: &Self::Condvar) {
                    condvar.notify_all();
                }
            }
        };
    };
}

pub(crate) use locks;
