//! Every value is received once, given back, or dropped with its channel: through close, timeout, select, cancelled
//! futures and shutdown, whoever waits.

mod crew;

use crew::common::{Census, eventually, runtime, scale};
use crew::{Item, KINDS, Kind, PATIENCE, SHORT, everywhere, item, on_gs, poll_once, wait_until_parked};
use futures_core::Stream;
use pirn_channels::{
    Receiver, RecvError, RecvFuture, RecvStream, RecvTimeoutError, SendError, SendFuture, SendTimeoutError, Sender,
    TryRecvError, TrySendError, bounded, select, select_biased, unbounded,
};
use pirn_runtime::{block_on, go};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

// ---------------------------------------------------------------------------------------------------- close

#[test]
fn what_is_buffered_is_drained_and_then_it_ends() {
    everywhere(|_| {
        for (s, r) in [bounded(3), unbounded()] {
            (1..=3).for_each(|n| s.send(n).unwrap());
            s.close();
            assert_eq!(r.len(), 3);
            assert_eq!(r.recv(), Ok(1));
            assert_eq!(r.try_recv(), Ok(2));
            assert_eq!(r.recv_timeout(PATIENCE), Ok(3));
            assert_eq!(r.recv(), Err(RecvError));
            assert_eq!(r.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(r.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
            assert_eq!(block_on(r.recv_async()), Err(RecvError));
            assert_eq!(r.iter().next(), None);
            select! {
                recv(r) -> message => assert_eq!(message, Err(RecvError)),
                default => panic!("it has ended"),
            }
        }
    });
}

#[test]
fn a_message_for_a_closed_channel_comes_back() {
    everywhere(|_| {
        for (s, _r) in [bounded(0), bounded(3), unbounded()] {
            let other = s.clone();
            s.close();
            for s in [&s, &other] {
                assert_eq!(s.send(1), Err(SendError(1)));
                assert_eq!(s.try_send(2), Err(TrySendError::Disconnected(2)));
                assert_eq!(s.send_timeout(3, PATIENCE), Err(SendTimeoutError::Disconnected(3)));
                assert_eq!(block_on(s.send_async(4)), Err(SendError(4)));
                select! {
                    send(s, 5) -> result => assert_eq!(result, Err(SendError(5))),
                    default => panic!("it has ended"),
                }
                select_biased! {
                    send(s, 6) -> result => assert_eq!(result, Err(SendError(6))),
                    default(PATIENCE) => panic!("it has ended"),
                }
            }
        }
    });
}

#[test]
fn closing_twice_is_harmless() {
    for (s, r) in [bounded(0), bounded(2), unbounded()] {
        let other = s.clone();
        let _ = s.try_send(1);
        s.close();
        s.close();
        other.close();
        drop(s);
        let left = r.iter().count();
        assert_eq!(left, usize::from(r.capacity() != Some(0)));
        drop(r);
        other.close();
    }
}

#[test]
fn a_close_reaches_everyone_who_waits() {
    on_gs(|| {
        let here = pirn_runtime::Handle::current().expect("on a G");
        let wait = |g: &pirn_runtime::JoinHandle<bool>| wait_until_parked(&here, g.id());
        // Receivers of all sorts.
        let (s, r) = bounded::<i32>(2);
        let receivers: Vec<_> = (0..8)
            .map(|nth| {
                let r = r.clone();
                let g = go(move || match nth % 4 {
                    0 => r.recv().is_err(),
                    1 => r.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected),
                    2 => block_on(r.recv_async()).is_err(),
                    _ => select! { recv(r) -> message => message.is_err(), default(PATIENCE) => false },
                });
                wait(&g);
                g
            })
            .collect();
        s.close();
        assert!(receivers.into_iter().all(|g| g.join().unwrap()));

        // Senders: they get their messages back, and what is in the buffer is kept.
        let (s, r) = bounded(1);
        s.send(100).unwrap();
        let senders: Vec<_> = (0..8)
            .map(|n| {
                let s = s.clone();
                let g = go(move || match n % 4 {
                    0 => s.send(n) == Err(SendError(n)),
                    1 => s.send_timeout(n, PATIENCE) == Err(SendTimeoutError::Disconnected(n)),
                    2 => block_on(s.send_async(n)) == Err(SendError(n)),
                    _ => select! { send(s, n) -> result => result == Err(SendError(n)), default(PATIENCE) => false },
                });
                wait(&g);
                g
            })
            .collect();
        s.close();
        assert!(senders.into_iter().all(|g| g.join().unwrap()));
        assert_eq!(r.iter().collect::<Vec<_>>(), [100]);
    });
}

#[test]
fn a_close_in_the_middle_loses_nothing() {
    everywhere(|kind| {
        for round in 0..scale(30, 300) {
            let census = Census::default();
            let (s, r) = bounded(round % 4);
            let senders: Vec<_> = (0..3)
                .map(|me| {
                    let (s, census) = (s.clone(), census.clone());
                    kind.go(move || {
                        let mut sent = Vec::new();
                        for n in 0.. {
                            match s.send(item(&census, n * 3 + me)) {
                                Ok(()) => sent.push(n * 3 + me),
                                Err(SendError(back)) => {
                                    assert_eq!(back.id, n * 3 + me);
                                    return sent;
                                }
                            }
                        }
                        unreachable!()
                    })
                })
                .collect();
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    let r = r.clone();
                    kind.go(move || r.iter().map(|item| item.id).collect::<Vec<_>>())
                })
                .collect();
            let mut received: Vec<_> = r.iter().take(20 + round).map(|item| item.id).collect();
            s.close();
            let mut sent: Vec<_> = senders.into_iter().flat_map(crew::Worker::join).collect();
            received.extend(receivers.into_iter().flat_map(crew::Worker::join));
            received.extend(r.iter().map(|item| item.id));
            sent.sort_unstable();
            received.sort_unstable();
            assert_eq!(received, sent, "what was accepted has been received, once");
            assert_eq!(census.living(), 0);
        }
    });
}

