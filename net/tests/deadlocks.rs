//! Programs that have no thread but their own and that of signals, in which all wait: which of them are deadlocks, and are
//! reported at once. The program runs itself, once for each case.

#[path = "../../runtime/tests/common/deadlock_cases.rs"]
mod deadlock_cases;

use deadlock_cases::Case;
use pirn_channels::bounded;
use pirn_net::signal::{Signal, Signals, notify, notify_context};
use pirn_net::{TcpListener, TcpStream};
use pirn_runtime::{park, sleep};
use pirn_sync::context::Context;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Longer than the pause between two looks at the beginning.
const LONG: Duration = Duration::from_millis(400);

const CASES: &[Case] = &[
    ("nobody_is_notified_any_more", nobody_is_notified_any_more, true),
    ("a_signal_has_come_before", a_signal_has_come_before, true),
    ("a_registration_was_refused", a_registration_was_refused, true),
    ("a_socket_was_waited_for", a_socket_was_waited_for, true),
    ("somebody_waits_for_a_signal", somebody_waits_for_a_signal, false),
    ("a_context_waits_for_a_signal", a_context_waits_for_a_signal, false),
    ("somebody_else_could_be_told", somebody_else_could_be_told, false),
];

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

fn main() -> ExitCode {
    deadlock_cases::run(CASES)
}
