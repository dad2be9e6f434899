//! Timeouts are kept, also by those whom a select has promised a value: it has chosen to send, and takes its time. Nothing
//! is lost then: the value is the next one's.

mod crew;

use crew::common::runtime;
use crew::{Kind, PATIENCE, everywhere, in_time};
use pirn_channels::{
    Receiver, RecvError, RecvTimeoutError, Select, SelectedOperation, Sender, TryRecvError, bounded, select, unbounded,
};
use std::mem::forget;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(50);

/// A way to receive that ends after some time. None: the time was over.
type Receive = fn(&Receiver<u32>) -> Option<u32>;

const WAYS: [Receive; 4] = [
    |r| match r.recv_timeout(TIMEOUT) {
        Ok(n) => Some(n),
        Err(error) => {
            assert_eq!(error, RecvTimeoutError::Timeout);
            None
        }
    },
    |r| {
        let mut select = Select::new();
        select.recv(r);
        let operation = select.select_timeout(TIMEOUT).ok()?;
        operation.recv(r).ok()
    },
    |r| {
        let (_s2, r2) = bounded::<u32>(1);
        let (s3, _r3) = bounded::<u32>(0);
        select! {
            recv(r2) -> _ => unreachable!(),
            recv(r) -> message => message.ok(),
            send(s3, 1) -> _ => unreachable!(),
            default(TIMEOUT) => None,
        }
    },
    // A moment of the clock is no deadline, and ends the wait none the less.
    |r| {
        let timeout = pirn_channels::after(TIMEOUT);
        select! {
            recv(r) -> message => message.ok(),
            recv(timeout) -> _ => None,
        }
    },
];

/// What becomes of the operation that has been chosen and kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Completed,
    Dropped,
    Forgotten,
}

const ENDS: [End; 3] = [End::Completed, End::Dropped, End::Forgotten];

impl End {
    fn come(self, operation: SelectedOperation<'_>, s: &Sender<u32>) {
        match self {
            End::Completed => operation.send(s, 7).expect("the receiver is there"),
            End::Dropped => {
                let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(operation)));
                dropped.expect_err("to drop an operation is a mistake");
            }
            End::Forgotten => forget(operation),
        }
    }

    /// What is in the channel afterwards, and that it can be used.
    fn check(self, s: Sender<u32>, r: &Receiver<u32>) {
        if self == End::Completed {
            assert_eq!(r.try_recv(), Ok(7));
        }
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
        let sender = Kind::Thread.go(move || s.send(8));
        assert_eq!(r.recv(), Ok(8));
        assert_eq!(sender.join(), Ok(()));
        assert_eq!(r.recv(), Err(RecvError));
    }
}

/// Waited for the select, however long that took.
#[test]
fn a_receiver_that_waits_and_is_promised_a_value() {
    in_time(|| {
        everywhere(|kind| {
            for (receive, end) in WAYS.into_iter().flat_map(|way| ENDS.map(|end| (way, end))) {
                promised_in_the_line(kind, receive, end);
            }
        });
    });
}

fn promised_in_the_line(kind: Kind, receive: Receive, end: End) {
    let (s, r) = bounded(0);
    // Until the select has come in time.
    loop {
        let worker = {
            let r = r.clone();
            kind.go(move || receive(&r))
        };
        let mut select = Select::new();
        select.send(&s);
        let chosen = select.select_timeout(TIMEOUT / 2);
        // The select keeps what it has chosen meanwhile.
        assert_eq!(worker.join(), None);
        if let Ok(operation) = chosen {
            end.come(operation, &s);
            break;
        }
    }
    end.check(s, &r);
}

