//! What happens in the process, event by event, and waiting until something has.

use pirn_runtime::internal::Event;
use std::sync::{Condvar, Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

/// All events since somebody listens.
static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();

/// How long an event is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The events from some moment on, of all runtimes of the process.
pub(crate) struct Log {
    from: usize,
}

fn events() -> MutexGuard<'static, Vec<Event>> {
    EVENTS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Listens. Before the runtimes are built that are to be heard: one that is older does not tell of starts and turns of Gs.
pub(crate) fn listen() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        pirn_runtime::internal::listen(|event, _| {
            events().push(*event);
            MORE.notify_all();
        });
    });
}

impl Log {
    /// From now on; [`listen`] comes before.
    pub(crate) fn begin() -> Log {
        Log { from: events().len() }
    }

    /// What has happened so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        events()[self.from..].to_vec()
    }

    /// Waits until something like that has happened, and returns the first one.
    ///
    /// # Panics
    /// With all that has happened, if it does not.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let began = Instant::now();
        let mut events = events();
        loop {
            if let Some(event) = events[self.from..].iter().find(|event| is_it(event)) {
                return *event;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "it has not happened that {what}, but {:#?}", &events[self.from..]);
            events = MORE.wait_timeout(events, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }
}

/// The name of an event, as the papers have it.
pub(crate) fn name(event: &Event) -> &'static str {
    match event {
        Event::Spawn { .. } => "spawn",
        Event::Begin { .. } => "begin",
        Event::Run { .. } => "run",
        Event::Park { .. } => "park",
        Event::Ready { .. } => "ready",
        Event::Yield { .. } => "yield",
        Event::End { .. } => "end",
        Event::Steal { .. } => "steal",
        Event::HandOff { .. } => "hand_off",
        Event::Acquire { .. } => "acquire",
        Event::Release { .. } => "release",
        Event::Wake { .. } => "wake",
        Event::MStart { .. } => "m_start",
        Event::MStop { .. } => "m_stop",
        Event::Fire { .. } => "fire",
        Event::StackGrowth { .. } => "stack_growth",
        other => panic!("an event without a name: {other:?}"),
    }
}

/// The G that an event is about, if it is about one.
pub(crate) fn g_of(event: &Event) -> Option<u64> {
    match *event {
        Event::Spawn { g }
        | Event::Begin { g }
        | Event::Run { g }
        | Event::Park { g, .. }
        | Event::Ready { g }
        | Event::Yield { g }
        | Event::End { g } => Some(g),
        _ => None,
    }
}
