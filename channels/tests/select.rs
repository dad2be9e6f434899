//! Select as Go means it: fair, over any channels, the same one as often as one likes, and never with itself.

mod crew;

use crew::common::scale;
use crew::{PATIENCE, SHORT, everywhere, on_gs, wait_until_parked};
use pirn_channels::{
    Receiver, RecvError, Select, Sender, TryRecvError, TrySendError, bounded, never, select, select_biased, unbounded,
};
use pirn_runtime::{go, yield_now};
use std::cell::RefCell;
use std::time::Duration;

#[test]
fn ready_cases_are_chosen_equally_often() {
    everywhere(|_| {
        let n = scale(2_000, 20_000);
        let (s1, r1) = unbounded();
        let (s2, r2) = unbounded();
        (0..n).for_each(|_| s1.send(()).and(s2.send(())).unwrap());
        let mut hits = [0; 2];
        for _ in 0..n {
            select! {
                recv(r1) -> _ => hits[0] += 1,
                recv(r2) -> _ => hits[1] += 1,
            }
        }
        // Ten standard deviations.
        let slack = 5.0 * (n as f64).sqrt();
        assert!((hits[0] as f64 - n as f64 / 2.0).abs() < slack, "{hits:?} of {n}");
    });
}

#[test]
fn a_select_does_not_starve_who_comes_second() {
    everywhere(|kind| {
        // Two senders that are always ready; the select must take from both while it runs.
        let n = scale(1_000, 10_000);
        let (done_in, done) = bounded::<()>(0);
        let mut receivers = Vec::new();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (s, r) = bounded(0);
                receivers.push(r);
                let done = done.clone();
                kind.go(move || {
                    loop {
                        select! {
                            send(s, ()) -> _ => {}
                            recv(done) -> _ => return,
                        }
                    }
                })
            })
            .collect();
        let mut hits = [0; 2];
        let has_its_share = |hits: [usize; 2]| hits.iter().all(|one| *one > (hits[0] + hits[1]) / 50);
        // A thread may be late, so that its sender is not ready, but not for so long.
        while hits[0] + hits[1] < n || !has_its_share(hits) && hits[0] + hits[1] < 50 * n {
            select! {
                recv(receivers[0]) -> message => { message.unwrap(); hits[0] += 1 }
                recv(receivers[1]) -> message => { message.unwrap(); hits[1] += 1 }
            }
        }
        done_in.close();
        workers.into_iter().for_each(crew::Worker::join);
        assert!(has_its_share(hits), "{hits:?}");
    });
}

#[test]
fn a_biased_select_takes_the_first() {
    let (s1, r1) = bounded(1);
    let (s2, r2) = bounded(1);
    for _ in 0..100 {
        s1.send(1).unwrap();
        s2.send(2).unwrap();
        select_biased! {
            recv(r1) -> message => assert_eq!(message, Ok(1)),
            recv(r2) -> _ => panic!("the second one"),
        }
        assert_eq!(r2.recv(), Ok(2));
    }
}

#[test]
fn a_select_does_not_meet_itself() {
    everywhere(|kind| {
        for cap in [0, 10] {
            let n = scale(300, 3_000);
            let (s, r) = bounded(cap);
            let workers: Vec<_> = (0..2)
                .map(|me| {
                    let (s, r) = (s.clone(), r.clone());
                    kind.go(move || {
                        for _ in 0..n {
                            // Turns, so that the order in which cases are looked at is not always the same.
                            select! {
                                send(s, me) -> result => result.unwrap(),
                                recv(r) -> other => assert!(cap > 0 || other != Ok(me), "it has met itself"),
                            }
                            select! {
                                recv(r) -> other => assert!(cap > 0 || other != Ok(me), "it has met itself"),
                                send(s, me) -> result => result.unwrap(),
                            }
                        }
                    })
                })
                .collect();
            // One may wait for the other who has gone: it is helped until it has done all its rounds.
            let mut left = workers;
            while let Some(worker) = left.pop() {
                while !is_finished(&worker) {
                    // Something can always go on where there is a buffer, so it would never park.
                    yield_now();
                    select! {
                        send(s, 7) -> _ => {}
                        recv(r) -> _ => {}
                        default(Duration::from_millis(1)) => {}
                    }
                }
                worker.join();
            }
        }
    });
}

