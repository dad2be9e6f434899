//! Wakers, destructors and callbacks are the user's code: they may use the channel that calls them, and a panic of theirs
//! loses nobody's value and strands nobody.

mod crew;

use crew::common::{builder, eventually, house};
use crew::{in_time, poll_once};
use pirn_channels::{Receiver, RecvError, Select, SendError, Sender, bounded, unbounded};
use std::future::Future;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// A moment in the life of a waker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Clone,
    Wake,
    Drop,
}

/// A way to receive.
type Receive = fn(&Receiver<&'static str>) -> Result<&'static str, RecvError>;

type Callback = Arc<dyn Fn(Moment) + Send + Sync>;

/// A waker that calls back whenever anything is done to it.
fn waker(callback: Callback) -> Waker {
    fn call(data: *const (), moment: Moment) {
        // SAFETY: it is the callback that a waker holds.
        let callback = unsafe { &*data.cast::<Callback>() };
        callback(moment);
    }
    fn make(callback: Callback) -> RawWaker {
        RawWaker::new(Box::into_raw(Box::new(callback)).cast(), &TABLE)
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            call(data, Moment::Clone);
            // SAFETY: as in `call`.
            make(unsafe { &*data.cast::<Callback>() }.clone())
        },
        |_| unreachable!("the channels wake by reference"),
        |data| call(data, Moment::Wake),
        |data| {
            // SAFETY: it was made by `make`, and is dropped once.
            let callback = unsafe { Box::from_raw(data.cast_mut().cast::<Callback>()) };
            callback(Moment::Drop);
        },
    );
    // SAFETY: the table does what it should with what `make` has made.
    unsafe { Waker::from_raw(make(callback)) }
}

