//! Programs that have no thread but their own and that of signals, in which all wait: which of them are deadlocks, and are
//! reported at once. The program runs itself, once for each case.

use pirn_channels::bounded;
use pirn_net::signal::{Signal, Signals, notify, notify_context};
use pirn_net::{TcpListener, TcpStream};
use pirn_runtime::{Builder, park, sleep};
use pirn_sync::context::Context;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const CHILD: &str = "PIRN_TEST_CHILD";

/// A report comes sooner than this, on a machine that has much else to do.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Longer than the pause between two looks at the beginning.
const LONG: Duration = Duration::from_millis(400);

/// A case: its name, what a child does, and whether that is a deadlock.
const CASES: &[(&str, fn(), bool)] = &[
    ("nobody_is_notified_any_more", nobody_is_notified_any_more, true),
    ("a_signal_has_come_before", a_signal_has_come_before, true),
    ("a_registration_was_refused", a_registration_was_refused, true),
    ("a_socket_was_waited_for", a_socket_was_waited_for, true),
    ("somebody_waits_for_a_signal", somebody_waits_for_a_signal, false),
    ("a_context_waits_for_a_signal", a_context_waits_for_a_signal, false),
    ("somebody_else_could_be_told", somebody_else_could_be_told, false),
];

#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn notified() -> Signals {
    notify(&[Signal::USER_1]).expect("a thread and a descriptor")
}

/// This process, from outside, in a moment.
fn signal_in_a_moment() {
    let command = format!("sleep 0.4; kill -USR1 {}", std::process::id());
    drop(Command::new("sh").args(["-c", &command]).spawn().expect("a shell"));
}

fn wait_for_ever() {
    loop {
        park();
    }
}

fn nobody_is_notified_any_more() {
    drop(notified());
    wait_for_ever();
}

fn a_signal_has_come_before() {
    let signals = notified();
    signal_in_a_moment();
    signals.recv().expect("it comes");
    drop(signals);
    wait_for_ever();
}

fn a_registration_was_refused() {
    // The thread is there, and the system keeps SIGSTOP.
    drop(notified());
    notify(&[Signal::from_number(19)]).expect_err("it is refused");
    notify(&[Signal::USER_1, Signal::from_number(32)]).expect_err("the C library keeps it");
    wait_for_ever();
}

fn a_socket_was_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    listener.set_deadline(Some(Instant::now()));
    listener.accept().expect_err("nobody comes");
    listener.set_deadline(None);
    let stream = TcpStream::connect(address).expect("it listens");
    drop((listener.accept().expect("a connection"), stream, listener));
    wait_for_ever();
}

fn somebody_waits_for_a_signal() {
    let signals = notified();
    signal_in_a_moment();
    assert_eq!(signals.recv(), Ok(Signal::USER_1));
}

fn a_context_waits_for_a_signal() {
    let (context, _stop) = notify_context(&Context::background(), &[Signal::USER_1]).expect("a thread");
    signal_in_a_moment();
    context.wait();
}

/// The one that waits now has asked for nothing, but who is notified could wake it.
fn somebody_else_could_be_told() {
    let signals = notified();
    let (sender, receiver) = bounded::<()>(1);
    pirn_runtime::go(move || {
        signals.recv().expect("it comes");
        sender.send(()).expect("it is received");
    });
    signal_in_a_moment();
    sleep(LONG / 4);
    receiver.recv().expect("it is sent");
}

fn builder() -> Builder {
    if env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared") {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        return unsafe { Builder::new().shared_thread_locals() };
    }
    Builder::new()
}

fn main() -> ExitCode {
    if let Some(child) = env(CHILD) {
        let (_, case, _) = CASES.iter().find(|(name, ..)| *name == child).expect("a case");
        builder().procs(2).build().expect("a runtime").run(case);
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (name, _, is_deadlock) in CASES {
        let me = std::env::current_exe().expect("the path of the test");
        let began = Instant::now();
        let ended = Command::new("timeout").arg("60").arg(me).env(CHILD, name).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let is_reported = stderr.contains("all goroutines are asleep - deadlock!") && ended.status.code() == Some(2);
        let is_reported = is_reported && began.elapsed() < AT_ONCE;
        if is_reported != *is_deadlock || (!is_deadlock && !ended.status.success()) {
            failed = true;
            eprintln!("{name}: {:?} after {:?}\n{stderr}", ended.status, began.elapsed());
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
