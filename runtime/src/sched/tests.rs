//! The parts of [`Shared`] by themselves: a runtime without threads.

#![allow(unsafe_code, reason = "the test owns the G")]

use super::{Setup, Shared};
use crate::config::{ARRIVALS_WORTH_WAKE_NS, FAIRNESS_TICKS, LATELY_NS, LOCAL_QUEUE_MAX, POLL_LATER_NS, POLL_NS};
use crate::config::{POLL_QUEUE_MAX, SEARCH_NS, SLICE_NS};
use crate::g::{Runnable, give_free, take_free};
use crate::locals::Locals;
use crate::m::{M, Me};
use crate::netpoll::{Came, give_back, register, take};
use crate::probe::DeadlockReport;
use crate::stack::{Class, StackError};
use crate::timers::NEVER;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// All Ps are idle, and there is no M.
fn without_threads(procs: usize) -> Arc<Shared> {
    Shared::new(Setup {
        procs,
        class: Class::DEFAULT,
        locals: Locals::Shared,
        hooked: None,
        room_bytes: 0,
        max_threads: 8,
        deadlock: DeadlockReport::Off,
        stall_ns: NEVER,
        dumps_on_exit: false,
        dumps_on_signal: false,
        names_blockers: false,
        reports_partial_deadlocks: false,
        retakes_eagerly: false,
        width: None,
        name: "test".to_owned(),
        thread_name: None,
        on_start: None,
        on_stop: None,
    })
}

/// Whether sysmon would sleep without a limit.
fn sleeps(shared: &Shared) -> bool {
    let mut sleeps = false;
    shared.sleep_as_sysmon(|until_ns| sleeps = until_ns == NEVER);
    sleeps
}

#[test]
fn sysmon_sleeps_only_while_every_p_is_idle() {
    let shared = without_threads(2);
    assert!(sleeps(&shared));
    let p = shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    assert!(!sleeps(&shared));
    shared.put_idle_p(&mut shared.lock(), p);
    assert!(sleeps(&shared));
}

/// It was overlooked if it came between sysmon's look and its sleep; then the G did not try again.
#[test]
fn sysmon_does_not_sleep_while_a_g_waits_for_a_stack() {
    let shared = without_threads(1);
    let g = take_free();
    let error = StackError::Refused { class: Class::DEFAULT, what: "mmap", errno: 12 };
    // SAFETY: the record is free, and this is its only Runnable.
    shared.wait_for_stack(unsafe { Runnable::own(g) }, &error);
    assert!(!sleeps(&shared));
    shared.lock().stackless.clear();
    assert!(sleeps(&shared));
    give_free(g);
}

/// It looked again and again, as long as an M that was asking waited for a CPU.
#[test]
fn sysmon_asks_once_though_somebody_asks_just_now() {
    let shared = without_threads(1);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    shared.netpoll().while_asked(|| {
        shared.ask_as_sysmon(POLL_NS, false);
        assert_eq!(shared.must_ask_ns(false), 2 * POLL_NS);
        // An M that runs many Gs will do it.
        shared.ask_as_sysmon(2 * POLL_NS, true);
        assert_eq!(shared.must_ask_ns(true), POLL_NS + POLL_LATER_NS);
    });
    give_back(record);
}

/// While slices are long each pick polled, however much waited. The events made the queue overflow, its oldest Gs went to
/// the global queue, and one of them came back at every 61st pick.
#[test]
fn while_slices_are_long_nothing_is_polled_for_a_long_queue() {
    let shared = without_threads(1);
    let p = shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    // All of them run before the 61st pick, which judges the slices anew.
    let gs: Vec<_> = (0..POLL_QUEUE_MAX + 10).map(|_| take_free()).collect();
    // SAFETY: the records are free, and these are their only Runnables.
    gs.iter().for_each(|g| p.owned().push(unsafe { Runnable::own(g) }).expect("there is room"));
    p.owned().note_poll(gs.len());
    p.owned().judge_slices(1, u64::MAX);
    assert!(p.owned().is_coarse());
    let mut ran = Vec::new();
    while p.queue_len() > 0 {
        let may_poll = p.queue_len() <= POLL_QUEUE_MAX;
        shared.netpoll().has_asked(0);
        let asked = shared.netpoll().counts().0;
        ran.extend(shared.pick(p.owned()));
        assert_eq!(shared.netpoll().counts().0 - asked, u64::from(may_poll), "{} wait", p.queue_len());
    }
    assert_eq!(ran.len(), gs.len());
    drop(ran);
    gs.into_iter().for_each(give_free);
    give_back(record);
    shared.put_idle_p(&mut shared.lock(), p);
}

