//! The walks of ARCHITECTURE.md, recorded event by event and compared with the stops that the paper has. Both tests take the
//! clock, so that they go one after the other: nothing else happens in the process meanwhile.

mod common;

use common::log::{Log, g_of, listen, name};
use common::{House, runtime, threads_of, wait_until_asleep};
use pirn_runtime::internal::{Event, SetClock};
use pirn_runtime::{Unparker, park, sleep};
use std::sync::mpsc;
use std::time::Duration;

/// The events of the stops under that heading, in their order. A stop is written as `1. **Name** (`event`, `event` of
/// somebody).`
fn stops(heading: &str) -> Vec<String> {
    let paper = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(paper).expect("the paper is there");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the section is there");
    let section = section.split("\n## ").next().expect("it ends");
    let mut stops = Vec::new();
    let mut nth = 0;
    for line in section.lines() {
        let Some((number, rest)) = line.split_once(". **") else { continue };
        if number.parse() != Ok(nth + 1) {
            continue;
        }
        nth += 1;
        let (_, events) = rest.split_once("** (").unwrap_or_else(|| panic!("no events: {line}"));
        let (events, _) = events.split_once(").").unwrap_or_else(|| panic!("no end of the events: {line}"));
        stops.extend(events.split(", ").map(|event| event.replace('`', "")));
    }
    assert!(nth > 3, "the stops of {heading:?} are not where they were");
    stops
}

/// Waits until the one M of a runtime sleeps, and its P is idle.
fn wait_until_idle(rt: &House) {
    wait_until_asleep(|| threads_of(&(rt.thread_prefix() + "m")), 5);
}

#[test]
fn the_walk_of_one_g() {
    let _alone = SetClock::take();
    listen();
    let rt = runtime(1);
    wait_until_idle(&rt);
    let log = Log::begin();
    let (tell, told) = mpsc::channel();
    // From a thread: that announces it for certain.
    let walker = rt.go(move || {
        tell.send(Unparker::current()).expect("the test waits");
        park();
    });
    let g = walker.id().as_u64();
    let unparker = told.recv().expect("it begins");
    log.wait_for("it parks", |event| matches!(event, Event::Park { g: parked, .. } if *parked == g));
    wait_until_idle(&rt);
    let before_joiner = log.events().len();
    let joiner = rt.go(move || walker.join().expect("it walks and ends"));
    let j = joiner.id().as_u64();
    log.wait_for("the joiner parks", |event| matches!(event, Event::Park { g: parked, .. } if *parked == j));
    wait_until_idle(&rt);
    let after_joiner = log.events().len();
    unparker.unpark();
    joiner.join().expect("it joins and ends");
    log.wait_for("the joiner ends", |event| matches!(event, Event::End { g: ended } if *ended == j));

    let events = log.events();
    let begun = |event: &Event| matches!(event, Event::Begin { g: begun } if *begun == g);
    let begins = events.iter().position(begun).expect("it has begun");
    let mut walk = Vec::new();
    for (nth, event) in events.iter().enumerate() {
        let name = name(event);
        match event {
            _ if g_of(event) == Some(g) => walk.push(name.to_owned()),
            // On the way to its first run.
            Event::Wake { .. } if nth < begins => walk.push(format!("{name} of an M")),
            Event::Acquire { .. } if nth < begins => walk.push(format!("{name} of a P")),
            // What it does for the one that joins it.
            Event::Ready { .. } | Event::Run { .. } if nth >= after_joiner => {
                walk.push(format!("{name} of the joiner"))
            }
            _ => {}
        }
    }
    assert!(!events[before_joiner..after_joiner].iter().any(|event| g_of(event) == Some(g)), "{events:#?}");
    assert_eq!(walk, stops("The walk of one G"), "{events:#?}");
}

#[test]
fn the_walk_of_one_timer() {
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = SetClock::take();
    listen();
    let rt = runtime(1);
    wait_until_idle(&rt);
    let log = Log::begin();
    let sleeper = rt.go(|| sleep(HOUR));
    let g = sleeper.id().as_u64();
    log.wait_for("it sleeps", |event| matches!(event, Event::Park { g: parked, .. } if *parked == g));
    wait_until_idle(&rt);
    clock.advance(HOUR);
    sleeper.join().expect("it sleeps and ends");
    log.wait_for("it ends", |event| matches!(event, Event::End { g: ended } if *ended == g));

    let events = log.events();
    let parks = events.iter().position(|event| name(event) == "park").expect("it has parked");
    let ends = events.iter().position(|event| name(event) == "end").expect("it has ended");
    let stop = |event: &Event| match event {
        Event::Acquire { .. } | Event::Release { .. } => format!("{} of a P", name(event)),
        _ => name(event).to_owned(),
    };
    // sysmon is woken by the set clock too, and may be the one that wakes the keeper.
    let of_walk = |event: &&Event| !matches!(event, Event::Wake { .. });
    let walk: Vec<String> = events[parks..ends].iter().filter(of_walk).map(stop).collect();
    assert_eq!(walk, stops("The walk of one timer"), "{events:#?}");
}