fn is_finished<T>(worker: &crew::Worker<T>) -> bool {
    match worker {
        crew::Worker::G(g) => g.is_finished(),
        crew::Worker::Thread(thread) => thread.is_finished(),
    }
}

#[test]
fn alone_with_both_ends_it_waits() {
    everywhere(|_| {
        let (s, r) = bounded(0);
        select! {
            send(s, ()) -> _ => panic!("nobody receives"),
            recv(r) -> _ => panic!("nobody sends"),
            default(SHORT) => {}
        }
        assert_eq!(s.try_send(()), Err(TrySendError::Full(())), "no waiter is left");
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty), "no waiter is left");
    });
}

#[test]
fn stress_over_four_channels() {
    everywhere(|kind| {
        let n = scale(300, 5_000) as u64;
        let ends: Vec<(Sender<u64>, Receiver<u64>)> = [0, 0, 2, 3].into_iter().map(bounded).collect();
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for (s, r) in &ends {
            let s = s.clone();
            senders.push(kind.go(move || (0..n).for_each(|i| s.send(i).unwrap())));
            let r = r.clone();
            receivers.push(kind.go(move || (0..n).map(|_| r.recv().unwrap()).sum::<u64>()));
        }
        let s: Vec<_> = ends.iter().map(|(s, _)| s.clone()).collect();
        senders.push(kind.go(move || send_to_all(s, n)));
        let r: Vec<_> = ends.iter().map(|(_, r)| r.clone()).collect();
        receivers.push(kind.go(move || receive_from_all(r, n)));
        senders.into_iter().for_each(crew::Worker::join);
        let sum: u64 = receivers.into_iter().map(crew::Worker::join).sum();
        assert_eq!(sum, 8 * (n * (n - 1) / 2));
        assert!(ends.iter().all(|(_, r)| r.try_recv() == Err(TryRecvError::Empty)));
    });
}

/// Sends `0..n` to each of four, whichever takes one. Those that have all are exchanged for one that nobody takes from.
fn send_to_all(mut s: Vec<Sender<u64>>, n: u64) {
    let (nobody, _kept) = bounded(0);
    let mut next = [0; 4];
    for _ in 0..4 * n {
        let chosen = select! {
            send(s[0], next[0]) -> result => { result.expect("nothing is closed"); 0 }
            send(s[1], next[1]) -> result => { result.expect("nothing is closed"); 1 }
            send(s[2], next[2]) -> result => { result.expect("nothing is closed"); 2 }
            send(s[3], next[3]) -> result => { result.expect("nothing is closed"); 3 }
        };
        next[chosen] += 1;
        if next[chosen] == n {
            s[chosen] = nobody.clone();
        }
    }
}

/// Receives `n` from each of four, whichever has one: the plain receivers need the others.
fn receive_from_all(mut r: Vec<Receiver<u64>>, n: u64) -> u64 {
    let mut sum = 0;
    let mut received = [0; 4];
    for _ in 0..4 * n {
        let (chosen, message) = select! {
            recv(r[0]) -> message => (0, message),
            recv(r[1]) -> message => (1, message),
            recv(r[2]) -> message => (2, message),
            recv(r[3]) -> message => (3, message),
        };
        sum += message.expect("nothing is closed");
        received[chosen] += 1;
        if received[chosen] == n {
            r[chosen] = never();
        }
    }
    sum
}

