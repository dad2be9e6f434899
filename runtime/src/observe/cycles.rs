//! Cycles of waits: each waits for what the next one has, so none of them continues.
//!
//! # What is certain
//! A wait for what a party has ends only when that party acts, unless it has a timeout or is cancelled. A party that
//! waits does not act, so it gives nothing back. So if at one moment each member of a cycle waits for what the next one
//! has at that moment, and no wait ends by itself, they wait for ever.
//!
//! A look reads one wait after the other, so one look may put together what was never true at the same time. Two looks
//! that find the same waits, by who, on what, for whom and since when, are enough:
//! - Each wait has lasted from its reading in the first look to its reading in the second, and so from the end of the
//!   first look to the beginning of the second: there are moments at which all members wait.
//! - That a member has something is read at one of two times: after the member's own wait was read, in the first look,
//!   or before that, in the second: every look reads in the same order (`waits`). So it was read during that wait, and
//!   the member had the thing all the time that it waited.
//!
//! "Since when" is in milliseconds for a G, by a clock that may be some milliseconds old. So a wait does not count as
//! the same one before it has lasted for longer than that.
//!
//! Who waits at the end of a scope waits for each of its Gs: while one of them does not end, the wait does not. So it has
//! as many links, and a cycle by any of them is certain. A G of a scope has that one's address in its record from its
//! start to its end.
//!
//! One case remains: a lock knows who has locked it. If that one has given its guard to another, the other may unlock
//! it.

use super::parties::Parties;
use super::waits::{Began, Link, Links, links, woken_by_clock};
use crate::os::Mutex;
use crate::reason::{Kind, Party};
use crate::sched::Shared;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;

/// So many are described; of more, only the number is said.
const SHOWN_MAX: usize = 20;

/// So many are reported one by one in a process.
const REPORTS_MAX: usize = 1_000;

/// Those that have been reported: who waits on what.
static REPORTED: Mutex<BTreeSet<Vec<(Party, usize)>>> = Mutex::new(BTreeSet::new());

/// By how much the coarse clock may be late, and much more.
const SETTLED_MS: i32 = 100;

/// Some waits: each but the last is for what the next party has, the last one for what the first has. The first
/// has the lowest number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle(Vec<Link>);

impl Cycle {
    /// Of these waits, each for what the next party has.
    fn of<'a>(links: impl Iterator<Item = &'a Link>) -> Cycle {
        let mut cycle: Vec<_> = links.copied().collect();
        let first = (0..cycle.len()).min_by_key(|at| cycle[*at].who).unwrap_or(0);
        cycle.rotate_left(first);
        Cycle(cycle)
    }

    /// That of a party that waits for what it has itself.
    pub(super) fn of_one(link: Link) -> Cycle {
        Cycle(vec![link])
    }

    /// The numbers of its Gs.
    pub(crate) fn gs(&self) -> Vec<u64> {
        let number = |link: &Link| match link.who {
            Party::G(id) => Some(id),
            Party::Thread(_) => None,
        };
        self.0.iter().filter_map(number).collect()
    }

    /// Whether it has not been reported before in this process. The caller reports it then.
    pub(crate) fn is_new(&self) -> bool {
        // Nothing panics under it but an allocation that fails.
        let mut reported = REPORTED.lock().unwrap_or_else(|e| e.into_inner());
        let key = self.0.iter().map(|link| (link.who, link.what)).collect();
        reported.len() < REPORTS_MAX && reported.insert(key)
    }

    /// Whether it is known that it cannot end by itself. A runtime knows no timers of others.
    pub(crate) fn is_closed(&self) -> bool {
        let may_end = |link: &Link| link.may_end || link.is_foreign && matches!(link.began, Began::Ms(_));
        !self.0.iter().any(may_end)
    }

    /// Whether all of its waits have lasted long enough to be known again; it is `now_ms` on the coarse clock.
    pub(crate) fn is_settled(&self, now_ms: u32) -> bool {
        self.0.iter().all(|link| match link.began {
            Began::Ms(since_ms) => now_ms.wrapping_sub(since_ms).cast_signed() >= SETTLED_MS,
            Began::At(_) | Began::Once => true,
        })
    }

    /// It in words, in one line.
    pub(crate) fn describe(&self) -> String {
        describe(self, &Parties::find(self.0.iter().map(|link| link.who)))
    }

    /// Its threads and the Gs of other runtimes, in the form of a dump.
    pub(crate) fn describe_others(&self) -> String {
        let parties = Parties::find(self.0.iter().map(|link| link.who));
        let mut text = String::new();
        for link in &self.0 {
            let why = match link.who {
                Party::G(_) if link.is_foreign => "it is on another runtime",
                Party::G(_) => continue,
                Party::Thread(_) => "it runs no goroutine",
            };
            let (who, owner, reason) = (called(&parties, link.who), called(&parties, link.owner), link.reason);
            let on = match reason.kind() {
                Kind::Goroutine | Kind::Scope => owner,
                _ => format!("{}, held by {owner}", unowned_thing(link)),
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "{who} [{}, on {on}]:\n(no stack: {why})\n\n", reason.name());
        }
        text
    }
}

