//! Models of the channels, of small capacities: whatever the order, no value is lost or there twice, what was sent is
//! seen whole, and no operation that could complete waits for ever.

#![allow(unsafe_code, reason = "cells of a model")]

use crate::{
    Receiver, RecvError, RecvTimeoutError, Select, SendError, SendTimeoutError, Sender, TryRecvError, bounded, select,
    unbounded,
};
use loom::cell::UnsafeCell;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longer than a model is.
const SOON: Duration = Duration::from_secs(1);

/// A value that loom watches: it has to be seen as it was written.
struct Value(UnsafeCell<u32>);

fn value(n: u32) -> Value {
    Value(UnsafeCell::new(n))
}

impl Value {
    fn get(self) -> u32 {
        // SAFETY: no other thread has it, or loom reports it.
        self.0.with(|n| unsafe { *n })
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }
}

/// Tries all orders with up to so many preemptions: four where two threads take part, three where there are more, two if
/// that takes minutes.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Receives after a receive that is begun, and dropped if it has to wait.
fn recv_at_the_second_try(r: &Receiver<Value>) -> Result<u32, RecvError> {
    let message = match poll_once(r.recv_async()) {
        Poll::Ready(message) => message,
        Poll::Pending => r.recv(),
    };
    message.map(Value::get)
}

#[test]
fn bounded_in_order_and_with_an_end() {
    model(4, || {
        let (s, r) = bounded::<Value>(1);
        let sender = thread::spawn(move || {
            s.send(value(1)).unwrap();
            s.send(value(2)).unwrap();
        });
        assert_eq!(r.recv().map(Value::get), Ok(1));
        assert_eq!(r.recv().map(Value::get), Ok(2));
        assert_eq!(r.recv().map(Value::get), Err(RecvError));
        sender.join().unwrap();
    });
}

#[test]
fn unbounded_in_order_and_with_an_end() {
    model(4, || {
        let (s, r) = unbounded::<Value>();
        let sender = thread::spawn(move || {
            s.send(value(1)).unwrap();
            // The receiver may have gone.
            _ = s.send(value(2));
        });
        assert_eq!(r.recv().map(Value::get), Ok(1));
        assert_eq!(r.try_recv().map(Value::get).unwrap_or(2), 2);
        drop(r);
        sender.join().unwrap();
    });
}

#[test]
fn who_has_sent_finds_the_value_in_the_channel() {
    model(4, || {
        let (s, r) = bounded::<Value>(1);
        let receiver = thread::spawn(move || (r.recv().map(Value::get), r));
        s.send(value(1)).unwrap();
        s.send(value(2)).unwrap();
        assert_eq!(s.len(), 1);
        assert_eq!(receiver.join().unwrap().0, Ok(1));
    });
}

#[test]
fn a_rendezvous_of_two() {
    model(4, || {
        let (s, r) = bounded::<Value>(0);
        let sender = thread::spawn(move || {
            s.send(value(1)).unwrap();
            s.send(value(2)).unwrap();
        });
        assert_eq!(r.recv().map(Value::get), Ok(1));
        assert_eq!(r.recv().map(Value::get), Ok(2));
        sender.join().unwrap();
    });
}

#[test]
fn two_senders_one_receiver() {
    for capacity in [0, 1] {
        model(3, move || {
            let (s, r) = bounded::<Value>(capacity);
            let senders = [1, 2].map(|n| {
                let s = s.clone();
                thread::spawn(move || s.send(value(n)).unwrap())
            });
            drop(s);
            let sum: u32 = r.iter().map(Value::get).sum();
            assert_eq!(sum, 3);
            senders.into_iter().for_each(|sender| sender.join().unwrap());
        });
    }
}

#[test]
fn two_receivers_one_sender() {
    for capacity in [0, 1] {
        model(3, move || {
            let (s, r) = bounded::<Value>(capacity);
            let receivers = [1, 2].map(|_| {
                let r = r.clone();
                thread::spawn(move || r.recv().unwrap().get())
            });
            s.send(value(1)).unwrap();
            s.send(value(2)).unwrap();
            let sum: u32 = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
            assert_eq!(sum, 3);
        });
    }
}

