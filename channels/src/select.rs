//! [`Select`]: one of several operations, whichever can be done first.

#![allow(unsafe_code, reason = "reservations of selects, each used once")]

use crate::cases::{Case, Selectable};
use crate::channel::{Flavor, Receiver, Sender};
use crate::choose::{CASES_INLINE, Want, try_cases, wait_cases};
use crate::core::Reservation;
use crate::error::{ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError};
use crate::until::Until;
use pirn_runtime::internal::wake;
use smallvec::SmallVec;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::slice;
use std::thread::panicking;
use std::time::{Duration, Instant};

/// Selects from a list of operations that is known only at run time; [`select!`](crate::select!) is easier where the
/// list is known before.
///
/// Operations are added with [`send`](Self::send) and [`recv`](Self::recv), which return their numbers, counted from 0.
/// If several are ready, one of them is chosen at random. What was selected has to be completed with
/// [`SelectedOperation::send`] or [`SelectedOperation::recv`].
///
/// ```
/// use pirn::channel::{Select, unbounded};
///
/// let (s1, r1) = unbounded();
/// let (_s2, r2) = unbounded::<i32>();
/// s1.send(10).unwrap();
///
/// let mut sel = Select::new();
/// let first = sel.recv(&r1);
/// let second = sel.recv(&r2);
/// let oper = sel.select();
/// match oper.index() {
///     i if i == first => assert_eq!(oper.recv(&r1), Ok(10)),
///     i if i == second => assert!(oper.recv(&r2).is_err()),
///     _ => unreachable!(),
/// }
/// ```
///
/// It borrows the channels until it is used for the last time, not until it is dropped:
///
/// ```
/// # use pirn::channel::{Select, unbounded};
/// # let (s, r) = unbounded();
/// # s.send(1).unwrap();
/// let mut receivers = vec![r];
/// let mut sel = Select::new();
/// sel.recv(&receivers[0]);
/// let oper = sel.select();
/// assert_eq!(oper.recv(&receivers[0]), Ok(1));
/// receivers.clear();
/// ```
#[derive(Clone)]
pub struct Select<'a> {
    cases: Cases<'a>,
    /// Checked: an overflow panics, or takes centuries.
    next_index: usize,
    biased: bool,
}

/// The cases. Their lifetime is not that of the `SmallVec`, whose destructor would else keep what they borrow.
#[derive(Clone)]
struct Cases<'a> {
    forever: SmallVec<[Case<'static>; CASES_INLINE]>,
    _borrowed: PhantomData<Case<'a>>,
}

impl<'a> Cases<'a> {
    fn new() -> Cases<'a> {
        Cases { forever: SmallVec::new(), _borrowed: PhantomData }
    }

    #[inline]
    fn push(&mut self, case: Case<'a>) {
        // SAFETY: only the lifetime differs. It comes out again as the one that it was (`get`), and has no destructor.
        self.forever.push(unsafe { mem::transmute::<Case<'a>, Case<'static>>(case) });
    }

    #[inline]
    fn get(&mut self) -> &mut [Case<'a>] {
        let (first, len) = (self.forever.as_mut_ptr().cast::<Case<'a>>(), self.forever.len());
        // SAFETY: `push` took them in as `Case<'a>`, and what is stored in them through this is that too.
        unsafe { slice::from_raw_parts_mut(first, len) }
    }

    fn remove(&mut self, at: usize) {
        self.forever.remove(at);
    }
}

// SAFETY: a select only chooses. That touches a value no more than a send to another thread does, and to complete an
// operation one needs the `Sender` or `Receiver` itself, which decides about threads.
unsafe impl Send for Select<'_> {}
// SAFETY: through a shared reference it can only be cloned.
unsafe impl Sync for Select<'_> {}

impl Default for Select<'_> {
    fn default() -> Self {
        Select::new()
    }
}