/// A waker that panics at that moment. Only while it is armed: what the test itself does to it is no matter.
fn panicking_waker(at: Moment, armed: &Arc<AtomicBool>) -> Waker {
    let armed = armed.clone();
    waker(Arc::new(move |moment| assert!(moment != at || !armed.load(Ordering::Relaxed), "on purpose")))
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// All that does not wait. It takes no more than it has put there.
fn use_it(s: &Sender<i32>, r: &Receiver<i32>) {
    _ = (s.len(), s.is_empty(), s.is_full(), s.capacity(), r.len(), r.is_empty(), r.is_full(), r.capacity());
    if s.try_send(99).is_ok() {
        _ = r.try_recv();
    }
    let mut select = Select::new();
    select.recv(r);
    select.send(s);
    _ = select.try_ready();
    if let Ok(operation) = select.try_select() {
        match operation.index() {
            0 => _ = operation.recv(r),
            _ => _ = operation.send(s, 98),
        }
    }
    drop((s.clone(), r.clone()));
}

#[test]
fn a_waker_may_use_the_channel_in_all_that_it_does() {
    for capacity in [0, 1, 2] {
        for closes in [false, true] {
            in_time(move || wake_in_every_way(capacity, closes));
        }
    }
}

fn wake_in_every_way(capacity: usize, closes: bool) {
    let called = Arc::new(AtomicUsize::new(0));
    let make = || {
        let (s, r) = bounded(capacity);
        let (s2, r2, called) = (s.clone(), r.clone(), called.clone());
        let waker = waker(Arc::new(move |moment| {
            called.fetch_add(1, Ordering::Relaxed);
            use_it(&s2, &r2);
            if closes && moment == Moment::Wake {
                s2.close();
            }
        }));
        (s, r, waker)
    };
    let fill = |s: &Sender<i32>| (0..capacity).for_each(|n| _ = s.try_send(n as i32));
    // Nothing waits here: what a future waits for may have come by what its waker did.
    for ending in 0..4 {
        let (s, r, waker) = make();
        let mut future = Box::pin(r.recv_async());
        _ = poll(&mut future, &waker);
        _ = poll(&mut future, &waker.clone());
        match ending {
            0 => _ = s.try_send(7),
            1 => _ = s.close(),
            2 => {
                let mut select = Select::new();
                select.send(&s);
                _ = select.try_select().map(|operation| operation.send(&s, 7));
            }
            _ => drop(future),
        }
    }
    for ending in 0..4 {
        let (s, r, waker) = make();
        fill(&s);
        let mut future = Box::pin(s.send_async(7));
        if poll(&mut future, &waker).is_ready() || poll(&mut future, &waker.clone()).is_ready() {
            continue;
        }
        match ending {
            0 => _ = r.try_recv(),
            1 => _ = s.close(),
            2 => {
                let mut select = Select::new();
                select.recv(&r);
                _ = select.try_select().map(|operation| operation.recv(&r));
            }
            _ => drop(future),
        }
    }
    assert!(called.load(Ordering::Relaxed) > 0);
}

/// Whoever unparks may have to start a thread, and that asks the user for its name: this was done under the lock of the
/// channel for those who wait in `ready`.
#[test]
fn a_name_for_a_thread_may_use_the_channel_that_wakes() {
    in_time(|| {
        let log: Arc<Mutex<Option<Sender<usize>>>> = Arc::default();
        let named = Arc::new(AtomicUsize::new(0));
        let callback = {
            let (log, named) = (log.clone(), named.clone());
            move |n| {
                if let Some(s) = &*log.lock().unwrap() {
                    s.send(n).unwrap();
                    named.fetch_add(1, Ordering::Relaxed);
                }
                format!("named-{n}")
            }
        };
        let house = house(builder().procs(8).thread_name(callback));
        let (s, r) = unbounded();
        let waits = house.go(move || {
            let mut select = Select::new();
            select.recv(&r);
            select.ready();
            r
        });
        let id = waits.id();
        crew::wait_until_parked(&house.handle(), id);
        // No thread is idle, so the wake has to start one.
        let over = Arc::new(AtomicBool::new(false));
        let mut busy = Vec::new();
        while house.metrics().idle_threads > 0 || house.metrics().searching_threads > 0 {
            assert!(busy.len() < 7, "one thread for each of those that compute");
            let (over, runs) = (over.clone(), Arc::new(AtomicBool::new(false)));
            let says = runs.clone();
            busy.push(house.go(move || {
                says.store(true, Ordering::Relaxed);
                while !over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }));
            eventually("it runs", || runs.load(Ordering::Relaxed));
        }
        *log.lock().unwrap() = Some(s.clone());
        s.send(1000).unwrap();
        let r = waits.join().unwrap();
        over.store(true, Ordering::Relaxed);
        busy.into_iter().for_each(|g| g.join().unwrap());
        log.lock().unwrap().take();
        assert!(named.load(Ordering::Relaxed) > 0, "no thread was started under the test's eyes");
        assert!(r.len() > 1);
        drop(s);
        house.close();
    });
}

/// The receiver's waker panicked in the send, or the sender's in the receive, and the value of who was woken, or of who
/// woke, had gone.
#[test]
fn a_waker_that_panics_destroys_no_value() {
    for at in [Moment::Wake, Moment::Drop] {
        let armed = Arc::new(AtomicBool::new(false));
        // A send to a receiver that waits.
        let (s, r) = bounded(0);
        let mut receives = Box::pin(r.recv_async());
        assert!(poll(&mut receives, &panicking_waker(at, &armed)).is_pending());
        armed.store(true, Ordering::Relaxed);
        assert_eq!(s.send("value"), Ok(()));
        assert_eq!(poll_once(&mut receives), Poll::Ready(Ok("value")));
        armed.store(false, Ordering::Relaxed);

        // A receive from a sender that waits: straight, by a select, and for its room.
        let ways: [Receive; 4] = [
            |r| r.recv(),
            |r| r.try_recv().map_err(|_| RecvError),
            |r| pirn_runtime::block_on(r.recv_async()),
            |r| {
                let mut select = Select::new();
                select.recv(r);
                select.select().recv(r)
            },
        ];
        for capacity in [0, 1] {
            for receive in ways {
                let (s, r) = bounded(capacity);
                (0..capacity).for_each(|_| s.send("before").unwrap());
                let mut sends = Box::pin(s.send_async("value"));
                assert!(poll(&mut sends, &panicking_waker(at, &armed)).is_pending());
                armed.store(true, Ordering::Relaxed);
                (0..capacity).for_each(|_| assert_eq!(receive(&r), Ok("before")));
                assert_eq!(receive(&r), Ok("value"));
                armed.store(false, Ordering::Relaxed);
                assert_eq!(poll_once(&mut sends), Poll::Ready(Ok(())));
            }
        }
    }
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_destroys_no_value() {
    let armed = Arc::new(AtomicBool::new(true));
    let waker = panicking_waker(Moment::Drop, &armed);
    // The clone is not needed.
    let (s, r) = bounded(1);
    assert_eq!(poll(&mut Box::pin(s.send_async("value")), &waker), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut Box::pin(r.recv_async()), &waker), Poll::Ready(Ok("value")));
    // It is replaced, and goes with its future.
    let mut receives = Box::pin(r.recv_async());
    assert!(poll(&mut receives, &waker).is_pending());
    assert!(poll(&mut receives, &waker).is_pending());
    drop(receives);
    s.close();
    assert_eq!(poll(&mut Box::pin(s.send_async("value")), &waker), Poll::Ready(Err(SendError("value"))));
    armed.store(false, Ordering::Relaxed);
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_leaves_the_future_as_it_was() {
    let armed = Arc::new(AtomicBool::new(true));
    let waker = panicking_waker(Moment::Clone, &armed);
    let (s, r) = bounded(0);
    let (mut sends, mut receives) = (Box::pin(s.send_async("value")), Box::pin(r.recv_async()));
    catch_unwind(AssertUnwindSafe(|| poll(&mut sends, &waker))).unwrap_err();
    assert!(poll_once(&mut sends).is_pending());
    catch_unwind(AssertUnwindSafe(|| poll(&mut sends, &waker))).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| poll(&mut receives, &waker))).unwrap_err();
    assert_eq!(poll_once(&mut receives), Poll::Ready(Ok("value")));
    assert_eq!(poll_once(&mut sends), Poll::Ready(Ok(())));
}