/// The same, and those that do not wait at all waited too.
#[test]
fn a_receiver_that_calls_on_a_select() {
    const AT_ONCE: [Receive; 3] = [
        |r| match r.try_recv() {
            Ok(n) => Some(n),
            Err(error) => {
                assert_eq!(error, TryRecvError::Empty);
                None
            }
        },
        |r| {
            let mut select = Select::new();
            select.recv(r);
            let operation = select.try_select().ok()?;
            operation.recv(r).ok()
        },
        |r| r.recv_timeout(Duration::ZERO).ok(),
    ];
    in_time(|| {
        everywhere(|kind| {
            for (receive, end) in WAYS.into_iter().chain(AT_ONCE).flat_map(|way| ENDS.map(|end| (way, end))) {
                called_on(kind, receive, end);
            }
        });
    });
}

fn called_on(kind: Kind, receive: Receive, end: End) {
    let (s, r) = bounded(0);
    let (go_on_in, go_on) = unbounded::<()>();
    let chosen = Arc::new(AtomicBool::new(false));
    let sender = {
        let (s, chosen) = (s.clone(), chosen.clone());
        kind.go(move || {
            let mut select = Select::new();
            select.send(&s);
            let operation = select.select();
            chosen.store(true, Ordering::Relaxed);
            go_on.recv().expect("it is told");
            end.come(operation, &s);
        })
    };
    while !chosen.load(Ordering::Relaxed) {
        assert_eq!(receive(&r), None);
        pirn_runtime::yield_now();
    }
    go_on_in.send(()).expect("it listens");
    sender.join();
    end.check(s, &r);
}

/// In the time that it has, it gets what it was promised.
#[test]
fn a_promise_that_is_kept_in_time() {
    in_time(|| {
        everywhere(|kind| {
            let (s, r) = bounded(0);
            let sender = kind.go(move || {
                for n in 0..20 {
                    select! { send(s, n) -> sent => sent.unwrap() }
                    let mut select = Select::new();
                    select.send(&s);
                    select.select().send(&s, n).unwrap();
                }
            });
            for n in 0..20 {
                assert_eq!(r.recv_timeout(PATIENCE), Ok(n));
                select! {
                    recv(r) -> message => assert_eq!(message, Ok(n)),
                    default(PATIENCE) => panic!("it is sent"),
                }
            }
            sender.join();
        });
    });
}

/// The shutdown waited for the select.
#[test]
fn a_shutdown_takes_out_who_was_promised_a_value() {
    in_time(|| {
        let ways: [Receive; 2] = [
            |r| r.recv().ok(),
            |r| {
                let (_s2, r2) = bounded::<u32>(1);
                select! {
                    recv(r) -> message => message.ok(),
                    recv(r2) -> _ => None,
                }
            },
        ];
        for receive in ways {
            // In the line, and by a call on the select.
            for comes_first in [true, false] {
                let house = runtime(2);
                let (s, r) = bounded(0);
                let start = || {
                    let r = r.clone();
                    house.go(move || receive(&r))
                };
                let first = comes_first.then(start);
                let s2 = s.clone();
                let (chosen_in, chosen) = unbounded();
                let (go_on_in, go_on) = unbounded::<()>();
                let sender = std::thread::spawn(move || {
                    let mut select = Select::new();
                    select.send(&s2);
                    let operation = select.select();
                    chosen_in.send(()).unwrap();
                    go_on.recv().unwrap();
                    operation.send(&s2, 7)
                });
                let g = first.unwrap_or_else(start);
                chosen.recv().unwrap();
                house.close();
                assert!(g.join().is_err());
                go_on_in.send(()).unwrap();
                assert_eq!(sender.join().unwrap(), Ok(()));
                assert_eq!(r.try_recv(), Ok(7));
            }
        }
    });
}

/// A send is taken whole or not at all, so it has nothing to wait for.
#[test]
fn a_send_that_meets_a_select_is_done() {
    in_time(|| {
        everywhere(|kind| {
            let (s, r) = bounded(0);
            let sender = {
                let s = s.clone();
                kind.go(move || while s.send_timeout(7, TIMEOUT).is_err() {})
            };
            let mut select = Select::new();
            select.recv(&r);
            let operation = select.select();
            sender.join();
            assert_eq!(operation.recv(&r), Ok(7));
        });
    });
}