impl<'a> Select<'a> {
    /// A list without operations.
    pub fn new() -> Select<'a> {
        Select { cases: Cases::new(), next_index: 0, biased: false }
    }

    /// A list without operations. If several are ready, the first of them is chosen.
    pub fn new_biased() -> Select<'a> {
        Select { biased: true, ..Select::new() }
    }

    /// Adds a send, and returns its number.
    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        self.add(s)
    }

    /// Adds a receive, and returns its number.
    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        self.add(r)
    }

    #[inline]
    fn add(&mut self, handle: &'a impl Selectable) -> usize {
        let index = self.next_index;
        self.cases.push(Case::new(handle, index));
        self.next_index += 1;
        index
    }

    /// Removes an operation from the list, for example because its channel is disconnected. The numbers of the others
    /// do not change.
    ///
    /// # Panics
    /// If there is no operation with that number.
    pub fn remove(&mut self, index: usize) {
        assert!(index < self.next_index, "index out of bounds; {index} >= {}", self.next_index);
        let at = self.cases.get().iter().position(|case| case.index == index).expect("no operation with this index");
        // The order is that of a biased select.
        self.cases.remove(at);
    }

    /// Selects an operation that is ready now. If that is a receive from a select that waits to send, this waits for
    /// its value for up to 10 ms.
    ///
    /// A disconnected channel is always ready.
    ///
    /// # Errors
    /// If none is.
    #[inline]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.try_cases(false).map(|chosen| self.selected(chosen)).ok_or(TrySelectError)
    }

    /// Waits until an operation is ready, and selects it.
    ///
    /// # Panics
    /// If there are no operations.
    #[inline]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.cases.get().is_empty(), "no operations have been added to `Select`");
        let chosen = self.wait_cases(false, Until::Ever);
        self.selected(chosen.expect("who waits for ever has got something"))
    }

    /// Waits until an operation is ready, for `timeout` at most, and selects it. If a select has promised a value by
    /// then, up to 10 ms longer.
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_until(Until::For(timeout))
    }

    /// Waits until an operation is ready, until `deadline` at most, and selects it. If a select has promised a value by
    /// then, up to 10 ms longer.
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn select_deadline(&mut self, deadline: Instant) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_until(Until::At(deadline))
    }

    fn select_until(&mut self, until: Until) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.wait_cases(false, until).map(|chosen| self.selected(chosen)).ok_or(SelectTimeoutError)
    }

    /// Looks for an operation that is ready now, and returns its number.
    ///
    /// It may not be ready any more when you perform it, and in rare cases it was not ready at all. Use `try_send` or
    /// `try_recv`.
    ///
    /// # Errors
    /// If none is.
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.try_cases(true).map(|(i, _)| self.cases.get()[i].index).ok_or(TryReadyError)
    }

    /// Waits until an operation is ready, and returns its number. See [`try_ready`](Self::try_ready).
    ///
    /// # Panics
    /// If there are no operations.
    pub fn ready(&mut self) -> usize {
        assert!(!self.cases.get().is_empty(), "no operations have been added to `Select`");
        let chosen = self.wait_cases(true, Until::Ever);
        self.cases.get()[chosen.expect("who waits for ever has got something").0].index
    }

    /// Waits until an operation is ready, for `timeout` at most, and returns its number. See
    /// [`try_ready`](Self::try_ready).
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Until::For(timeout))
    }

    /// Waits until an operation is ready, until `deadline` at most, and returns its number. See
    /// [`try_ready`](Self::try_ready).
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Until::At(deadline))
    }

    fn ready_until(&mut self, until: Until) -> Result<usize, ReadyTimeoutError> {
        let chosen = self.wait_cases(true, until);
        chosen.map(|(i, _)| self.cases.get()[i].index).ok_or(ReadyTimeoutError)
    }

    #[inline]
    fn try_cases(&mut self, watch: bool) -> Option<(usize, Reservation)> {
        try_cases(self.cases.get(), Want { biased: self.biased, watch })
    }

    #[inline]
    fn wait_cases(&mut self, watch: bool, until: Until) -> Option<(usize, Reservation)> {
        wait_cases(self.cases.get(), Want { biased: self.biased, watch }, until)
    }

    #[inline]
    fn selected(&mut self, (i, reservation): (usize, Reservation)) -> SelectedOperation<'a> {
        let Case { handle, index, .. } = self.cases.get()[i];
        SelectedOperation { handle, index, reservation }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select { .. }")
    }
}

/// An operation that was selected and has to be completed, with the sender or receiver that was added to the list.
///
/// Complete it soon: a receiver may wait for the value of a send that was selected. If it has a timeout, it gives up 10
/// ms after that at the latest. Then the next receiver gets the value, which stays in the channel until then, even in
/// an unbuffered one. Forgetting an operation ([`mem::forget`](std::mem::forget)) keeps what was selected from all
/// others: the receiver, the value, or the room.
///
/// # Panics
/// If it is dropped instead. The choice is undone then; only a value of the clock is lost.
#[must_use = "an operation that was selected has to be completed"]
pub struct SelectedOperation<'a> {
    handle: &'a dyn Selectable,
    index: usize,
    reservation: Reservation,
}

impl SelectedOperation<'_> {
    /// The number of the operation.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a send.
    ///
    /// # Errors
    /// The value, if the channel is disconnected.
    ///
    /// # Panics
    /// If the operation was not added with this very `s`.
    pub fn send<T>(self, s: &Sender<T>, msg: T) -> Result<(), SendError<T>> {
        assert!(self.is_of(s), "passed a sender that wasn't selected");
        let reservation = self.complete();
        let channel = s.channel.lock();
        let sent = channel.complete_send(reservation, msg);
        drop(channel);
        sent.map(wake).map_err(SendError)
    }

    /// Completes a receive.
    ///
    /// # Errors
    /// If the channel is empty and disconnected.
    ///
    /// # Panics
    /// If the operation was not added with this very `r`.
    pub fn recv<T>(self, r: &Receiver<T>) -> Result<T, RecvError> {
        assert!(self.is_of(r), "passed a receiver that wasn't selected");
        let reservation = self.complete();
        match (&r.flavor, reservation) {
            // SAFETY: the reservation is of this very receiver (`is_of`): a `T` was packed, and it is completed once.
            (_, Reservation::Parcel(parcel)) => Ok(unsafe { parcel.unpack() }),
            (Flavor::Channel(channel), Reservation::Value) => {
                let (value, told) = channel.lock().complete_receive();
                wake(told);
                Ok(value)
            }
            (Flavor::Clock(_, value), Reservation::Moment(moment)) => Ok(value(moment)),
            _ => Err(RecvError),
        }
    }

    /// Whether it is an operation on this very handle, and so on its type of values: the handle is borrowed as long as the
    /// operation lives, handles have a size, and none lies in another, so no other one is at its address.
    fn is_of<H: Selectable>(&self, handle: &H) -> bool {
        ptr::addr_eq(self.handle, handle)
    }

    /// It is being completed, so dropping it is correct.
    fn complete(self) -> Reservation {
        let reservation = self.reservation;
        mem::forget(self);
        reservation
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        // SAFETY: it was chosen for this handle, and is not completed.
        unsafe { self.handle.release(self.reservation) };
        if !panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SelectedOperation { .. }")
    }
}
