//! Signals of the process, as messages: [`notify`], [`notify_context`], [`ctrl_c`].
//!
//! While somebody is notified of a signal, the process does not do what it would else do at it (end, in most cases); a
//! handler that was there before is still called.
//!
//! A thread, made at the first call, carries signals from the handler to those that are notified. It stays, and is no
//! reason not to report a deadlock once nobody is notified any more.

use crate::sys_signals::{self, Earlier};
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::internal::{Kind, Party, Reason, Wait, WaitSource, add_waits, now_ns};
use pirn_sync::Mutex;
use pirn_sync::context::{Cancel, Context};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// So many signals wait for one that does not receive; later ones are lost to it.
const WAITING: usize = 64;

/// Why the thread waits.
static SIGNAL_WAIT: Reason = Reason::new("signal", Kind::Event);

/// The registrations, and 1 while the thread tells those of one that may be gone by now. While it is 0 no signal wakes a
/// goroutine.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// The number of the thread, and since when it waits.
static CARRIER: OnceLock<(i32, u64)> = OnceLock::new();

static SIGNALS: Mutex<Registry> = Mutex::new(Registry::new());

/// A signal by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($NAME:ident = $number:literal, $unix:literal, $what:literal;)*) => {
        impl Signal {
            $(#[doc = concat!("`", $unix, "`: ", $what, ".")]
            pub const $NAME: Signal = Signal($number);)*

            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($unix),)*
                    _ => None,
                }
            }
        }
    };
}
// Of Linux on x86_64 and most others.
signals! {
    HANGUP = 1, "SIGHUP", "the terminal has gone; by convention, read the configuration again";
    INTERRUPT = 2, "SIGINT", "Ctrl-C";
    QUIT = 3, "SIGQUIT", "Ctrl-\\\\";
    USER_1 = 10, "SIGUSR1", "what the program defines";
    USER_2 = 12, "SIGUSR2", "what the program defines";
    PIPE = 13, "SIGPIPE", "a write to what nobody reads";
    ALARM = 14, "SIGALRM", "a timer of the system";
    TERMINATE = 15, "SIGTERM", "please end";
    CHILD = 17, "SIGCHLD", "a child has ended, or has been stopped";
    CONTINUE = 18, "SIGCONT", "the process goes on after a stop";
    TERMINAL_STOP = 20, "SIGTSTP", "Ctrl-Z";
    WINDOW = 28, "SIGWINCH", "the terminal has another size";
}

impl Signal {
    /// The signal with this number, from 1 to 64.
    ///
    /// # Panics
    /// If there is none.
    pub fn from_number(number: i32) -> Signal {
        assert!((1..=sys_signals::SIGNAL_MAX).contains(&number), "signals have numbers from 1 to 64, not {number}");
        Signal(number)
    }

    /// The number of the signal.
    pub fn number(self) -> i32 {
        self.0
    }

    fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// Sends these signals to a channel from now on: Go's `signal.Notify`. Each call has a channel of its own. As with the
/// system, a signal that comes several times before it is looked at counts once.
///
/// When what this returns is dropped, and nobody else is notified, the process does at the signal what it did before.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for `SIGKILL` and `SIGSTOP`, which the system keeps, and for those of faults
/// (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`), at which the code that made the fault cannot go on; if there is no thread or
/// descriptor to be had.
///
/// ```
/// use pirn::signal::{Signal, notify};
///
/// pirn::run(|| {
///     let signals = notify(&[Signal::USER_1, Signal::WINDOW]).unwrap();
///     let me = std::process::id().to_string();
///     std::process::Command::new("kill").args(["-USR1", &me]).status().unwrap();
///     pirn::select! {
///         recv(signals.receiver()) -> signal => assert_eq!(signal, Ok(Signal::USER_1)),
///         recv(pirn::channel::after(std::time::Duration::from_secs(60))) -> _ => panic!("too late"),
///     }
/// });
/// ```
pub fn notify(signals: &[Signal]) -> io::Result<Signals> {
    let (sender, receiver) = bounded(WAITING);
    let registration = Registration::new(signals, Told::Channel(sender))?;
    Ok(Signals { receiver, _registration: registration })
}

/// A context that ends when one of these signals comes: Go's `signal.NotifyContext`. Its cause names the signal.
///
/// The context ends too when the guard is dropped; from then on the process does at the signal what it did before.
///
/// # Errors
/// As [`notify`].
///
/// ```
/// use pirn::context::Context;
/// use pirn::signal::{Signal, notify_context};
///
/// pirn::run(|| {
///     let (context, _stop) = notify_context(&Context::background(), &[Signal::USER_2]).unwrap();
///     let me = std::process::id().to_string();
///     std::process::Command::new("kill").args(["-USR2", &me]).status().unwrap();
///     context.wait();
///     assert_eq!(context.cause().unwrap().to_string(), "SIGUSR2");
/// });
/// ```
pub fn notify_context(parent: &Context, signals: &[Signal]) -> io::Result<(Context, NotifyGuard)> {
    let (context, cancel) = parent.with_cancel();
    let registration = Registration::new(signals, Told::Context(cancel.clone()))?;
    Ok((context, NotifyGuard { _registration: registration, cancel }))
}

/// Waits for Ctrl-C, once.
///
/// # Errors
/// As [`notify`].
///
/// ```no_run
/// pirn::run(|| {
///     pirn::signal::ctrl_c().unwrap();
///     println!("good bye");
/// });
/// ```
pub fn ctrl_c() -> io::Result<()> {
    notify(&[Signal::INTERRUPT])?.recv().map(drop).map_err(io::Error::other)
}

/// What [`notify`] returns: a [`Receiver`] of signals.
#[derive(Debug)]
#[must_use = "nothing is received any more when it is dropped"]
pub struct Signals {
    receiver: Receiver<Signal>,
    _registration: Registration,
}

impl Signals {
    /// The channel.
    pub fn receiver(&self) -> &Receiver<Signal> {
        &self.receiver
    }
}

impl Deref for Signals {
    type Target = Receiver<Signal>;

