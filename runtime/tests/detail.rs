//! What scheddetail prints while everything moves: every G is in one place, and the parts add up. And that what is counted
//! is what happened.

mod common;

use common::{Rng, builder, child_case, eventually, runtime, seed, subprocess, wait_until_waiting};
use pirn_runtime::{Handle, Unparker, blocking, go, lock_os_thread, park, sleep, yield_now};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Everything that Gs do, for a while.
fn load(seed: u64, time: Duration) {
    let rt = builder().procs(4).build().expect("a runtime");
    let began = Instant::now();
    let mutex = Arc::new(Mutex::new(0));
    let gs: Vec<_> = (0..40)
        .map(|i| {
            let (mutex, mut rng) = (mutex.clone(), Rng::new(seed ^ i));
            rt.go(move || {
                let _mine = (i == 7).then(lock_os_thread);
                while began.elapsed() < time {
                    match rng.below(9) {
                        0 => sleep(Duration::from_micros(rng.below(300) as u64)),
                        1 => std::thread::sleep(Duration::from_micros(rng.below(300) as u64)),
                        2 => blocking(|| std::thread::sleep(Duration::from_micros(100))),
                        3 => (0..rng.below(50)).for_each(|_| drop(go(yield_now))),
                        4 => drop(go(|| sleep(Duration::from_micros(50))).join()),
                        5 => *mutex.lock().expect("no panic") += 1,
                        6 => pirn_runtime::park_timeout(Duration::from_micros(100)),
                        7 => (0..rng.below(20_000)).for_each(|n| assert_ne!(std::hint::black_box(n), usize::MAX)),
                        _ => yield_now(),
                    }
                }
            })
        })
        .collect();
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// The fields of a line: `name=value`, the value up to the next blank that is not in brackets or quotes.
fn fields(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = line.trim();
    while let Some((name, value)) = rest.split_once('=') {
        let mut depth = 0;
        let mut quoted = false;
        let end = value.find(|c: char| {
            match c {
                '"' => quoted = !quoted,
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                _ => {}
            }
            c == ' ' && depth == 0 && !quoted
        });
        let (value, next) = value.split_at(end.unwrap_or(value.len()));
        fields.insert(name.trim().to_owned(), value.to_owned());
        rest = next.trim_start();
    }
    fields
}

/// One block of the detailed form.
#[derive(Default)]
struct Block {
    head: BTreeMap<String, String>,
    ps: BTreeMap<String, BTreeMap<String, String>>,
    ms: BTreeMap<String, BTreeMap<String, String>>,
    gs: BTreeMap<String, BTreeMap<String, String>>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("SCHED ") {
            let (_, head) = head.split_once(": ").expect("a time first");
            all.push(Block { head: fields(head), ..Block::default() });
            continue;
        }
        let block = all.last_mut().expect("a block begins with its head");
        let (name, rest) = line.trim_start().split_once(": ").expect("a name first");
        let (kind, number) = name.split_at(1);
        let parts = match kind {
            "P" => &mut block.ps,
            "M" => &mut block.ms,
            "G" => &mut block.gs,
            _ => panic!("what is {line:?}"),
        };
        assert!(parts.insert(number.to_owned(), fields(rest)).is_none(), "{name} twice");
    }
    all
}

fn number(fields: &BTreeMap<String, String>, name: &str) -> usize {
    fields[name].parse().unwrap_or_else(|_| panic!("{name} in {fields:?}"))
}

/// Everything that must hold in a block, however fast all of it moves.
fn check(block: &Block) {
    let Block { head, ps, ms, gs } = block;
    assert_eq!(ps.len(), number(head, "gomaxprocs"));
    assert_eq!(ms.len(), number(head, "threads"));
    assert_eq!(ps.values().filter(|p| p["status"] == "0").count(), number(head, "idleprocs"));
    assert_eq!(ms.values().filter(|m| m["spinning"] == "true").count(), number(head, "spinningthreads"));
    for (id, p) in ps {
        assert_eq!(p["status"] == "1", p["m"] != "nil", "P{id}");
        if p["m"] != "nil" {
            assert_eq!(&ms[&p["m"]]["p"], id, "P{id} and its M");
        }
    }
    for (id, m) in ms {
        if m["p"] != "nil" {
            assert_eq!(&ps[&m["p"]]["m"], id, "M{id} and its P");
        }
        if m["curg"] != "nil" {
            assert_eq!(&gs[&m["curg"]]["m"], id, "M{id} and its G");
        }
    }
    let running = gs.values().filter(|g| g["m"] != "nil").count();
    assert_eq!(running, ms.values().filter(|m| m["curg"] != "nil").count());
    for (id, g) in gs {
        let status = g["status"].split('(').next().expect("a number");
        assert_eq!(g["m"] != "nil", ["2", "3"].contains(&status), "G{id}: {g:?}");
        assert!(["1", "2", "3", "4"].contains(&status), "G{id}: {g:?}");
        assert_eq!(g.contains_key("wait"), status == "4", "G{id}: {g:?}");
        if g["m"] != "nil" {
            assert_eq!(&ms[&g["m"]]["curg"], id, "G{id} and its M");
        }
        if g["lockedm"] != "nil" {
            assert_eq!(&ms[&g["lockedm"]]["lockedg"], id, "G{id} and the M it is locked to");
        }
    }
}

