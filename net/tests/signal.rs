//! Signals as messages. They are the whole process's, so each case has one of its own.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::PATIENCE;
use crew::common::{child_case, eventually, runtime, subprocess};
use pirn_channels::after;
use pirn_net::signal::{Signal, Signals, ctrl_c, notify, notify_context};
use pirn_sync::context::Context;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(30);

/// Runs a case in a process of its own, as the main G of a runtime.
fn case(test: &str, body: fn()) {
    if child_case(test).is_some() {
        return runtime(2).run(body);
    }
    subprocess(test, "run", &[]).expect_success();
}

fn raise(signal: Signal) {
    // SAFETY: it is handled, or ends this process, as the case wants it.
    assert_eq!(unsafe { libc::kill(std::process::id() as i32, signal.number()) }, 0);
}

/// The next signal.
fn next(signals: &Signals) -> Signal {
    signals.recv_timeout(PATIENCE).expect("it comes")
}

#[test]
fn those_are_told_that_asked() {
    case("those_are_told_that_asked", || {
        let one = notify(&[Signal::USER_1]).unwrap();
        let both = notify(&[Signal::USER_1, Signal::USER_2]).unwrap();
        raise(Signal::USER_1);
        assert_eq!((next(&one), next(&both)), (Signal::USER_1, Signal::USER_1));
        raise(Signal::USER_2);
        assert_eq!(next(&both), Signal::USER_2);
        pirn_runtime::sleep(SOON);
        assert!(one.is_empty() && both.is_empty());
        // Nobody is held up by one that does not receive.
        for _ in 0..200 {
            raise(Signal::USER_1);
            next(&one);
        }
    });
}

#[test]
fn a_select_waits_for_a_signal() {
    case("a_select_waits_for_a_signal", || {
        let signals = notify(&[Signal::WINDOW]).unwrap();
        pirn_runtime::go(|| {
            pirn_runtime::sleep(SOON);
            raise(Signal::WINDOW);
        });
        pirn_channels::select! {
            recv(signals.receiver()) -> signal => assert_eq!(signal, Ok(Signal::WINDOW)),
            recv(after(PATIENCE)) -> _ => panic!("too late"),
        }
    });
}

#[test]
fn a_signal_comes_while_all_compute() {
    case("a_signal_comes_while_all_compute", || {
        static STOP: AtomicUsize = AtomicUsize::new(0);
        let signals = notify(&[Signal::USER_1]).unwrap();
        for _ in 0..3 {
            pirn_runtime::go(|| while STOP.load(Ordering::Relaxed) == 0 {});
        }
        for _ in 0..20 {
            raise(Signal::USER_1);
            next(&signals);
        }
        STOP.store(1, Ordering::Relaxed);
    });
}

#[test]
fn a_context_ends_by_a_signal() {
    case("a_context_ends_by_a_signal", || {
        let (context, stop) = notify_context(&Context::background(), &[Signal::TERMINATE]).unwrap();
        let (child, _cancel) = context.with_cancel();
        raise(Signal::TERMINATE);
        child.wait();
        assert_eq!(context.cause().unwrap().to_string(), "SIGTERM");
        drop(stop);
        let (context, stop) = notify_context(&Context::background(), &[Signal::TERMINATE]).unwrap();
        assert!(context.err().is_none());
        drop(stop);
        assert!(context.err().is_some());
    });
}

#[test]
fn ctrl_c_is_waited_for() {
    case("ctrl_c_is_waited_for", || {
        let waiting = pirn_runtime::go(|| ctrl_c().unwrap());
        // It ends the process if it comes too early.
        pirn_runtime::sleep(SOON * 10);
        raise(Signal::INTERRUPT);
        waiting.join().unwrap();
    });
}

#[test]
fn afterwards_it_is_as_before() {
    const TEST: &str = "afterwards_it_is_as_before";
    match child_case(TEST).as_deref() {
        None => {
            assert_eq!(subprocess(TEST, "default", &[]).signal(), Some(libc::SIGUSR1));
            subprocess(TEST, "handler", &[]).expect_success();
        }
        Some("default") => {
            let first = notify(&[Signal::USER_1]).unwrap();
            let second = notify(&[Signal::USER_1]).unwrap();
            drop(first);
            raise(Signal::USER_1);
            next(&second);
            drop(second);
            raise(Signal::USER_1);
            std::thread::sleep(PATIENCE);
        }
        Some(_) => a_handler_that_was_there_is_called(),
    }
}

fn a_handler_that_was_there_is_called() {
    static CALLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(signal: libc::c_int) {
        CALLED.fetch_add(signal as usize, Ordering::SeqCst);
    }
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGUSR2, count as extern "C" fn(_) as usize) };
    let signals = notify(&[Signal::USER_2]).expect("it may be handled");
    raise(Signal::USER_2);
    next(&signals);
    eventually("it was called", || CALLED.load(Ordering::SeqCst) == 12);
    drop(signals);
    raise(Signal::USER_2);
    eventually("it is called", || CALLED.load(Ordering::SeqCst) == 24);
}

#[test]
fn some_are_refused() {
    for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
        let signal = Signal::from_number(number);
        assert_eq!(notify(&[Signal::USER_1, signal]).unwrap_err().kind(), ErrorKind::InvalidInput, "{signal}");
    }
    // Glibc keeps this one for itself.
    assert_eq!(notify(&[Signal::from_number(32)]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(
        (Signal::HANGUP.to_string(), Signal::from_number(40).to_string()),
        ("SIGHUP".into(), "signal 40".into())
    );
    std::panic::catch_unwind(|| Signal::from_number(65)).unwrap_err();
    std::panic::catch_unwind(|| Signal::from_number(0)).unwrap_err();
}

#[test]
fn the_numbers_are_those_of_the_system() {
    let pairs = [
        (Signal::HANGUP, libc::SIGHUP),
        (Signal::INTERRUPT, libc::SIGINT),
        (Signal::QUIT, libc::SIGQUIT),
        (Signal::USER_1, libc::SIGUSR1),
        (Signal::USER_2, libc::SIGUSR2),
        (Signal::PIPE, libc::SIGPIPE),
        (Signal::ALARM, libc::SIGALRM),
        (Signal::TERMINATE, libc::SIGTERM),
        (Signal::CHILD, libc::SIGCHLD),
        (Signal::CONTINUE, libc::SIGCONT),
        (Signal::TERMINAL_STOP, libc::SIGTSTP),
        (Signal::WINDOW, libc::SIGWINCH),
    ];
    pairs.into_iter().for_each(|(signal, number)| assert_eq!(signal.number(), number, "{signal}"));
}