#[test]
fn a_try_misses_nothing_that_happened_before() {
    for capacity in [0, 1] {
        model(4, move || {
            let (s, r) = bounded::<Value>(capacity);
            let receiver = thread::spawn(move || {
                loop {
                    match r.try_recv() {
                        Ok(value) => break value.get(),
                        Err(TryRecvError::Empty) => thread::yield_now(),
                        Err(TryRecvError::Disconnected) => panic!("there was a value"),
                    }
                }
            });
            s.send(value(7)).unwrap();
            drop(s);
            assert_eq!(receiver.join().unwrap(), 7);
        });
    }
}

#[test]
fn a_close_gives_everybody_his_own() {
    for capacity in [0, 1] {
        model(3, move || {
            let (s, r) = bounded::<Value>(capacity);
            let sender = {
                let s = s.clone();
                thread::spawn(move || match s.send(value(1)) {
                    Ok(()) => 1,
                    Err(SendError(value)) => {
                        assert_eq!(value.get(), 1);
                        0
                    }
                })
            };
            let receiver = thread::spawn(move || r.iter().map(Value::get).sum::<u32>());
            s.close();
            assert_eq!(sender.join().unwrap(), receiver.join().unwrap());
        });
    }
}

#[test]
fn the_last_receiver_takes_what_is_left_with_it() {
    model(4, || {
        let (s, r) = bounded::<Value>(1);
        let sender = thread::spawn(move || {
            let first = s.send(value(1)).is_ok();
            // The channel is full, or the receiver has gone.
            assert!(s.send(value(2)).is_err());
            first
        });
        drop(r);
        sender.join().unwrap();
    });
}

#[test]
fn a_timeout_on_both_sides() {
    model(4, || {
        let (s, r) = bounded::<Value>(0);
        let sender = thread::spawn(move || match s.send_timeout(value(1), SOON) {
            Ok(()) => true,
            Err(SendTimeoutError::Timeout(value) | SendTimeoutError::Disconnected(value)) => {
                assert_eq!(value.get(), 1);
                false
            }
        });
        let received = match r.recv_timeout(SOON) {
            Ok(value) => {
                assert_eq!(value.get(), 1);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        assert_eq!(sender.join().unwrap(), received);
    });
}

/// A thread whose select sends once.
fn select_sends(s: Sender<Value>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut select = Select::new();
        select.send(&s);
        select.select().send(&s, value(1)).unwrap();
    })
}

