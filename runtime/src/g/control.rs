//! The record of a goroutine.

#![cfg(not(loom))]

use super::join_word::JoinWord;
use super::line_park::{LinePark, LinePlace};
use super::values::OwnValues;
use super::word::ParkWord;
use crate::coro::{Coro, DIRECT};
use crate::m::M;
use crate::os::Mutex;
use crate::os::ThreadPointer;
use crate::probe::Status;
use crate::reason::Reason;
use crate::sched::Shared;
use crate::stack::{Class, Slot};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::{MaybeUninit, offset_of};
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The number of a goroutine, unique in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gid(pub(crate) u64);

impl Gid {
    /// The plain number, as dumps and schedtrace show it.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{}", self.0)
    }
}

impl fmt::Debug for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a G runs on its stack: it calls the closure in its storage and settles the result.
pub(crate) type Body = unsafe fn(&'static G);

/// The size up to which a closure or a result lies in the record itself; a larger one is boxed.
const INLINE_WORDS: usize = 8;

/// Room for a value whose type only the giver and the taker know: first the closure, then the result.
#[repr(C, align(16))]
pub(crate) struct Storage(UnsafeCell<MaybeUninit<[u64; INLINE_WORDS]>>);

impl Storage {
    fn new() -> Storage {
        Storage(UnsafeCell::new(MaybeUninit::uninit()))
    }

    const fn fits<V>() -> bool {
        size_of::<V>() <= size_of::<[u64; INLINE_WORDS]>() && align_of::<V>() <= 16
    }

    /// Puts a value in.
    ///
    /// # Safety
    /// Nothing else uses the storage meanwhile, and it is empty.
    #[inline]
    pub(crate) unsafe fn put<V>(&self, value: V) {
        if const { Self::fits::<V>() } {
            // SAFETY: it fits, and the caller has it alone.
            unsafe { self.0.get().cast::<V>().write(value) }
        } else {
            let boxed = Box::into_raw(Box::new(value));
            // SAFETY: a pointer fits, and the caller has it alone.
            unsafe { self.0.get().cast::<*mut V>().write(boxed) }
        }
    }

    /// Takes the value out.
    ///
    /// # Safety
    /// The last `put` was of the same type, happened before, and its value has not been taken since.
    #[inline]
    pub(crate) unsafe fn take<V>(&self) -> V {
        if const { Self::fits::<V>() } {
            // SAFETY: the caller promises that a V is there and is read once.
            unsafe { self.0.get().cast::<V>().read() }
        } else {
            // SAFETY: as above; `put` left a pointer from a box.
            let boxed = unsafe { self.0.get().cast::<*mut V>().read() };
            // SAFETY: it came from `Box::into_raw` and is taken once.
            *unsafe { Box::from_raw(boxed) }
        }
    }
}

/// A goroutine. Two 128-byte groups: what every switch touches, and what only the beginning, the end and observers
/// do. Alignment keeps two Gs that run on two Ps off one another's lines (measured: it halves a yield on CPUs that
/// are far apart).
#[repr(C, align(128))]
pub(crate) struct G {
    /// Whether it is parked, and whose record this is.
    pub(crate) word: ParkWord,
    /// What still needs the record: the handle, the M that will retire the G, and the joiner.
    pub(crate) join: JoinWord,
    /// Its runtime; set by `go`, valid as long as the G lives, because its Ms keep the runtime.
    shared: AtomicPtr<Shared>,
    /// The only M that may run it, if it is locked to one. Written by the G itself while it runs.
    pub(crate) locked_m: Cell<*const M>,
    /// Its stack and where it left off; none until it has run.
    pub(crate) coro: UnsafeCell<Option<Coro>>,
    /// The M that runs it or ran it last. Written by who continues it; observers only compare it.
    m: AtomicPtr<M>,
    /// Its own thread-locals, at the top of the slot; none if it uses those of its M.
    pub(crate) block: Cell<Option<ThreadPointer>>,
    /// Why it waits or waited last: a `static`, or null.
    reason: AtomicPtr<Reason>,
    class: Cell<Class>,
    status: AtomicU8,
    since_ms: AtomicU32,
    /// What it waits on, if there is more to say than the reason: an address, or a number.
    waits_on: AtomicUsize,
    /// The line that it waits in, if it waits by that and not by the word.
    pub(crate) line: LinePlace,

    pub(crate) storage: Storage,
    body: Cell<Option<Body>>,
    birthplace: AtomicPtr<Location<'static>>,
    /// The number of the G that started it, 0 if none did.
    parent: AtomicU64,
    name: AtomicPtr<String>,
    /// The address of the scope that waits for its end, or of the task that it belongs to (`go/task.rs`), from before its
    /// start; 0 if there is none. For observers.
    scope: AtomicUsize,
    /// Its own values (`g_local.rs`).
    pub(crate) values: OwnValues,
    /// The slot of its stack, back to the cache when it ends.
    pub(crate) slot: UnsafeCell<Option<Slot>>,
    /// How often it has locked its thread to itself. Saturating: at the most it stays so (`os_thread.rs`).
    pub(crate) locks: Cell<u32>,
    /// It has been reported to block its thread.
    pub(crate) is_reported: AtomicBool,
    /// It must not be unwound any more: its thread-locals are being destroyed, where a panic would abort.
    pub(crate) ending: Cell<bool>,
    /// Its thread-locals are being destroyed or are gone. A subscriber would use them, so no event is delivered.
    pub(crate) is_mute: Cell<bool>,
    /// A hooked call of it was ended, because its runtime closes (`hooked.rs`).
    pub(crate) is_cancelled: Cell<bool>,
    /// Its stack begins below all room that libraries may need that it loads.
    pub(crate) leaves_room: Cell<bool>,
    /// It is among those that sysmon has to wake, and which is the next of them. Guarded by the lock of that list
    /// (`hooked.rs`).
    pub(crate) is_left: Cell<bool>,
    pub(crate) next_left: Cell<Option<&'static G>>,
}

// What a park and a pick touch lies in the first group. The portable switch has a larger coroutine: there it does not fit.
const _: () = assert!(!DIRECT || offset_of!(G, storage) <= 128 && size_of::<G>() == 256);

// SAFETY: the cells belong to whoever owns the G by the table in I1; ownership passes on with Release and Acquire.
unsafe impl Send for G {}
// SAFETY: others touch only the atomics and the name behind its lock.
unsafe impl Sync for G {}

/// Guards every G's name: set before the G is public, dropped when it is retired, read by observers.
static NAMES: Mutex<()> = Mutex::new(());

impl G {
    pub(super) fn free() -> G {
        G {
            word: ParkWord::free(),
            join: JoinWord::new(),
            shared: AtomicPtr::new(ptr::null_mut()),
            locked_m: Cell::new(ptr::null()),
            coro: UnsafeCell::new(None),
            m: AtomicPtr::new(ptr::null_mut()),
            block: Cell::new(None),
            slot: UnsafeCell::new(None),
            reason: AtomicPtr::new(ptr::null_mut()),
            class: Cell::new(Class::DEFAULT),
            status: AtomicU8::new(Status::Dead as u8),
            since_ms: AtomicU32::new(0),
            waits_on: AtomicUsize::new(0),
            line: LinePlace::new(),
            storage: Storage::new(),
            body: Cell::new(None),
            birthplace: AtomicPtr::new(ptr::null_mut()),
            parent: AtomicU64::new(0),
            is_reported: AtomicBool::new(false),
            name: AtomicPtr::new(ptr::null_mut()),
            scope: AtomicUsize::new(0),
            values: OwnValues::new(),
            locks: Cell::new(0),
            ending: Cell::new(false),
            is_mute: Cell::new(false),
            is_cancelled: Cell::new(false),
            leaves_room: Cell::new(false),
            is_left: Cell::new(false),
            next_left: Cell::new(None),
        }
    }

    /// Turns a free record into the G `id`. Only for the owner of the free record; the closure goes into `storage`.
    #[inline]
    pub(crate) fn init(
        &self,
        id: u64,
        shared: *const Shared,
        body: Body,
        class: Class,
        birthplace: &'static Location<'static>,
        parent: u64,
    ) {
        self.shared.store(shared.cast_mut(), Ordering::Relaxed);
        self.body.set(Some(body));
        self.class.set(class);
        self.birthplace.store(ptr::from_ref(birthplace).cast_mut(), Ordering::Relaxed);
        self.parent.store(parent, Ordering::Relaxed);
        // This comes after the rest: to an observer a record with a number is a G of the runtime that the record names,
        // and the runtime that it named before may be gone and its address reused.
        self.word.assign(id);
        self.status.store(Status::Runnable as u8, Ordering::Release);
    }

    /// Turns a free record into that of a G that has ended without having begun. Only its handle sees it.
    pub(crate) fn init_ended(&self, id: u64) {
        self.shared.store(ptr::null_mut(), Ordering::Relaxed);
        self.word.assign(id);
    }

    /// Gives it a name. Only before it is public.
    pub(crate) fn set_name(&self, name: String) {
        let _names = lock_names();
        self.name.store(Box::into_raw(Box::new(name)), Ordering::Relaxed);
    }

    /// Makes the record free. Only for the owner of the dead G.
    #[inline]
    pub(crate) fn clear(&self) {
        self.word.clear();
        self.ending.set(false);
        self.is_mute.set(false);
        self.is_cancelled.set(false);
        self.leaves_room.set(false);
        self.locks.set(0);
        self.is_reported.store(false, Ordering::Relaxed);
        if !self.name.load(Ordering::Relaxed).is_null() {
            self.drop_name();
        }
    }

    #[cold]
    fn drop_name(&self) {
        let _names = lock_names();
        let name = self.name.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: it came from `Box::into_raw` in `set_name`, and the lock keeps readers out.
        drop(unsafe { Box::from_raw(name) });
    }

    /// The G `id` has left its stack to park, and may be claimed from now on. False if an unpark came first: then the
    /// caller still owns the G. Only for the owner of the G.
    #[inline(always)]
    pub(crate) fn commit_park(&self, id: u64) -> bool {
        let line = self.line.get();
        if line.is_null() {
            return self.word.commit_park(id);
        }
        // SAFETY: the G has named it, and holds the lock until here.
        unsafe { LinePark::unlock(line) };
        true
    }

    /// Its number, 0 if the record is free.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.word.id()
    }

    /// Its name, if it was given one.
    pub(crate) fn name(&self) -> Option<String> {
        let _names = lock_names();
        let name = self.name.load(Ordering::Relaxed);
        // SAFETY: under the lock a name is whole or null.
        unsafe { name.as_ref() }.cloned()
    }

    /// Its name for the fault handler: none if the lock is held just now.
    pub(crate) fn try_name(&self, f: impl FnOnce(&str)) {
        if let Ok(_names) = NAMES.try_lock() {
            let name = self.name.load(Ordering::Relaxed);
            // SAFETY: under the lock a name is whole or null.
            if let Some(name) = unsafe { name.as_ref() } {
                f(name);
            }
        }
    }

    /// Where the `go` is that started it.
    pub(crate) fn birthplace(&self) -> Option<&'static Location<'static>> {
        // SAFETY: only `init` writes it, from a reference to a static.
        unsafe { self.birthplace.load(Ordering::Relaxed).as_ref() }
    }

    /// The number of the G that started it; none if a thread did.
    pub(crate) fn parent(&self) -> Option<u64> {
        Some(self.parent.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Notes what it is about to wait on: an address, or a number.
    #[inline(always)]
    pub(crate) fn waits_on(&self, what: usize) {
        self.waits_on.store(what, Ordering::Relaxed);
    }

    /// What it waits on, if it does and there is more to say than the reason.
    pub(crate) fn waiting_on(&self) -> usize {
        self.waits_on.load(Ordering::Relaxed)
    }

    /// Notes which scope waits for its end, or which task it belongs to: an address, or 0.
    #[inline]
    pub(crate) fn set_scope(&self, scope: usize) {
        self.scope.store(scope, Ordering::Relaxed);
    }

    /// The scope or the task that it is of, or 0.
    pub(crate) fn scope(&self) -> usize {
        self.scope.load(Ordering::Relaxed)
    }

    /// Its runtime, as an address to compare with.
    #[inline]
    pub(crate) fn shared_ptr(&self) -> *const Shared {
        self.shared.load(Ordering::Relaxed)
    }

    /// Its runtime.
    ///
    /// # Safety
    /// The caller owns the G or is it: then its runtime's Ms are there, and they keep the runtime.
    #[inline]
    pub(crate) unsafe fn shared(&self) -> &'static Shared {
        // SAFETY: as the caller promises.
        unsafe { &*self.shared_ptr() }
    }

    /// The function that it runs.
    #[inline]
    pub(crate) fn body(&self) -> Option<Body> {
        self.body.get()
    }

    /// Whether it has a coroutine: it has run. For the owner of the G.
    #[inline(always)]
    pub(crate) fn has_coro(&self) -> bool {
        // SAFETY: it is changed by the owner of the G alone, at its first run and its end.
        unsafe { &*self.coro.get() }.is_some()
    }

    /// Its coroutine.
    ///
    /// # Safety
    /// The caller owns the G, or is it. It has run, and nobody ends it meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn coro(&self) -> &Coro {
        debug_assert!(self.has_coro(), "g: a G that has not run has no coroutine");
        // SAFETY: as in `has_coro`.
        let coro = unsafe { &*self.coro.get() };
        // SAFETY: as the caller promises.
        unsafe { coro.as_ref().unwrap_unchecked() }
    }

    /// The M that runs it.
    ///
    /// # Safety
    /// The caller is the G.
    #[inline(always)]
    pub(crate) unsafe fn m(&self) -> &'static M {
        // SAFETY: an M lives as long as its thread runs (m I3), on which the caller is.
        unsafe { &*self.m.load(Ordering::Relaxed) }
    }

    /// No M has run it: its thread-locals are new. Only for the owner of the G.
    #[inline(always)]
    pub(crate) fn clear_m(&self) {
        self.m.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Notes the M that runs it from now on. Whether it is another one than before. Only for the owner of the G.
    #[inline(always)]
    pub(crate) fn set_m(&self, m: &M) -> bool {
        let moves = !self.was_last_on(m);
        self.m.store(ptr::from_ref(m).cast_mut(), Ordering::Relaxed);
        moves
    }

    /// Whether `m` runs it or ran it last.
    #[inline(always)]
    pub(crate) fn was_last_on(&self, m: &M) -> bool {
        ptr::eq(self.m.load(Ordering::Relaxed), m)
    }

    /// How large its stack may become.
    #[inline]
    pub(crate) fn class(&self) -> Class {
        self.class.get()
    }

    /// Notes its status, for observers.
    #[inline]
    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status as u8, Ordering::Relaxed);
    }

    /// Notes that it waits, why, and since when.
    #[inline]
    pub(crate) fn set_waiting(&self, reason: &'static Reason, now_ms: u32) {
        self.reason.store(ptr::from_ref(reason).cast_mut(), Ordering::Relaxed);
        self.since_ms.store(now_ms, Ordering::Relaxed);
        self.set_status(Status::Waiting);
    }

    /// Its status.
    pub(crate) fn status(&self) -> Status {
        Status::from_u8(self.status.load(Ordering::Relaxed))
    }

    /// Why it waits, if it does, and since when on the runtime's coarse clock.
    pub(crate) fn waiting(&self) -> (Option<&'static Reason>, u32) {
        // SAFETY: only `set_waiting` writes it, from a reference to a static.
        let reason = unsafe { self.reason.load(Ordering::Relaxed).as_ref() };
        (reason, self.since_ms.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for G {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("G").field("id", &self.id()).field("status", &self.status()).finish_non_exhaustive()
    }
}

fn lock_names() -> crate::os::MutexGuard<'static, ()> {
    // Nothing panics under it.
    NAMES.lock().unwrap_or_else(|e| e.into_inner())
}