/// All cycles, in the order of their first members. It looks at every G of the process.
pub(crate) fn find_cycles(shared: &Shared) -> Vec<Cycle> {
    let mut cycles = cycles_of(&links(shared));
    if !cycles.is_empty() {
        let timed = woken_by_clock(shared);
        for link in cycles.iter_mut().flat_map(|cycle| &mut cycle.0) {
            link.may_end |= matches!(link.who, Party::G(id) if timed.contains(&id));
        }
    }
    cycles
}

/// All cycles in words, a line each, with an empty line after them. Empty if there are none.
pub(crate) fn describe_cycles(shared: &Shared) -> String {
    let cycles = find_cycles(shared);
    let shown = &cycles[..cycles.len().min(SHOWN_MAX)];
    let parties = Parties::find(shown.iter().flat_map(|cycle| &cycle.0).map(|link| link.who));
    for cycle in shown.iter().filter(|cycle| cycle.is_closed()) {
        // So it is not reported once more, by itself.
        cycle.is_new();
    }
    let mut text: String = shown.iter().map(|cycle| format!("cycle: {}\n", describe(cycle, &parties))).collect();
    match cycles.len() - shown.len() {
        0 if text.is_empty() => {}
        0 => text.push('\n'),
        more => text.push_str(&format!("and {more} more\n\n")),
    }
    text
}

/// Walks along all waits, each once. A walk that comes to where it is already has found a cycle. Of cycles with a member
/// in common one is returned.
fn cycles_of(links: &Links) -> Vec<Cycle> {
    let (mut seen, mut in_cycle) = (HashSet::new(), HashSet::new());
    let mut cycles = Vec::new();
    for start in links.parties() {
        // Those on the way from there, and how many waits of each have been walked along; and where each is on the way.
        let (mut way, mut places) = (Vec::new(), HashMap::new());
        let mut next = Some(start);
        loop {
            if let Some(party) = next.take()
                && seen.insert(party)
            {
                places.insert(party, way.len());
                way.push((party, 0));
            }
            let Some((party, walked)) = way.last_mut() else { break };
            let Some(link) = links.nth(*party, *walked) else {
                places.remove(party);
                way.pop();
                continue;
            };
            *walked += 1;
            match places.get(&link.owner) {
                None => next = Some(link.owner),
                Some(from) if way[*from..].iter().any(|(member, _)| in_cycle.contains(member)) => {}
                Some(from) => {
                    let cycle = Cycle::of(way[*from..].iter().filter_map(|(who, walked)| links.nth(*who, walked - 1)));
                    in_cycle.extend(cycle.0.iter().map(|link| link.who));
                    cycles.push(cycle);
                }
            }
        }
    }
    cycles.sort_unstable_by_key(|cycle| cycle.0[0].who);
    cycles
}