// ---------------------------------------------------------------------------------------------------- mixed waiters

/// Sends from each of these, receives by each of those; all values arrive.
fn exchange(cap: Option<usize>, senders: &[Kind], receivers: &[Kind], n: usize) {
    let census = Census::default();
    let (s, r) = cap.map_or_else(unbounded, bounded);
    let receivers: Vec<_> = receivers
        .iter()
        .map(|kind| {
            let (kind, r) = (*kind, r.clone());
            kind.go(move || std::iter::from_fn(|| kind.recv(&r)).map(|item: Item| item.id).collect::<Vec<_>>())
        })
        .collect();
    drop(r);
    let senders: Vec<_> = senders
        .iter()
        .enumerate()
        .map(|(nth, kind)| {
            let (kind, s, census) = (*kind, s.clone(), census.clone());
            kind.go(move || {
                (nth * n..(nth + 1) * n).for_each(|id| kind.send(&s, item(&census, id)).expect("it is open"))
            })
        })
        .collect();
    drop(s);
    let all = senders.len() * n;
    senders.into_iter().for_each(crew::Worker::join);
    let received: Vec<Vec<usize>> = receivers.into_iter().map(crew::Worker::join).collect();
    for by_one in &received {
        for from_one in 0..all / n {
            assert!(by_one.iter().filter(|id| *id / n == from_one).is_sorted(), "values of one sender are in order");
        }
    }
    let mut received = received.concat();
    received.sort_unstable();
    assert_eq!(received, (0..all).collect::<Vec<_>>());
    assert_eq!(census.living(), 0);
}

#[test]
fn one_of_any_kind_to_one_of_any_kind() {
    on_gs(|| {
        for sender in KINDS {
            for receiver in KINDS {
                for cap in [Some(0), Some(1), Some(8), None] {
                    exchange(cap, &[sender], &[receiver], scale(100, 1_000));
                }
            }
        }
    });
}