    fn deref(&self) -> &Receiver<Signal> {
        &self.receiver
    }
}

/// What [`notify_context`] returns beside the context.
#[derive(Debug)]
#[must_use = "the context ends when it is dropped"]
pub struct NotifyGuard {
    _registration: Registration,
    cancel: Cancel,
}

impl Drop for NotifyGuard {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Who is notified.
#[derive(Clone)]
enum Told {
    Channel(Sender<Signal>),
    Context(Cancel),
}

impl Told {
    fn tell(&self, signal: Signal) {
        match self {
            // If it is full, or nobody receives any more, the signal is lost.
            Told::Channel(sender) => _ = sender.try_send(signal),
            Told::Context(cancel) => cancel.cancel_with(signal.to_string()),
        }
    }
}

/// An entry, until it is dropped.
#[derive(Debug)]
struct Registration(u64);

impl Registration {
    fn new(signals: &[Signal], told: Told) -> io::Result<Registration> {
        // What is dropped on an error is dropped without the lock.
        SIGNALS.lock().add(signals, told.clone()).map(Registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let told = SIGNALS.lock().remove(self.0);
        // Without the lock.
        drop(told);
    }
}

/// Who is notified of what, and what was done before.
struct Registry {
    has_thread: bool,
    last: u64,
    /// By registration: its signals, by their bits.
    entries: BTreeMap<u64, (u64, Told)>,
    earlier: BTreeMap<i32, Earlier>,
}

impl Registry {
    const fn new() -> Registry {
        Registry { has_thread: false, last: 0, entries: BTreeMap::new(), earlier: BTreeMap::new() }
    }

    fn add(&mut self, signals: &[Signal], told: Told) -> io::Result<u64> {
        if let Some(signal) = signals.iter().find(|signal| is_refused(**signal)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("nobody can be notified of {signal}")));
        }
        if !self.has_thread {
            sys_signals::make_bell()?;
            thread::Builder::new().name("pirn-signals".to_owned()).spawn(carry)?;
            self.has_thread = true;
            add_waits(WaitSource { longest: || None, each });
        }
        self.last += 1;
        let bits = signals.iter().fold(0, |bits, signal| bits | signal.bit());
        self.entries.insert(self.last, (bits, told));
        TOLD.fetch_add(1, Ordering::Relaxed);
        for signal in signals {
            if self.earlier.contains_key(&signal.0) {
                continue;
            }
            match sys_signals::handle(signal.0) {
                Ok(earlier) => _ = self.earlier.insert(signal.0, earlier),
                Err(error) => {
                    self.remove(self.last);
                    return Err(error);
                }
            }
        }
        Ok(self.last)
    }

    fn remove(&mut self, number: u64) -> Option<(u64, Told)> {
        let entry = self.entries.remove(&number);
        if entry.is_some() {
            TOLD.fetch_sub(1, Ordering::Relaxed);
        }
        let wanted = self.entries.values().fold(0, |bits, (of_entry, _)| bits | of_entry);
        self.earlier.retain(|number, earlier| {
            let is_wanted = wanted & Signal(*number).bit() != 0;
            // The system took the same before.
            is_wanted || sys_signals::restore(*number, earlier).is_err()
        });
        entry
    }

    /// Those that are notified of it.
    fn told(&self, signal: Signal) -> Vec<Told> {
        let entries = self.entries.values().filter(|(bits, _)| bits & signal.bit() != 0);
        entries.map(|(_, told)| told.clone()).collect()
    }
}

/// SIGKILL and SIGSTOP; and SIGILL, SIGBUS, SIGFPE, SIGSEGV: see [`notify`].
fn is_refused(signal: Signal) -> bool {
    [9, 19, 4, 7, 8, 11].contains(&signal.0)
}

/// The thread: carries signals from the handler to those that are notified.
fn carry() {
    CARRIER.get_or_init(|| (sys_signals::thread_number(), now_ns()));
    loop {
        let come = sys_signals::wait();
        // Before it looks at the registrations: none of those that it tells goes without being counted here.
        TOLD.fetch_add(1, Ordering::Relaxed);
        for signal in (1..=sys_signals::SIGNAL_MAX).map(Signal).filter(|signal| come & signal.bit() != 0) {
            let told = SIGNALS.lock().told(signal);
            // Without the lock.
            told.iter().for_each(|told| told.tell(signal));
        }
        TOLD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For the runtime's reports: the thread waits, and may wake a goroutine if somebody is notified.
fn each(add: &mut dyn FnMut(Wait)) {
    if let Some((thread, since_ns)) = CARRIER.get() {
        let may_end = TOLD.load(Ordering::Relaxed) != 0;
        add(Wait { party: Party::Thread(*thread), reason: &SIGNAL_WAIT, what: 0, since_ns: *since_ns, may_end });
    }
}
