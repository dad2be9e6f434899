//! What sysmon prints: schedtrace, the dumps that SIGQUIT asks for, warnings and reports. It never waits for a reader
//! (`observe/outbox.rs`): a slow reader gets less, and is told how much is missing. Events are delivered to a
//! `tracing` subscriber on a thread of its own; sysmon itself only asks it whether it is interested (`enabled`), and
//! delivers itself if the system gives no thread.

use crate::observe::{self, Outbox, Printer};
use crate::os::quits;
use crate::sched::{Setup, Shared, Warning};
use crate::timers::NEVER;
use crate::user_code::contain;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// For how long the end of a runtime waits for a reader that takes nothing, and for one that is slow.
const LAST_REST_NS: u64 = 100_000_000;
const LAST_ALL_NS: u64 = 1_000_000_000;

/// How often to look for SIGQUITs, if they are to be answered: a signal handler may not wake a thread.
const ANSWER_NS: u64 = 100_000_000;

/// While so many calls of a subscriber have not returned, nothing more is delivered to it.
const DELIVERING_MAX: usize = 8;

/// What to print, and how often.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) period_ms: u64,
    pub(crate) printer: Printer,
}

/// See the head of this file.
pub(super) struct Output {
    stderr: Outbox,
    trace: Option<Trace>,
    trace_due_ns: u64,
    /// How many SIGQUITs have been answered.
    quits: u32,
    /// Threads that deliver something to a subscriber.
    delivering: Vec<JoinHandle<()>>,
}

impl Output {
    /// Prints the first line of schedtrace, which is not left to a thread that may start late.
    pub(super) fn new(shared: &Shared, mut trace: Option<Trace>) -> Output {
        let mut stderr = Outbox::stderr();
        if let Some(trace) = &mut trace {
            trace.printer.print(shared, &mut stderr, shared.began_ns());
        }
        let trace_due_ns = trace.as_ref().map_or(NEVER, |trace| shared.began_ns() + trace.period_ms * 1_000_000);
        Output { stderr, trace, trace_due_ns, quits: quits(), delivering: Vec::new() }
    }

    /// Prints what there is to print.
    pub(super) fn look(&mut self, shared: &Shared, now_ns: u64) {
        self.print_trace(shared, now_ns);
        self.answer_quit(shared, now_ns);
        self.warn(shared, now_ns);
        if now_ns >= self.rest_due_ns() {
            self.flush(now_ns);
        }
    }

    /// When it has to look next, if sysmon is not woken before.
    pub(super) fn due_ns(&self, shared: &Shared, now_ns: u64) -> u64 {
        let answer = if shared.setup.dumps_on_signal { now_ns + ANSWER_NS } else { NEVER };
        self.trace_due_ns.min(answer).min(self.rest_due_ns())
    }

    /// The last words of a runtime: what waits for a reader gets some more time.
    pub(super) fn close(&mut self, shared: &Shared) {
        let began_ns = shared.refresh_clock();
        self.warn(shared, began_ns);
        let mut taken_ns = began_ns;
        while self.rest_due_ns() != NEVER || self.delivering.iter().any(|thread| !thread.is_finished()) {
            let now_ns = shared.refresh_clock();
            if self.flush(now_ns) {
                taken_ns = now_ns;
            } else if now_ns - taken_ns > LAST_REST_NS || now_ns - began_ns > LAST_ALL_NS {
                break;
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Reports to standard error, and to a subscriber.
    pub(super) fn report(&mut self, shared: &Shared, warning: Warning, now_ns: u64) {
        self.stderr.post(&warning.text, now_ns);
        self.deliver(shared, warning.event);
    }

    /// Delivers an event to a subscriber, if there is one. A subscriber is the user's code, and may wait for a reader
    /// as long as it likes. So it runs on a thread of its own; if the system gives none, it runs here.
    fn deliver(&mut self, shared: &Shared, event: String) {
        if !tracing::enabled!(target: "pirn::sched", tracing::Level::WARN) {
            return;
        }
        self.delivering.retain(|thread| !thread.is_finished());
        if self.delivering.len() >= DELIVERING_MAX {
            return;
        }
        let thread = thread::Builder::new().name(format!("{}-warn", shared.setup.name));
        let delivered = event.clone();
        match thread.spawn(move || warn(&delivered)) {
            Ok(thread) => self.delivering.push(thread),
            Err(_) => warn(&event),
        }
    }

    fn print_trace(&mut self, shared: &Shared, now_ns: u64) {
        let Some(trace) = &mut self.trace else { return };
        if now_ns < self.trace_due_ns {
            return;
        }
        trace.printer.print(shared, &mut self.stderr, now_ns);
        let period = trace.period_ms * 1_000_000;
        // Lines that could not be printed in time are left out.
        self.trace_due_ns += period * ((now_ns - self.trace_due_ns) / period + 1);
    }

    /// Answers a SIGQUIT; the signal handler can only count it.
    fn answer_quit(&mut self, shared: &Shared, now_ns: u64) {
        let quits = quits();
        if shared.setup.dumps_on_signal && std::mem::replace(&mut self.quits, quits) != quits {
            let Setup { name, .. } = &shared.setup;
            self.stderr.post(&format!("SIGQUIT: runtime {name:?}\n\n{}", observe::dump(shared)), now_ns);
        }
    }

    /// Reports what other threads have found; they must not wait, nor call a subscriber.
    fn warn(&mut self, shared: &Shared, now_ns: u64) {
        for warning in shared.take_warnings() {
            self.report(shared, warning, now_ns);
        }
    }

    /// Writes what waits. Whether some of it has gone.
    fn flush(&mut self, now_ns: u64) -> bool {
        let printer = self.trace.as_mut().map(|trace| &mut trace.printer);
        let printed = printer.is_some_and(|printer| printer.flush(now_ns));
        self.stderr.flush(now_ns) || printed
    }

    fn rest_due_ns(&self) -> u64 {
        let printer = self.trace.as_ref().map_or(NEVER, |trace| trace.printer.due_ns());
        self.stderr.due_ns().min(printer)
    }
}

fn warn(what: &str) {
    // A subscriber that panics has been heard.
    let _ = contain(|| tracing::warn!(target: "pirn::sched", "{what}"));
}