#[test]
fn all_kinds_in_one_queue() {
    on_gs(|| {
        for cap in [Some(0), Some(1), Some(8), None] {
            let twice = [KINDS, KINDS].concat();
            exchange(cap, &twice, &KINDS, scale(100, 1_000));
            exchange(cap, &KINDS, &twice, scale(100, 1_000));
        }
    });
}

#[test]
fn a_stream_has_what_is_sent_and_an_end() {
    everywhere(|kind| {
        for cap in [0, 2] {
            let (s, r) = bounded(cap);
            let sender = kind.go(move || (0..100).for_each(|n| s.send(n).unwrap()));
            let mut stream = pin!(r.stream());
            let mut got = Vec::new();
            while let Some(n) = block_on(poll_fn(|cx| stream.as_mut().poll_next(cx))) {
                got.push(n);
            }
            assert_eq!(got, (0..100).collect::<Vec<_>>());
            sender.join();
        }
    });
}

// ---------------------------------------------------------------------------------------------------- giving up

#[test]
fn a_message_that_is_not_taken_in_time_comes_back() {
    everywhere(|kind| {
        let census = Census::default();
        let (s, r) = bounded(0);
        match s.send_timeout(item(&census, 1), SHORT) {
            Err(SendTimeoutError::Timeout(back)) => assert_eq!(back.id, 1),
            other => panic!("{other:?}"),
        }
        assert!(r.try_recv().is_err(), "it is with its sender");
        assert_eq!(census.living(), 0);
        // Both give up and try again, at about the same moment, over and over.
        let n = scale(100, 1_000);
        let sender = {
            let census = census.clone();
            kind.go(move || {
                for id in 0..n {
                    let mut message = item(&census, id);
                    while let Err(error) = s.send_timeout(message, std::time::Duration::from_micros(50)) {
                        message = error.into_inner();
                    }
                }
            })
        };
        let mut received = Vec::new();
        while received.len() < n {
            received.extend(r.recv_timeout(std::time::Duration::from_micros(50)).ok().map(|item| item.id));
        }
        sender.join();
        assert_eq!(received, (0..n).collect::<Vec<_>>());
        assert_eq!(census.living(), 0);
    });
}

#[test]
fn selects_that_lose_take_nothing() {
    everywhere(|kind| {
        let n = scale(200, 3_000);
        let census = Census::default();
        let ends: Vec<(Sender<Item>, Receiver<Item>)> = [0, 0, 1].into_iter().map(bounded).collect();
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let r: Vec<_> = ends.iter().map(|(_, r)| r.clone()).collect();
                kind.go(move || {
                    let mut got = Vec::new();
                    let mut r = r;
                    let mut open = r.len();
                    while open > 0 {
                        let (at, message) = select! {
                            recv(r[0]) -> message => (0, message),
                            recv(r[1]) -> message => (1, message),
                            recv(r[2]) -> message => (2, message),
                        };
                        match message {
                            Ok(item) => got.push(item.id),
                            Err(RecvError) => {
                                r[at] = pirn_channels::never();
                                open -= 1;
                            }
                        }
                    }
                    got
                })
            })
            .collect();
        let senders: Vec<_> = (0..3)
            .map(|me| {
                let s: Vec<_> = ends.iter().map(|(s, _)| s.clone()).collect();
                let census = census.clone();
                kind.go(move || {
                    for id in me * n..(me + 1) * n {
                        select! {
                            send(s[0], item(&census, id)) -> result => result.unwrap(),
                            send(s[1], item(&census, id)) -> result => result.unwrap(),
                            send(s[2], item(&census, id)) -> result => result.unwrap(),
                        }
                    }
                })
            })
            .collect();
        drop(ends);
        senders.into_iter().for_each(crew::Worker::join);
        let mut received: Vec<_> = receivers.into_iter().flat_map(crew::Worker::join).collect();
        received.sort_unstable();
        assert_eq!(received, (0..3 * n).collect::<Vec<_>>());
        assert_eq!(census.living(), 0);
    });
}