/// Gs that yield kept the queue long, so no M ever polled.
#[test]
fn a_queue_that_stays_long_is_polled_for_once_in_a_turn() {
    let shared = without_threads(1);
    let p = shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    let gs: Vec<_> = (0..LOCAL_QUEUE_MAX - 10).map(|_| take_free()).collect();
    // SAFETY: the records are free, and these are their only Runnables.
    gs.iter().for_each(|g| p.owned().push(unsafe { Runnable::own(g) }).expect("there is room"));
    p.owned().note_poll(gs.len());
    let mut picks = 0;
    while shared.netpoll().counts().0 == 0 {
        let runnable = shared.pick(p.owned()).expect("they yield");
        p.owned().push(runnable).expect("there is room");
        picks += 1;
    }
    let turn = gs.len()..=gs.len() + FAIRNESS_TICKS as usize;
    assert!(turn.contains(&picks), "{picks} picks, {} Gs", gs.len());
    while shared.pick(p.owned()).is_some_and(|_| p.queue_len() > 0) {}
    gs.into_iter().for_each(give_free);
    give_back(record);
    shared.put_idle_p(&mut shared.lock(), p);
}

/// The kernel ran the M of one P on the CPU of another's. What was in the queue there waited for milliseconds, as the one
/// that ran had events of its own all the time.
#[test]
fn what_waits_for_an_m_without_a_cpu_is_taken_before_new_events() {
    let shared = without_threads(2);
    let take_p = || shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let (p, stranded) = (take_p(), take_p());
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    let gs: Vec<_> = (0..LOCAL_QUEUE_MAX / 2).map(|_| take_free()).collect();
    // SAFETY: the records are free, and these are their only Runnables.
    gs.iter().for_each(|g| stranded.owned().push(unsafe { Runnable::own(g) }).expect("there is room"));
    stranded.owned().show_all();
    let own = take_free();
    // SAFETY: as above.
    let mut runs = unsafe { Runnable::own(own) };
    let patience = Instant::now() + Duration::from_secs(30);
    while stranded.has_queued() {
        assert!(Instant::now() < patience, "{} wait", stranded.queue_len());
        p.owned().push(runs).expect("there is room");
        let asked = shared.netpoll().counts().0;
        runs = shared.pick(p.owned()).expect("there is one at least");
        assert!(p.queue_len() == 0 || shared.netpoll().counts().0 == asked, "it has polled all the same");
    }
    // All came at once, and in their order.
    let taken: Vec<_> = std::iter::once(runs).chain(std::iter::from_fn(|| p.owned().next())).collect();
    assert_eq!(taken.len(), gs.len() + 1);
    let others = taken.iter().map(Runnable::g).filter(|g| !std::ptr::eq(*g, own));
    assert!(others.zip(&gs).all(|(taken, g)| std::ptr::eq(taken, *g)));
    drop(taken);
    gs.into_iter().chain([own]).for_each(give_free);
    give_back(record);
    [p, stranded].into_iter().for_each(|p| shared.put_idle_p(&mut shared.lock(), p));
}

/// It asked the epoll for some microseconds after each message, on a CPU that those who send the next one may need.
#[test]
fn an_m_does_not_search_for_long_while_descriptors_bring_work() {
    let shared = without_threads(2);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    let now_ns = 2 * LATELY_NS;
    assert_eq!(shared.search_ns(now_ns), SEARCH_NS);
    shared.netpoll().ask(&mut Came::new(), now_ns);
    assert_eq!(shared.search_ns(now_ns), SEARCH_NS, "there was no event");
    drop(writer);
    shared.netpoll().ask(&mut Came::new(), now_ns);
    assert_eq!(shared.search_ns(now_ns), 0);
    assert_eq!(shared.search_ns(now_ns + LATELY_NS), SEARCH_NS);
    give_back(record);
}

/// Where other programs want the CPUs, a second M took them from those that send the next events.
#[test]
fn a_narrow_runtime_wakes_for_a_slice_of_arrivals_and_needs_no_second_m() {
    let shared = without_threads(2);
    let take_p = || shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let p = take_p();
    p.owned().judge_slices(61, 61 * 5_000);
    let least = |shared: &Shared| (0..10_000).find(|count| shared.are_worth_wake(p.owned(), *count));
    assert_eq!(least(&shared), Some(ARRIVALS_WORTH_WAKE_NS.div_ceil(5_000) as usize));
    shared.set_width(1);
    assert_eq!(least(&shared), Some(SLICE_NS.div_ceil(5_000) as usize));

    let m = M::new(0, &*shared);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    assert!(!shared.is_surplus(&m), "it is the only one");
    let other = take_p();
    // sysmon has seen other picks than they have now: they have picked since.
    [&p, &other].into_iter().for_each(|p| p.note_seen(7, 0));
    assert!(!shared.is_surplus(&m), "there was no event");
    drop(writer);
    shared.netpoll().ask(&mut Came::new(), shared.coarse_ns());
    assert!(shared.is_surplus(&m));
    m.searching.store(true, Ordering::Relaxed);
    assert!(!shared.is_surplus(&m), "somebody has woken it");
    m.searching.store(false, Ordering::Relaxed);
    other.note_seen(other.picks(), 0);
    assert!(!shared.is_surplus(&m), "the G of the other computes");
    other.note_seen(7, 0);
    shared.set_width(2);
    assert!(!shared.is_surplus(&m));
    give_back(record);
    [p, other].into_iter().for_each(|p| shared.put_idle_p(&mut shared.lock(), p));
}