#[test]
fn the_same_channel_many_times_is_one_waiter() {
    everywhere(|kind| {
        for _ in 0..scale(50, 500) {
            let (s, r) = bounded(0);
            let (taken, receiver) = (r.clone(), r.clone());
            let worker = kind.go(move || {
                select! {
                    recv(receiver) -> message => message,
                    recv(&receiver) -> message => message,
                    recv(receiver.clone()) -> message => message,
                }
            });
            s.send(1).unwrap();
            assert_eq!(worker.join(), Ok(1));
            assert_eq!(s.try_send(2), Err(TrySendError::Full(2)), "no waiter is left");
            drop(taken);

            let sender = s.clone();
            let worker = kind.go(move || {
                select! {
                    send(sender, 3) -> result => result,
                    send(&sender, 3) -> result => result,
                }
            });
            assert_eq!(r.recv(), Ok(3));
            assert_eq!(worker.join(), Ok(()));
            assert_eq!(r.try_recv(), Err(TryRecvError::Empty), "no waiter is left");
        }
    });
}

#[test]
fn what_is_always_there_is_always_found() {
    everywhere(|kind| {
        for round in 0..scale(300, 5_000) {
            let (s1, r1) = bounded(1);
            let (s2, r2) = bounded(1);
            s1.send(1).unwrap();
            let (first, second) = (r1.clone(), r2.clone());
            let worker = kind.go(move || {
                select! {
                    recv(first) -> _ => true,
                    recv(second) -> _ => true,
                    default => false,
                }
            });
            // Something is in the second before it is taken out of the first, or it has ended.
            if round % 2 == 0 {
                s2.send(1).unwrap();
            } else {
                s2.close();
            }
            select! {
                recv(r1) -> _ => {}
                default => {}
            }
            assert!(worker.join(), "round {round}: it has seen both empty");
        }
    });
}

#[test]
fn a_receive_that_does_not_wait_sees_what_was_sent_before_the_close() {
    everywhere(|kind| {
        for _ in 0..scale(300, 5_000) {
            let (s, r) = bounded(1);
            s.send(1).unwrap();
            let receiver = r.clone();
            let worker = kind.go(move || {
                select! {
                    recv(receiver) -> _ => true,
                    default => false,
                }
            });
            s.close();
            r.recv().ok();
            assert!(worker.join(), "it is neither empty nor ended");
        }
    });
}

#[test]
fn sends_are_chosen_at_random() {
    everywhere(|kind| {
        for cap in [0, 100] {
            let n = 400;
            let (s, r) = bounded(cap);
            let worker = kind.go(move || {
                let mut ones = 0;
                for _ in 0..n {
                    yield_now();
                    ones += r.recv().unwrap();
                }
                ones
            });
            for _ in 0..n {
                select! {
                    send(s, 0) -> result => result.unwrap(),
                    send(s, 1) -> result => result.unwrap(),
                }
            }
            let ones = worker.join();
            assert!((n / 10..n - n / 10).contains(&ones), "capacity {cap}: {ones} of {n}");
        }
    });
}

#[test]
fn many_consumers_lose_nothing() {
    everywhere(|kind| {
        const WORKERS: usize = 23;
        const PRIMES: [u64; 9] = [2, 3, 7, 17, 31, 61, 113, 193, 353];
        let n = scale(5_000, 100_000);
        let (queue_in, queue) = bounded(WORKERS * 3);
        let (results_in, results) = bounded(WORKERS * 3);
        for nth in 0..WORKERS {
            let (queue, results_in) = (queue.clone(), results_in.clone());
            kind.go(move || {
                for value in queue {
                    // Some are slower than others.
                    if nth as u64 % 5 == value % 5 {
                        yield_now();
                    }
                    results_in.send(value).unwrap();
                }
            });
        }
        drop(results_in);
        let feeder =
            kind.go(move || (0..n).map(|i| PRIMES[i % 9]).inspect(|v| queue_in.send(*v).unwrap()).sum::<u64>());
        let (count, sum) = results.iter().fold((0, 0), |(count, sum), value| (count + 1, sum + value));
        assert_eq!((count, sum), (n, feeder.join()));
    });
}