#[test]
fn a_cancelled_receiver_leaves_its_message_to_others() {
    for cap in [Some(0), Some(1), None] {
        let census = Census::default();
        let (s, r) = cap.map_or_else(unbounded, bounded);
        // Nothing has come: nothing is left of it.
        let mut waiting = Box::pin(r.recv_async());
        assert!(poll_once(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(s.try_send(item(&census, 1)).is_ok(), cap != Some(0), "nobody waits");
        assert_eq!(r.try_recv().ok().map(|item| item.id), (cap != Some(0)).then_some(1));

        // It has come: the next one has it, whether it waits already or not.
        let (mut first, mut second) = (Box::pin(r.recv_async()), Box::pin(r.recv_async()));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_once(&mut second).is_pending());
        s.try_send(item(&census, 2)).unwrap();
        drop(first);
        match poll_once(&mut second) {
            Poll::Ready(Ok(item)) => assert_eq!(item.id, 2),
            other => panic!("{other:?}"),
        }
        let mut alone = Box::pin(r.recv_async());
        assert!(poll_once(&mut alone).is_pending());
        s.try_send(item(&census, 3)).unwrap();
        drop(alone);
        assert_eq!(r.recv_timeout(PATIENCE).unwrap().id, 3);
        assert_eq!(census.living(), 0);
    }
}

/// The time that it took to wake up was added to each tick.
#[test]
fn ticks_that_are_received_in_time_do_not_drift() {
    let period = Duration::from_millis(2);
    let ticks = pirn_channels::tick(period);
    let moments: Vec<_> = ticks.iter().take(50).collect();
    let in_time = moments.windows(2).filter(|pair| pair[1] - pair[0] == period).count();
    assert!(in_time > 0, "{moments:?}");
}

#[test]
fn a_cancelled_sender_has_sent_or_has_not() {
    for cap in [0, 1] {
        let census = Census::default();
        let (s, r) = bounded(cap);
        (0..cap).for_each(|n| s.send(item(&census, n)).unwrap());
        // Not taken: it goes with the future.
        let mut waiting = Box::pin(s.send_async(item(&census, 10)));
        assert!(poll_once(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(census.living(), cap as isize);
        assert_eq!(r.try_iter().count(), cap);
        assert_eq!(r.try_recv().err(), Some(TryRecvError::Empty));
        // One that was never polled, too.
        drop(s.send_async(item(&census, 11)));
        assert_eq!(census.living(), 0);
        // Taken: it has arrived, though nobody asked the future.
        (0..cap).for_each(|n| s.send(item(&census, n)).unwrap());
        let mut waiting = Box::pin(s.send_async(item(&census, 12)));
        assert!(poll_once(&mut waiting).is_pending());
        let got: Vec<_> = (0..=cap).map(|_| r.recv().unwrap().id).collect();
        assert_eq!(got.last(), Some(&12));
        drop(waiting);
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn futures_of_one_thread_wait_for_each_other() {
    let (s, r) = bounded(0);
    let mut sending = Box::pin(s.send_async(1));
    let mut receiving = Box::pin(r.recv_async());
    assert!(poll_once(&mut sending).is_pending());
    assert_eq!(poll_once(&mut receiving), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(&mut sending), Poll::Ready(Ok(())));

    let mut receiving = Box::pin(r.recv_async());
    let mut sending = Box::pin(s.send_async(2));
    assert!(poll_once(&mut receiving).is_pending());
    // It may be handed over at once, or be taken when the receiver is polled.
    let sent = poll_once(&mut sending);
    assert_eq!(poll_once(&mut receiving), Poll::Ready(Ok(2)));
    if sent.is_pending() {
        assert_eq!(poll_once(&mut sending), Poll::Ready(Ok(())));
    }
}

// ---------------------------------------------------------------------------------------------------- shutdown

#[test]
fn a_shutdown_takes_waiters_out_and_nothing_else() {
    for procs in [1, 2, 4] {
        let census = Census::default();
        let house = runtime(procs);
        let (s, r) = bounded(2);
        s.send(item(&census, 1)).unwrap();
        s.send(item(&census, 2)).unwrap();
        let (_kept, nothing) = bounded::<Item>(0);
        let mut gs = Vec::new();
        for n in 0..9 {
            let (s, nothing, census) = (s.clone(), nothing.clone(), census.clone());
            gs.push(house.go(move || {
                let message = item(&census, 10 + n);
                match n % 3 {
                    0 => _ = s.send(message),
                    1 => {
                        select! {
                            send(s, message) -> _ => {}
                            recv(nothing) -> _ => {}
                        }
                    }
                    _ => _ = block_on(s.send_async(message)),
                }
            }));
        }
        for n in 0..4 {
            let nothing = nothing.clone();
            gs.push(house.go(move || match n % 2 {
                0 => _ = nothing.recv(),
                _ => _ = block_on(nothing.recv_async()),
            }));
        }
        gs.iter().for_each(|g| wait_until_parked(&house.handle(), g.id()));
        house.close();
        assert!(gs.into_iter().all(|g| g.join().is_err()), "they were unwound");
        // Only what had been accepted is left, and the channel works.
        assert_eq!(census.living(), 2);
        assert_eq!(r.try_iter().map(|item| item.id).collect::<Vec<_>>(), [1, 2]);
        s.send(item(&census, 3)).unwrap();
        assert_eq!(r.recv().unwrap().id, 3);
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn a_channel_outlives_runtimes_and_joins_them() {
    let (s, r) = bounded(0);
    let (one, other) = (runtime(1), runtime(2));
    let sender = one.go(move || (0..1_000).try_for_each(|n| s.send(n)));
    let receiver = other.go(move || r.iter().sum::<u32>());
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(receiver.join().unwrap(), 499_500);
}

#[test]
fn what_is_left_in_a_channel_is_dropped_with_it() {
    let census = Census::default();
    let (s, r) = unbounded();
    (0..100).for_each(|n| s.send(item(&census, n)).unwrap());
    let other = r.clone();
    drop(r);
    assert_eq!(census.living(), 100);
    drop(other);
    assert_eq!(census.living(), 0, "nobody can receive it any more");
    assert_eq!(s.send(item(&census, 1)).unwrap_err().into_inner().id, 1);

    let (s, r) = bounded(4);
    (0..4).for_each(|n| s.send(item(&census, n)).unwrap());
    let thread = std::thread::spawn({
        let (s, census) = (s.clone(), census.clone());
        move || s.send(item(&census, 5)).unwrap_err().into_inner().id
    });
    eventually("it has its message", || census.living() == 5);
    drop(r);
    assert_eq!(thread.join().unwrap(), 5);
    assert_eq!(census.living(), 0);
}

/// A channel with the greatest capacity there is said that it had no limit.
#[test]
fn a_capacity_at_the_limit_is_one() {
    for capacity in [0, 1, isize::MAX as usize - 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        let (s, r) = bounded::<()>(capacity);
        assert_eq!((s.capacity(), r.capacity()), (Some(capacity), Some(capacity)));
        assert_eq!(s.is_full(), capacity == 0);
        (0..capacity.min(3)).for_each(|_| s.try_send(()).unwrap());
        assert_eq!((r.len(), s.is_full()), (capacity.min(3), capacity <= 3));
        assert_eq!(r.try_iter().count(), capacity.min(3));
    }
    let (s, r) = unbounded::<()>();
    assert_eq!((s.capacity(), r.capacity(), s.is_full()), (None, None, false));
    // Of large values the room is not taken before it is needed.
    let (s, r) = bounded::<[u8; 1 << 12]>(1 << 50);
    assert_eq!((s.capacity(), r.is_empty()), (Some(1 << 50), true));
}

/// What async code of others asks of a future, hyper's timers for one; the values need only be sent.
#[test]
fn futures_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<RecvFuture<'_, Cell<u8>>>();
    is_shared::<RecvStream<'_, Cell<u8>>>();
    is_shared::<SendFuture<'_, Cell<u8>>>();
}