/// An M that is surplus rests without a last look at the queues: what was announced while it was awake, and left, would wait
/// for one M alone.
#[test]
fn what_waits_for_longer_than_a_slice_is_announced_again() {
    const EACH_NS: u64 = 100_000;
    let shared = without_threads(2);
    let p = shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let sleeper = M::new(0, &*shared);
    shared.lock().idle.add_m(&sleeper);
    p.owned().judge_slices(FAIRNESS_TICKS, u64::from(FAIRNESS_TICKS) * EACH_NS);
    let gs: Vec<_> = (0..SLICE_NS.div_ceil(EACH_NS)).map(|_| take_free()).collect();
    let (last, others) = gs.split_last().expect("a slice is longer than that");
    // SAFETY: the records are free, and these are their only Runnables.
    others.iter().for_each(|g| p.owned().push(unsafe { Runnable::own(g) }).expect("there is room"));
    p.owned().show_all();
    let first = shared.pick(p.owned()).expect("they wait");
    assert!(!sleeper.has_handed(), "it is less than a slice");
    p.owned().push(first).expect("there is room");
    // SAFETY: as above.
    p.owned().push(unsafe { Runnable::own(last) }).expect("there is room");
    p.owned().show_all();
    let mut picked = shared.pick(p.owned());
    let handed = sleeper.take_handed().expect("somebody was woken to search");
    while picked.is_some() {
        picked = p.owned().next();
    }
    gs.into_iter().for_each(give_free);
    [p, handed].into_iter().for_each(|p| shared.put_idle_p(&mut shared.lock(), p));
}

/// One that rests as it was surplus has left it to the M of the last P to become the keeper. That one blocks, and its P
/// becomes idle without it.
#[test]
fn who_makes_the_last_p_idle_wakes_one_that_becomes_the_keeper() {
    let shared = without_threads(2);
    let (sleeper, keeper, blocks) = (M::new(0, &*shared), M::new(1, &*shared), M::new(2, &*shared));
    // SAFETY: it runs nothing, and this is the only one.
    let mut me = unsafe { Me::of(&blocks) };
    let mut wakes = |has_keeper: bool, other_is_held: bool| {
        let mut queues = shared.lock();
        me.set_p(shared.take_idle_p(&mut queues).expect("it is idle"));
        let other = other_is_held.then(|| shared.take_idle_p(&mut queues).expect("it is idle"));
        queues.idle.add_m(&sleeper);
        if has_keeper {
            shared.start_keeping(&mut queues, &keeper);
        }
        drop(queues);
        shared.hand_off_own_p(&mut me);
        let mut queues = shared.lock();
        queues.idle.forget_ms();
        let handed = sleeper.take_handed();
        let is_woken = handed.is_some();
        handed.into_iter().chain(other).for_each(|p| shared.put_idle_p(&mut queues, p));
        drop(queues);
        if sleeper.searching.load(Ordering::Relaxed) {
            shared.end_search(&sleeper);
        }
        is_woken
    };
    assert_eq!(
        [(false, true), (true, false), (false, false)].map(|(keeper, held)| wakes(keeper, held)),
        [false, false, true]
    );
}

/// What waited in the global queue was overtaken by new events for ever: one G was taken from there at every 61st pick,
/// and the events of a whole poll came before it.
#[test]
fn what_the_global_queue_has_comes_before_new_events() {
    const WAIT: usize = 3 * LOCAL_QUEUE_MAX;
    let shared = without_threads(1);
    let p = shared.take_idle_p(&mut shared.lock()).expect("it is idle");
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let record = take();
    register(record, reader.as_fd(), "pipe", shared.netpoll()).expect("a pipe can be watched");
    let gs: Vec<_> = (0..WAIT).map(|_| take_free()).collect();
    // SAFETY: the records are free, and these are their only Runnables.
    gs.iter().for_each(|g| shared.lock().global.push(unsafe { Runnable::own(g) }));
    shared.publish_global(&shared.lock());
    p.owned().note_poll(WAIT);
    let mut order = Vec::new();
    while !shared.is_global_empty() {
        let asked = shared.netpoll().counts().0;
        order.extend(shared.look_round(p.owned()));
        assert!(shared.is_global_empty() || shared.netpoll().counts().0 == asked, "nothing is polled meanwhile");
        order.extend((1..FAIRNESS_TICKS).map_while(|_| p.owned().next()));
    }
    order.extend(std::iter::from_fn(|| p.owned().next()));
    assert_eq!(order.len(), WAIT);
    for (at, ran) in order.iter().enumerate() {
        let came = gs.iter().position(|g| std::ptr::eq(*g, ran.g())).expect("it is one of them");
        // The one that an M runs at once at every 61st pick overtakes what its queue has.
        assert!(at.abs_diff(came) <= LOCAL_QUEUE_MAX / 2, "{came} ran as number {at}");
    }
    // Now that the queue is not long any more.
    assert!(shared.look_round(p.owned()).is_none());
    assert_eq!(shared.netpoll().counts().0, 1);
    drop(order);
    gs.into_iter().for_each(give_free);
    give_back(record);
    shared.put_idle_p(&mut shared.lock(), p);
}