#[test]
fn every_g_is_in_one_place() {
    const TEST: &str = "every_g_is_in_one_place";
    if let Some(out) = child_case(TEST) {
        // On a busy machine sysmon prints seldom.
        let is_enough = || std::fs::read_to_string(&out).is_ok_and(|text| text.matches("SCHED ").count() > 100);
        while !is_enough() {
            load(seed(TEST), Duration::from_secs(2));
        }
        return;
    }
    let out = std::env::temp_dir().join(format!("pirn-detail-{}", std::process::id()));
    let debug = format!("schedtrace=5,scheddetail=1,schedout={}", out.display());
    subprocess(TEST, out.to_str().expect("UTF-8"), &[("PIRN_DEBUG", &debug)]).expect_success();
    let text = std::fs::read_to_string(&out).expect("it was written");
    std::fs::remove_file(&out).expect("it is there");
    let blocks = blocks(&text);
    assert!(blocks.len() > 100, "{} blocks", blocks.len());
    blocks.iter().for_each(check);
    // It was not all idle, and not all the same.
    let seen: BTreeSet<&str> = blocks.iter().flat_map(|b| b.gs.values().map(|g| g["status"].as_str())).collect();
    for status in ["1()", "2()", "4(sleep)", "4(park)", "4(join)"] {
        assert!(seen.contains(status), "{status} was never seen: {seen:?}");
    }
    assert!(blocks.iter().any(|b| b.gs.values().any(|g| g["lockedm"] != "nil")));
}

/// With nothing in motion the parts are exactly the whole: a G is on a queue, in runnext, on an M, or parked.
#[test]
fn queues_add_up() {
    const TEST: &str = "queues_add_up";
    if child_case(TEST).is_some() {
        let rt = builder().procs(2).max_threads(3).build().expect("a runtime");
        let over = Arc::new(AtomicBool::new(false));
        rt.run(|| {
            let parked: Vec<_> = (0..10).map(|_| go(park)).collect();
            parked.iter().for_each(|g| wait_until_waiting(&Handle::current().expect("a G"), g.id()));
            let hogs: Vec<_> = (0..3)
                .map(|_| {
                    let over = over.clone();
                    go(move || while !over.load(Ordering::Relaxed) {})
                })
                .collect();
            let waiting: Vec<_> = (0..50).map(|_| go(|| ())).collect();
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) {}
            over.store(true, Ordering::Relaxed);
            drop((parked, hogs, waiting));
        });
        return;
    }
    let ended = subprocess(TEST, "hogs", &[("PIRN_DEBUG", "schedtrace=20,schedfmt=json,scheddetail=1")]);
    let lines: Vec<Value> =
        ended.expect_success().stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sum = |line: &Value| {
        let n = |value: &Value| value.as_u64().unwrap_or_default();
        let ps = line["p"].as_array().expect("Ps");
        let queued = n(&line["runqueue"]) + ps.iter().map(|p| n(&p["runqsize"])).sum::<u64>();
        let next = ps.iter().filter(|p| !p["runnext"].is_null()).count() as u64;
        let gs = line["g"].as_array().expect("Gs");
        (queued + next, gs.iter().filter(|g| g["status"] == 1).count() as u64, gs.len())
    };
    let full: Vec<_> = lines.iter().map(sum).filter(|(queued, ..)| *queued >= 5).collect();
    // A busy machine runs sysmon seldom.
    assert!(full.len() >= 3, "{full:?}");
    // While a P changes hands a line may be taken in the middle of it.
    let odd = full.iter().filter(|(queued, runnable, _)| queued != runnable).count();
    assert!(odd * 3 <= full.len(), "{full:?}");
}

#[test]
fn metrics_count_what_happens() {
    let rt = runtime(2);
    let before = rt.metrics();
    assert_eq!((before.procs, before.goroutines, before.timers), (2, 0, 0));
    let n = 200;
    let parked: Vec<_> = (0..n).map(|_| rt.go(park)).collect();
    eventually("all are parked", || rt.metrics().parks - before.parks >= n && rt.metrics().waiting == n as usize);
    let then = rt.metrics();
    assert_eq!(then.spawns - before.spawns, n);
    assert!(then.stacks >= n as usize && then.stack_bytes >= 4096 * n as usize);
    assert_eq!((then.goroutines, then.running, then.runnable), (n as usize, 0, 0));
    rt.run(|| {
        let sleeper = go(|| sleep(Duration::from_secs(1000)));
        wait_until_waiting(&Handle::current().expect("a G"), sleeper.id());
        assert_eq!(Handle::current().expect("a G").metrics().timers, 1);
        drop(sleeper);
        // A hand-off, a park and a ready, whatever the host does with the threads meanwhile.
        blocking(|| {});
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = go(move || {
            tell.send(Unparker::current()).expect("the test waits");
            park();
        });
        let unparker = told.recv().expect("the G runs");
        wait_until_waiting(&Handle::current().expect("a G"), waiter.id());
        unparker.unpark();
        waiter.join().expect("no panic");
    });
    let after = rt.metrics();
    assert!(after.parks > then.parks, "{after:?}");
    assert!(after.readies > then.readies, "{after:?}");
    assert!(after.hand_offs > then.hand_offs, "{after:?}");
    assert!(after.wakes >= then.wakes && after.m_starts >= 1 && after.threads >= 1);
    assert!(after.spawns - after.ends == after.goroutines as u64);
    assert_eq!(after.local_queues.len(), 2);
    drop(parked);
}