/// It ended the close, and whoever stood behind it in the line waited for ever.
#[test]
fn a_waker_that_panics_does_not_keep_the_close_from_others() {
    let armed = Arc::new(AtomicBool::new(true));
    let (s, r) = bounded::<i32>(0);
    let mut first = Box::pin(r.recv_async());
    assert!(poll(&mut first, &panicking_waker(Moment::Wake, &armed)).is_pending());
    let mut second = Box::pin(r.recv_async());
    assert!(poll_once(&mut second).is_pending());
    assert!(s.close(), "the panic of another's waker is not the caller's");
    assert_eq!(poll_once(&mut first), Poll::Ready(Err(RecvError)));
    assert_eq!(poll_once(&mut second), Poll::Ready(Err(RecvError)));
}

/// Those behind it were leaked.
#[test]
fn a_value_that_panics_when_it_is_dropped_does_not_keep_the_others() {
    struct Value(usize, Arc<AtomicUsize>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
            assert!(self.0.is_multiple_of(2), "value {}", self.0);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let filled = || {
        let (s, r) = unbounded();
        (0..10).for_each(|n| _ = s.send(Value(n, dropped.clone())));
        (s, r)
    };
    let (s, r) = filled();
    let payload = catch_unwind(AssertUnwindSafe(|| drop(r))).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "value 1", "the first panic");
    assert_eq!(dropped.load(Ordering::Relaxed), 10);
    // Also while the receiver's owner unwinds: a second panic on the way would abort.
    let (s2, r2) = filled();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let _r2 = r2;
        panic!("another");
    }));
    assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"another"));
    assert_eq!(dropped.load(Ordering::Relaxed), 20);
    assert!(s.is_empty() && s2.is_empty());
    assert!(matches!(s.send(Value(0, dropped.clone())), Err(SendError(_))));
}