#[test]
fn the_sieve() {
    everywhere(|kind| {
        let (s, mut numbers) = bounded(0);
        kind.go(move || (2_u32..).try_for_each(|n| s.send(n)).ok());
        let mut last = 0;
        for _ in 0..60 {
            let prime = numbers.recv().unwrap();
            let (s, rest) = bounded(0);
            let all = std::mem::replace(&mut numbers, rest);
            kind.go(move || all.iter().filter(|n| n % prime != 0).try_for_each(|n| s.send(n)).ok());
            last = prime;
        }
        assert_eq!(last, 281);
    });
}

#[test]
fn never_is_never_chosen() {
    everywhere(|_| {
        let (s, r) = unbounded();
        let nil = never::<i32>();
        for i in 0..200 {
            s.send(i).unwrap();
            select! {
                recv(nil) -> _ => panic!("nil"),
                recv(r) -> message => assert_eq!(message, Ok(i)),
            }
        }
        select! {
            recv(nil) -> _ => panic!("nil"),
            default(SHORT) => {}
        }
        select! {
            recv(nil) -> _ => panic!("nil"),
            recv(never::<()>()) -> _ => panic!("nil"),
            default => {}
        }
    });
}

#[test]
fn waiters_are_served_in_their_order() {
    on_gs(|| {
        let here = pirn_runtime::Handle::current().expect("on a G");
        // A plain receiver, one in a select, an async one, and so on.
        let (s, r) = bounded(0);
        let receivers: Vec<_> = (0..12)
            .map(|nth| {
                let r = r.clone();
                let g = go(move || match nth % 3 {
                    0 => r.recv(),
                    1 => select! {
                        recv(r) -> message => message,
                        recv(never()) -> message => message,
                    },
                    _ => pirn_runtime::block_on(r.recv_async()),
                });
                wait_until_parked(&here, g.id());
                g
            })
            .collect();
        (0..12).for_each(|n| s.send(n).unwrap());
        let got: Vec<_> = receivers.into_iter().map(|g| g.join().unwrap().unwrap()).collect();
        assert_eq!(got, (0..12).collect::<Vec<_>>());

        let senders: Vec<_> = (0..12)
            .map(|n| {
                let s = s.clone();
                let g = go(move || match n % 3 {
                    0 => s.send(n).unwrap(),
                    1 => select! {
                        send(s, n) -> result => result.unwrap(),
                        recv(never::<()>()) -> _ => {}
                    },
                    _ => pirn_runtime::block_on(s.send_async(n)).unwrap(),
                });
                wait_until_parked(&here, g.id());
                g
            })
            .collect();
        let got: Vec<_> = (0..12).map(|_| r.recv().unwrap()).collect();
        assert_eq!(got, (0..12).collect::<Vec<_>>());
        senders.into_iter().for_each(|g| g.join().unwrap());
    });
}

#[test]
fn a_select_by_hand_may_be_used_again() {
    everywhere(|kind| {
        let (s1, r1) = bounded(0);
        let (s2, r2) = bounded(0);
        let workers = [s1, s2].map(|s| kind.go(move || (0..10).for_each(|n| s.send(n).unwrap())));
        let mut select = Select::new();
        let first = select.recv(&r1);
        let second = select.recv(&r2);
        let mut next = [0; 2];
        let mut open = 2;
        while open > 0 {
            let operation = select.select_timeout(PATIENCE).expect("they send, or have ended");
            let index = operation.index();
            let message = if index == first { operation.recv(&r1) } else { operation.recv(&r2) };
            match message {
                Ok(message) => {
                    let at = usize::from(index == second);
                    assert_eq!(message, next[at]);
                    next[at] += 1;
                }
                Err(RecvError) => {
                    select.remove(index);
                    open -= 1;
                }
            }
        }
        assert_eq!(next, [10, 10]);
        workers.into_iter().for_each(crew::Worker::join);
    });
}

#[test]
fn what_is_ready_can_be_done() {
    everywhere(|kind| {
        let n = scale(2_000, 20_000);
        let (s, r) = bounded(1);
        let sender = kind.go(move || {
            for i in 0..n {
                let mut select = Select::new();
                select.send(&s);
                select.ready();
                s.try_send(i).unwrap();
            }
        });
        for i in 0..n {
            let mut select = Select::new();
            select.recv(&r);
            select.ready();
            assert_eq!(r.try_recv(), Ok(i));
        }
        sender.join();
    });
}