#[test]
fn a_timeout_and_a_promise() {
    model(3, || {
        let (s, r) = bounded::<Value>(0);
        let sender = select_sends(s);
        let received = r.recv_timeout(SOON).map(Value::get);
        // It is on the way, or lies in the channel.
        assert_eq!(received.or_else(|_| r.recv().map(Value::get)), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn a_select_with_a_timeout_and_a_promise() {
    model(3, || {
        let (s, r) = bounded::<Value>(0);
        let (_s2, r2) = bounded::<Value>(0);
        let sender = select_sends(s);
        let received = select! {
            recv(r2) -> _ => unreachable!(),
            recv(r) -> message => message.map(Value::get),
            default(SOON) => r.recv().map(Value::get),
        };
        assert_eq!(received, Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn a_try_calls_on_a_select() {
    model(3, || {
        let (s, r) = bounded::<Value>(0);
        let sender = select_sends(s);
        let received = r.try_recv().map(Value::get);
        assert!(matches!(received, Ok(1) | Err(TryRecvError::Empty)));
        assert_eq!(received.or_else(|_| r.recv().map(Value::get)), Ok(1));
        sender.join().unwrap();
    });
}

/// Sends to one and receives from the other, whichever comes first.
fn either(s: &Sender<Value>, r: &Receiver<Value>) -> Option<u32> {
    select! {
        send(s, value(1)) -> sent => { sent.unwrap(); None }
        recv(r) -> message => Some(message.unwrap().get()),
    }
}

#[test]
fn a_select_meets_a_select_and_not_itself() {
    model(3, || {
        let (s, r) = bounded::<Value>(0);
        let (s2, r2) = (s.clone(), r.clone());
        let other = thread::spawn(move || either(&s2, &r2));
        let mine = either(&s, &r);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one sends, and the other receives");
    });
}

#[test]
fn two_selects_over_crossed_channels() {
    model(3, || {
        let (s1, r1) = bounded::<Value>(0);
        let (s2, r2) = bounded::<Value>(0);
        let other = {
            let (s2, r1) = (s2.clone(), r1.clone());
            thread::spawn(move || either(&s2, &r1))
        };
        let mine = either(&s1, &r2);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "one sends, and the other receives");
    });
}

#[test]
fn a_select_meets_plain_operations() {
    model(3, || {
        let (s1, r1) = bounded::<Value>(0);
        let (s2, r2) = bounded::<Value>(0);
        let sender = thread::spawn(move || s1.send(value(1)).unwrap());
        let receiver = thread::spawn(move || r2.recv().unwrap().get());
        let mut got = 0;
        for _ in 0..2 {
            select! {
                recv(r1) -> message => got += message.map_or(0, Value::get),
                send(s2, value(2)) -> sent => got += 10 * u32::from(sent.is_ok()),
            }
            // What has been done is not there any more; the other is.
            if got == 1 {
                s2.send(value(2)).unwrap();
                got += 10;
                break;
            } else if got == 10 {
                got += r1.recv().unwrap().get();
                break;
            }
        }
        assert_eq!(got, 11);
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), 2);
    });
}

#[test]
fn a_select_that_does_not_wait_sees_one_moment() {
    model(4, || {
        let (s1, r1) = bounded::<Value>(1);
        let (s2, r2) = bounded::<Value>(1);
        s1.send(value(1)).unwrap();
        // There is always something in one of them.
        let mover = {
            let r1 = r1.clone();
            thread::spawn(move || {
                s2.try_send(value(2)).unwrap();
                drop(r1.try_recv());
                s2
            })
        };
        let mut select = Select::new();
        let first = select.recv(&r1);
        select.recv(&r2);
        let operation = select.try_select().expect("it has looked at two moments");
        if operation.index() == first {
            assert_eq!(operation.recv(&r1).unwrap().get(), 1);
        } else {
            assert_eq!(operation.recv(&r2).unwrap().get(), 2);
        }
        drop((mover.join().unwrap(), s1));
    });
}

#[test]
fn a_select_that_gives_up_leaves_nothing_behind() {
    model(3, || {
        let (s1, r1) = bounded::<Value>(0);
        let (_s2, r2) = bounded::<Value>(0);
        let sender = thread::spawn(move || s1.send_timeout(value(1), SOON).is_ok());
        let got = select! {
            recv(r1) -> message => message.is_ok(),
            recv(r2) -> _ => unreachable!(),
            default(SOON) => false,
        };
        assert_eq!(sender.join().unwrap(), got);
    });
}

#[test]
fn what_is_ready_can_be_done() {
    model(4, || {
        let (s, r) = bounded::<Value>(1);
        let sender = thread::spawn(move || s.send(value(1)).unwrap());
        let mut select = Select::new();
        select.recv(&r);
        select.ready();
        assert_eq!(r.try_recv().map(Value::get), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn who_watches_is_told_though_others_take_what_it_saw() {
    model(2, || {
        let (s, r) = bounded::<Value>(1);
        let sender = thread::spawn(move || {
            s.send(value(1)).unwrap();
            s.send(value(2)).unwrap();
        });
        let watcher = {
            let r = r.clone();
            thread::spawn(move || {
                let mut select = Select::new();
                select.recv(&r);
                select.ready();
            })
        };
        assert_eq!(r.recv().map(Value::get), Ok(1));
        // The second stays, so it is true in the end.
        watcher.join().unwrap();
        assert_eq!(r.recv().map(Value::get), Ok(2));
        sender.join().unwrap();
    });
}

#[test]
fn an_async_receive_that_is_dropped_loses_nothing() {
    for capacity in [0, 1] {
        model(4, move || {
            let (s, r) = bounded::<Value>(capacity);
            let sender = thread::spawn(move || s.send(value(1)).unwrap());
            assert_eq!(recv_at_the_second_try(&r), Ok(1));
            sender.join().unwrap();
        });
    }
}

#[test]
fn an_async_receive_is_dropped_while_a_select_sends() {
    model(4, || {
        let (s, r) = bounded::<Value>(0);
        let sender = select_sends(s);
        assert_eq!(recv_at_the_second_try(&r), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn an_async_send_that_is_dropped_has_sent_or_not() {
    model(4, || {
        let (s, r) = bounded::<Value>(0);
        let receiver = thread::spawn(move || r.recv().map(Value::get));
        // Dropped while it waits; it has been taken, or it has not.
        let sent = poll_once(s.send_async(value(1)));
        assert!(!matches!(sent, Poll::Ready(Err(_))));
        drop(s);
        match receiver.join().unwrap() {
            Ok(n) => assert_eq!(n, 1),
            Err(RecvError) => assert!(sent.is_pending()),
        }
    });
}
