//! A P is held by one M at a time, as the listener hears it: it leaves one M before another takes it.

mod common;

use common::builder;
use pirn_runtime::internal::{Event, listen};
use pirn_runtime::{Runtime, blocking, go, sleep, yield_now};
use std::sync::Mutex;
use std::time::Duration;

const PROCS: usize = 3;

/// The M that holds each P, and what was heard that can not be.
struct Heard {
    holders: [Option<u32>; PROCS],
    acquired: usize,
    wrong: Vec<String>,
}

static HEARD: Mutex<Heard> = Mutex::new(Heard { holders: [None; PROCS], acquired: 0, wrong: Vec::new() });

impl Heard {
    fn hear(&mut self, event: &Event) {
        let (p, expected, holder) = match *event {
            Event::Acquire { p, m } => {
                self.acquired += 1;
                (p, None, Some(m))
            }
            Event::Release { p, m } | Event::HandOff { p, m, .. } => (p, Some(m), None),
            _ => return,
        };
        let before = std::mem::replace(&mut self.holders[p], holder);
        if before != expected {
            self.wrong.push(format!("{event:?}, while {before:?} holds it"));
        }
    }
}

/// Gs that wait, block and let others run, on a runtime whose Ps change hands all the time.
fn change_hands(rt: &Runtime) {
    rt.run(|| {
        let gs: Vec<_> = (0..common::scale(2_000, 10_000))
            .map(|i| {
                go(move || match i % 4 {
                    0 => sleep(Duration::from_micros(i as u64 % 300)),
                    1 => blocking(|| std::thread::sleep(Duration::from_micros(50))),
                    2 => (0..20).for_each(|_| yield_now()),
                    _ => drop(go(yield_now).join()),
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
        // One G that comes and goes: its P is idle in between.
        (0..common::scale(500, 2_000)).for_each(|_| sleep(Duration::from_micros(20)));
    });
}

#[test]
fn a_p_leaves_one_m_before_another_takes_it() {
    listen(|event, _| HEARD.lock().expect("no panic").hear(event));
    for builder in [builder(), builder().retake_eagerly()] {
        let rt = builder.procs(PROCS).build().expect("a runtime");
        change_hands(&rt);
        rt.shutdown();
        let heard = HEARD.lock().expect("no panic");
        assert!(heard.acquired > 100, "{}", heard.acquired);
        assert_eq!(heard.wrong, Vec::<String>::new());
        assert_eq!(heard.holders, [None; PROCS], "at the end");
    }
}