/// Each select that does not send after all made the receive begin again, one frame deeper.
#[test]
fn selects_that_do_not_send_after_all_leave_nothing_on_the_stack() {
    everywhere(|kind| {
        let (s, r) = bounded::<[u8; 512]>(0);
        let receiver = kind.go_and_wait(move || r.recv().unwrap()[0]);
        for _ in 0..scale(200, 1_000) {
            let mut select = Select::new();
            select.send(&s);
            // It may be that the receiver does not wait just now.
            let operation = select.select_timeout(PATIENCE).expect("there is a receiver");
            let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _operation = operation;
                std::panic::resume_unwind(Box::new("on purpose"));
            }));
            unwound.unwrap_err();
        }
        s.send([7; 512]).unwrap();
        assert_eq!(receiver.join(), 7);
    });
}

#[test]
fn reserved_room_is_no_wall_before_a_receiver() {
    everywhere(|kind| {
        let (s, r) = bounded(1);
        let mut select = Select::new();
        select.send(&s);
        let reserved = select.select();
        let receiver = kind.go_and_wait(move || [r.recv(), r.recv()]);
        select! {
            send(s, 2) -> result => result.unwrap(),
            default(PATIENCE) => panic!("nobody took it"),
        }
        reserved.send(&s, 1).unwrap();
        assert_eq!(receiver.join(), [Ok(2), Ok(1)]);
    });
}

// ---------------------------------------------------------------------------------------------------- the macro

#[test]
fn operands_are_evaluated_once_and_in_order() {
    let (s, r) = bounded::<usize>(1);
    let order = RefCell::new(Vec::new());
    let note = |what| order.borrow_mut().push(what);
    select! {
        recv({ note("first"); &r }) -> _ => panic!("it is empty"),
        send({ note("second"); &s }, { note("message"); 5 }) -> result => result.unwrap(),
        recv({ note("third"); never::<()>() }) -> _ => panic!("never"),
        default({ note("timeout"); SHORT }) => panic!("there is room"),
    }
    assert_eq!(*order.borrow(), ["first", "second", "third", "timeout", "message"]);
    order.borrow_mut().clear();
    select! {
        send({ note("sender"); &s }, { note("message"); 6 }) -> _ => panic!("it is full"),
        default => note("default"),
    }
    assert_eq!(*order.borrow(), ["sender", "default"], "a message that is not sent is not evaluated");
}

#[test]
fn a_message_that_is_not_sent_is_still_there() {
    let (s, _r) = bounded(1);
    let (full, _kept) = bounded(0);
    let message = String::from("mine");
    let back = select! {
        send(full, message) -> _ => panic!("nobody receives"),
        default => message,
    };
    let back = select! {
        send(full, back) -> _ => panic!("nobody receives"),
        recv(never::<()>()) -> _ => panic!("never"),
        default(SHORT) => back,
    };
    select! {
        send(s, back) -> result => result.unwrap(),
    }
}

#[test]
fn temporaries_live_as_long_as_the_body() {
    struct Noisy<'a>(&'a RefCell<Vec<&'static str>>, Receiver<i32>);
    impl Drop for Noisy<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped");
        }
    }
    let order = RefCell::new(Vec::new());
    let (s, r) = bounded(2);
    s.send(1).unwrap();
    s.send(2).unwrap();
    select! {
        recv(&Noisy(&order, r.clone()).1) -> message => {
            assert_eq!(message, Ok(1));
            order.borrow_mut().push("body");
        }
    }
    select! {
        recv(&Noisy(&order, r.clone()).1) -> message => {
            assert_eq!(message, Ok(2));
            order.borrow_mut().push("body");
        }
        recv(never::<()>()) -> _ => {}
    }
    assert_eq!(*order.borrow(), ["body", "dropped", "body", "dropped"]);
}

