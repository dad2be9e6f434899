//! Locks as a crate above has them, by numbers: they say who has them and who waits.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

use pirn_runtime::Unparker;
use pirn_runtime::internal::{
    Kind, Owner, Party, Reason, Wait, WaitSource, add_waits, has_come, now, now_ns, on_unwind, park_on, park_until,
    party_word,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, Once};
use std::time::Instant;

pub(crate) static LOCK: Reason = Reason::new("lock of a test", Kind::Object("mutex")).with_owner(owner);

struct Table {
    held: BTreeMap<usize, Owner>,
    waits: Vec<(Wait, Unparker)>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { held: BTreeMap::new(), waits: Vec::new() });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(|e| e.into_inner())
}

fn owner(what: usize) -> Option<Owner> {
    table().held.get(&what).copied()
}

fn longest() -> Option<u64> {
    let table = table();
    table.waits.iter().filter(|(wait, _)| table.held.contains_key(&wait.what)).map(|(wait, _)| wait.since_ns).min()
}

fn each(say: &mut dyn FnMut(Wait)) {
    let table = table();
    let is_held = |wait: &Wait| table.held.contains_key(&wait.what);
    let waits: Vec<_> = table.waits.iter().map(|(wait, _)| *wait).filter(is_held).collect();
    drop(table);
    waits.into_iter().for_each(say);
}

/// Who calls.
pub(crate) fn caller() -> Party {
    Party::from_word(party_word()).expect("somebody calls")
}

/// Tells the runtime of the locks.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| add_waits(WaitSource { longest, each }));
}

/// Locks, or waits for that until `deadline`.
pub(crate) fn lock_until(what: usize, deadline: Option<Instant>) -> bool {
    register();
    let me = caller();
    let withdraw = || table().waits.retain(|(wait, _)| wait.party != me);
    let unwound = on_unwind(withdraw);
    let locked = loop {
        let mut all = table();
        if let std::collections::btree_map::Entry::Vacant(free) = all.held.entry(what) {
            free.insert(Owner { party: me, since: Some(now()) });
            break true;
        }
        if all.waits.iter().all(|(wait, _)| wait.party != me) {
            let wait = Wait { party: me, reason: &LOCK, what, since_ns: now_ns(), may_end: deadline.is_some() };
            all.waits.push((wait, Unparker::current()));
        }
        drop(all);
        match deadline {
            None => park_on(&LOCK, what),
            Some(deadline) if has_come(deadline) => break false,
            Some(deadline) => park_until(&LOCK, what, deadline),
        }
    };
    unwound.disarm();
    withdraw();
    locked
}

pub(crate) fn lock(what: usize) {
    lock_until(what, None);
}

pub(crate) fn unlock(what: usize) {
    let mut table = table();
    table.held.remove(&what);
    let told: Vec<_> =
        table.waits.iter().filter(|(wait, _)| wait.what == what).map(|(_, unparker)| unparker.clone()).collect();
    drop(table);
    told.iter().for_each(Unparker::unpark);
}