fn describe(Cycle(links): &Cycle, parties: &Parties) -> String {
    let mut text = String::new();
    for (nth, link) in links.iter().enumerate() {
        let who = if nth == 0 { called(parties, link.who) } else { ", which".to_owned() };
        let thing = match link {
            Link { who, owner, .. } if who == owner => format!("{}, which it has locked itself", unowned_thing(link)),
            // Its name was said at the beginning.
            _ if nth + 1 == links.len() => thing_of(link, &link.owner.to_string()),
            _ => thing_of(link, &called(parties, link.owner)),
        };
        let timeout = if link.may_end { ", for a limited time" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{who} waits for {thing} ({}{timeout})", link.reason.name());
    }
    if let [Link { who, owner, .. }] = links[..]
        && who == owner
    {
        // Who has the guard is not known.
        text.push_str(", for ever unless it has given the guard away");
    }
    text
}

/// What is waited for, and who has it.
fn thing_of(link: &Link, owner: &str) -> String {
    match link.reason.kind() {
        Kind::Goroutine | Kind::Scope => format!("the end of {owner}"),
        _ => format!("{} held by {owner}", unowned_thing(link)),
    }
}

fn unowned_thing(link: &Link) -> String {
    match link.reason.kind() {
        Kind::Object(noun) => format!("{noun} {:#x}", link.what),
        _ => "something".to_owned(),
    }
}

/// A party with its name.
fn called(parties: &Parties, party: Party) -> String {
    parties.holder(party).map_or_else(|| party.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    static JOIN: Reason = Reason::new("join of a test", Kind::Goroutine);
    static LOCK: Reason = Reason::new("lock of a test", Kind::Object("mutex"));

    fn link(who: Party, reason: &'static Reason, what: usize, owner: Party) -> (Party, Link) {
        (who, Link { who, owner, reason, what, began: Began::Once, may_end: false, is_foreign: false })
    }

    fn described(links: &[(Party, Link)]) -> Vec<String> {
        let cycles = cycles_of(&links.iter().map(|(_, link)| *link).collect());
        cycles.iter().map(|cycle| describe(cycle, &Parties::find(std::iter::empty()))).collect()
    }

    #[test]
    fn each_cycle_is_found_once_and_in_order() {
        use Party::{G, Thread};
        let links = [
            // Waits for a member, and is none.
            link(G(1), &LOCK, 0xb0, G(7)),
            link(G(9), &LOCK, 0xa0, G(7)),
            link(G(7), &JOIN, 9, G(9)),
            link(G(5), &LOCK, 0xc0, Thread(3)),
            link(Thread(3), &JOIN, 6, G(6)),
            link(G(6), &LOCK, 0xd0, G(5)),
            link(G(4), &LOCK, 0xe0, G(4)),
            // The end of a chain.
            link(G(10), &LOCK, 0xf0, G(11)),
            link(G(11), &LOCK, 0xf8, G(12)),
        ];
        let expected = [
            "goroutine 4 waits for mutex 0xe0, which it has locked itself (lock of a test), for ever unless it has given the \
             guard away",
            "goroutine 5 waits for mutex 0xc0 held by thread 3 (lock of a test), which waits for the end of goroutine 6 \
             (join of a test), which waits for mutex 0xd0 held by goroutine 5 (lock of a test)",
            "goroutine 7 waits for the end of goroutine 9 (join of a test), which waits for mutex 0xa0 held by \
             goroutine 7 (lock of a test)",
        ];
        assert_eq!(described(&links), expected);
        let mut turned = links;
        turned.reverse();
        assert_eq!(described(&turned), expected);
        assert_eq!(described(&[]), [""; 0]);
    }

    #[test]
    fn who_waits_for_several_is_in_one_cycle() {
        static SCOPE: Reason = Reason::new("scope of a test", Kind::Scope);
        use Party::G;
        let of_scope = |owner| link(G(3), &SCOPE, 0x100, G(owner));
        let links = [
            // 4 waits for nothing, 5 for one that runs, 6 and 8 for the scope's own G; 9 is in a cycle of its own.
            of_scope(4),
            of_scope(5),
            of_scope(6),
            of_scope(8),
            of_scope(9),
            link(G(5), &LOCK, 0xa0, G(20)),
            link(G(6), &LOCK, 0xb0, G(7)),
            link(G(7), &JOIN, 3, G(3)),
            link(G(8), &LOCK, 0xc0, G(3)),
            link(G(9), &LOCK, 0xd0, G(10)),
            link(G(10), &LOCK, 0xe0, G(9)),
        ];
        let expected = [
            "goroutine 3 waits for the end of goroutine 6 (scope of a test), which waits for mutex 0xb0 held by goroutine 7 \
             (lock of a test), which waits for the end of goroutine 3 (join of a test)",
            "goroutine 9 waits for mutex 0xd0 held by goroutine 10 (lock of a test), which waits for mutex 0xe0 held by \
             goroutine 9 (lock of a test)",
        ];
        assert_eq!(described(&links), expected);
    }

    #[test]
    fn a_wait_that_may_end_says_so() {
        let (a, b) = (Party::G(1), Party::G(2));
        let mut links = [link(a, &LOCK, 0xa0, b), link(b, &LOCK, 0xb0, a)];
        links[1].1.may_end = true;
        let cycles = cycles_of(&links.into_iter().map(|(_, link)| link).collect());
        assert!(!cycles[0].is_closed());
        let text = describe(&cycles[0], &Parties::find(std::iter::empty()));
        assert!(text.ends_with("which waits for mutex 0xb0 held by goroutine 1 (lock of a test, for a limited time)"));
    }
}