#[test]
fn a_body_may_use_the_channels() {
    let (s, mut r) = unbounded();
    s.send(1).unwrap();
    let mut other = never();
    // It may be changed by its own case, by another one and by the default.
    for _ in 0..4 {
        select! {
            recv(r) -> message => match message {
                Ok(_) => other = std::mem::replace(&mut r, never()),
                Err(RecvError) => unreachable!(),
            },
            recv(other) -> _ => r = other.clone(),
            default => r = std::mem::replace(&mut other, never()),
        }
    }
    // And moved.
    select! {
        recv(r) -> _ => drop(r),
        send(s, 2) -> _ => drop(s),
        default(SHORT) => drop((r, s)),
    }
}

#[test]
fn control_flow_goes_through() {
    fn first_error(r: &Receiver<Result<u32, String>>, quit: &Receiver<()>) -> Result<u32, String> {
        let mut sum = 0;
        'all: loop {
            sum += select! {
                recv(r) -> message => match message {
                    Ok(number) => match number? {
                        0 => continue,
                        number => number,
                    },
                    Err(RecvError) => break,
                },
                recv(quit) -> _ => break 'all,
                default => return Ok(sum + 1000),
            }
        }
        Ok(sum)
    }
    let (s, r) = unbounded();
    let (_kept, quit) = bounded(0);
    [Ok(1), Ok(0), Ok(2)].into_iter().for_each(|message| s.send(message).unwrap());
    assert_eq!(first_error(&r, &quit), Ok(1003));
    s.send(Err("bad".to_owned())).unwrap();
    assert_eq!(first_error(&r, &quit), Err("bad".to_owned()));
    s.send(Ok(4)).unwrap();
    s.close();
    assert_eq!(first_error(&r, &quit), Ok(4));
}

#[test]
fn forty_cases_are_no_problem() {
    let (s, r) = bounded(1);
    s.send(1).unwrap();
    let n = never::<i32>();
    macro_rules! ten {
        ($($rest:tt)*) => {
            select! {
                recv(n) -> _ => 0, recv(n) -> _ => 1, recv(n) -> _ => 2, recv(n) -> _ => 3, recv(n) -> _ => 4,
                recv(n) -> _ => 5, recv(n) -> _ => 6, recv(n) -> _ => 7, recv(n) -> _ => 8, recv(n) -> _ => 9,
                recv(n) -> _ => 10, recv(n) -> _ => 11, recv(n) -> _ => 12, recv(n) -> _ => 13, recv(n) -> _ => 14,
                recv(n) -> _ => 15, recv(n) -> _ => 16, recv(n) -> _ => 17, recv(n) -> _ => 18, recv(n) -> _ => 19,
                recv(n) -> _ => 20, recv(n) -> _ => 21, recv(n) -> _ => 22, recv(n) -> _ => 23, recv(n) -> _ => 24,
                recv(n) -> _ => 25, recv(n) -> _ => 26, recv(n) -> _ => 27, recv(n) -> _ => 28, recv(n) -> _ => 29,
                recv(n) -> _ => 30, recv(n) -> _ => 31, recv(n) -> _ => 32, recv(n) -> _ => 33, recv(n) -> _ => 34,
                recv(n) -> _ => 35, recv(n) -> _ => 36, recv(n) -> _ => 37, recv(n) -> _ => 38,
                $($rest)*
            }
        };
    }
    assert_eq!(ten!(recv(r) -> message => 40 + message.unwrap()), 41);
}

/// It was shown as a receive on a channel that never has anything.
#[test]
fn an_empty_select_waits_for_ever_and_says_so() {
    let house = crew::common::runtime(1);
    let selects: [fn(); 2] = [|| select! {}, || _ = Select::new().select_timeout(PATIENCE).map(drop)];
    for select in selects {
        let g = house.go(select);
        wait_until_parked(&house.handle(), g.id());
        let shown = house.goroutines().into_iter().find(|shown| shown.id == g.id()).expect("it waits");
        assert_eq!(shown.wait_reason, Some("select (no cases)"));
    }
    // The shutdown unwinds them.
    house.close();
}
