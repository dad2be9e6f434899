//! Stacks in earnest. A test that must die, or that weighs the process, runs again in a process of its own.

use std::collections::HashSet;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io, thread};

use corosensei::{Coroutine, CoroutineResult};

use super::class::BATCH_SLOTS;
use super::*;
use crate::os::{self, AltStack, Guard};

/// Names the test that a child process is to run.
const CHILD: &str = "PIRN_STACK_TEST_CHILD";
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

/// Runs the test `name` in a process of its own and gives what came of it; `None` means: this is that
/// process.
fn in_child(name: &str) -> Option<Output> {
    in_child_after("", name)
}

/// The same, after a line of shell.
#[allow(clippy::disallowed_methods, reason = "the test talks to its own child process")]
fn in_child_after(prepare: &str, name: &str) -> Option<Output> {
    if std::env::var(CHILD).as_deref() == Ok(name) {
        return None;
    }
    let path = format!("{}::{name}", module_path!());
    let path = path.split_once("::").map_or(path.as_str(), |(_, inside)| inside);
    let exe = std::env::current_exe().expect("own path");
    let output = Command::new("sh")
        .args(["-c", &format!("{prepare}\nexec \"$0\" --exact --nocapture \"$1\"")])
        .arg(exe)
        .arg(path)
        .env(CHILD, name)
        .env("RUST_BACKTRACE", "0")
        .output();
    Some(output.expect("child process"))
}

/// Fails unless the child's test passed.
#[track_caller]
fn assert_passed(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    // A misspelt name would pass by running nothing.
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a byte at `address`.
///
/// # Safety
///
/// The address is writable, or the process is made to die of it.
unsafe fn touch(address: usize) {
    // SAFETY: promised by the caller.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
}

/// Uses `bytes` of a slot from its base down.
fn use_slot(slot: &Slot, bytes: usize) {
    for address in (slot.stack_base() - bytes..slot.stack_base()).step_by(4096) {
        // SAFETY: the slot is the caller's, and `bytes` is less than its size.
        unsafe { touch(address) };
    }
}

/// Resident memory, exactly.
fn resident_bytes() -> usize {
    // Not the pages of the program itself, of which the kernel maps many at a time.
    status_bytes("/proc/self/smaps_rollup", "Anonymous:")
}

/// The number of kilobytes that follows `key` in `file`.
fn status_bytes(file: &str, key: &str) -> usize {
    let text = fs::read_to_string(file).expect("proc");
    let line = text.lines().find(|line| line.starts_with(key)).expect("key");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("number") << 10
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("maps").lines().count()
}

fn describe(owner: *const (), out: &mut FaultWriter) {
    out.put("goroutine ");
    out.put_dec(owner.addr() as u64);
    out.put(" [test]\n");
}

/// Runs `body` on a slot of `class` that has an owner, with overflow reports on.
fn run_on_slot(class: Class, body: impl FnOnce() + 'static) {
    let _alt_stack = AltStack::install().expect("alternate stack");
    install_overflow_report(describe).expect("handler");
    let mut cache = Cache::new();
    let slot = cache.take(class).expect("slot");
    slot.set_owner(ptr::without_provenance(7));
    // SAFETY: the slot is given back after the coroutine has finished.
    let stack = unsafe { GStack::on(&slot) };
    let mut coroutine = Coroutine::<(), (), (), GStack>::with_stack(stack, move |_, ()| body());
    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    drop(coroutine);
    cache.give(slot);
}

#[inline(never)]
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 128]);
    if depth == 0 { 0 } else { recurse(depth - 1) + frame[depth % 128] }
}

#[test]
fn fitting_table() {
    assert_eq!(Class::fitting(0, 0), Some(Class::K64));
    for (class, next) in Class::ALL.into_iter().zip(Class::ALL.into_iter().skip(1).map(Some).chain([None])) {
        assert_eq!(Class::ALL[class.index()], class);
        assert_eq!(Class::fitting(class.size_bytes(), 0), Some(class));
        assert_eq!(Class::fitting(class.size_bytes() - 1, 0), Some(class));
        assert_eq!(Class::fitting(class.size_bytes() + 1, 0), next);
        assert!(class.usable_bytes() >= class.size_bytes() - class.guard_bytes() - 2048);
    }
    let sizes_kib = Class::ALL.map(|class| class.size_bytes() >> 10);
    assert_eq!(sizes_kib, [64, 256, 1024, 4096, 16 << 10, 64 << 10, 256 << 10, 1 << 20]);
    assert_eq!(Class::fitting(usize::MAX, 0), None);
    // A small room is counted in, a large one comes on top.
    assert_eq!(Class::fitting(64 << 10, 16 << 10), Some(Class::K64));
    assert_eq!(Class::fitting(64 << 10, (16 << 10) + 1), Some(Class::K256));
    assert_eq!(Class::fitting(64 << 10, 300_000), Some(Class::M1));
    assert_eq!(Class::fitting(1 << 30, 300_000), None);
    assert_eq!(Class::fitting(64 << 10, usize::MAX), None);
    assert_eq!(size_of::<Option<Slot>>(), 8);
}

#[test]
fn last_given_is_first_taken() {
    let mut cache = Cache::new();
    let first = cache.take(Class::K64).expect("slot");
    let second = cache.take(Class::K64).expect("slot");
    let (first_index, second_index) = (first.index(), second.index());
    assert_ne!(first_index, second_index);
    cache.give(first);
    cache.give(second);
    let again = cache.take(Class::K64).expect("slot");
    assert_eq!(again.index(), second_index);
    let held = cache.held(Class::K64);
    cache.give(again);
    assert_eq!(cache.held(Class::K64), held + 1);
    cache.flush();
    assert_eq!(cache.held(Class::K64), 0);
}

#[test]
fn ageing_hands_over_what_was_not_used() {
    let mut cache = Cache::new();
    let slots: Vec<Slot> = (0..40).map(|_| cache.take(Class::K64).expect("slot")).collect();
    slots.into_iter().for_each(|slot| cache.give(slot));
    cache.age();
    assert_eq!(cache.held(Class::K64), 16);
    let slot = cache.take(Class::K64).expect("slot");
    cache.give(slot);
    cache.age();
    assert_eq!(cache.held(Class::K64), 1);
    cache.age();
    assert_eq!(cache.held(Class::K64), 0);
}

/// Where there may be many stacks (`Class::slot_bytes`).
#[test]
fn tops_of_neighbours_are_an_odd_number_of_pages_apart() {
    let mut cache = Cache::new();
    for class in [Class::K64, Class::K256, Class::M1] {
        let slots: [Slot; 2] = [(); 2].map(|()| cache.take(class).expect("slot"));
        let pages = slots[0].end().abs_diff(slots[1].end()) / os::page_bytes();
        let apart = slots[0].index().abs_diff(slots[1].index()) as usize;
        assert_eq!((pages % apart, pages / apart % 2), (0, 1), "{class:?}");
        slots.into_iter().for_each(|slot| cache.give(slot));
    }
}

#[test]
fn layout_of_a_slot() {
    let mut cache = Cache::new();
    for class in Class::ALL {
        let slot = cache.take(class).expect("slot");
        let (base, limit) = (slot.stack_base(), slot.limit());
        assert_eq!(base % 64, 0);
        assert!(base - limit >= class.usable_bytes());
        assert!(base - limit <= class.size_bytes() - class.guard_bytes());
        slot.set_room(4112, 4000);
        assert_eq!((slot.stack_base(), slot.room_bytes()), (slot.end() - 4112, 4112));
        slot.clear_room();
        assert_eq!(slot.stack_base(), base);
        // SAFETY: both ends of the slot's usable part.
        unsafe { touch(base - 1) };
        // SAFETY: as above.
        unsafe { touch(limit) };
        slot.set_owner(ptr::without_provenance(9));
        let found = owner_of(limit).expect("owner");
        assert_eq!((found.class, found.index, found.owner.addr(), found.is_guard), (class, slot.index(), 9, false));
        assert!(owner_of(limit - 1).is_some_and(|found| found.index == slot.index() && found.is_guard));
        assert!(owner_of(base - 1).is_some_and(|found| found.index == slot.index()));
        cache.give(slot);
        assert!(owner_of(limit).is_some_and(|found| found.owner.is_null()));
        assert!(stats()[class.index()].out >= cache.held(class));
    }
    assert!(owner_of(&raw const cache as usize).is_none());
}

#[test]
fn errors_say_what_to_do() {
    let error = StackError::Refused { class: Class::K256, what: "to open more memory", errno: 12 };
    assert!(error.to_string().contains("Cannot allocate memory"));
    assert!(error.to_string().contains("(ulimit -v)"));
    let locked = StackError::Refused { class: Class::K256, what: "to reserve address space", errno: 11 };
    assert!(locked.to_string().contains("(ulimit -l)"));
    assert!(StackError::TooManyGuards { guards_max: 24_573 }.to_string().contains("raise vm.max_map_count"));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn a_coroutine_recurses_deep() {
    run_on_slot(Class::M64, || assert!(recurse(20_000) > 0));
}

/// Fails unless the child printed the overflow report and aborted.
#[track_caller]
fn assert_overflow_report(output: &Output, limit: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{} {text}", output.status);
    let start = text.find("fatal error: goroutine stack overflow\n").expect("report");
    let expected = format!(
        "fatal error: goroutine stack overflow\ngoroutine 7 [test]\nthe limit of this stack is {limit}; raise \
         it with GoBuilder::stack_size, Builder::stack_size or PIRN_STACK\n"
    );
    assert_eq!(&text[start..], expected);
}

#[test]
fn endless_recursion_is_reported() {
    match in_child("endless_recursion_is_reported") {
        Some(output) => assert_overflow_report(&output, "64 KiB (46 KiB usable)"),
        None => run_on_slot(Class::K64, || assert!(recurse(usize::MAX) > 0)),
    }
}

#[test]
fn frame_far_larger_than_the_stack_is_reported() {
    match in_child("frame_far_larger_than_the_stack_is_reported") {
        Some(output) => assert_overflow_report(&output, "256 KiB (238 KiB usable)"),
        None => run_on_slot(Class::K256, || {
            let mut frame = [0_u8; 10 << 20];
            black_box(&mut frame);
        }),
    }
}

#[test]
fn overflow_of_a_large_class_is_reported() {
    match in_child("overflow_of_a_large_class_is_reported") {
        Some(output) => assert_overflow_report(&output, "65536 KiB (65470 KiB usable)"),
        None => run_on_slot(Class::M64, || assert!(recurse(usize::MAX) > 0)),
    }
}

#[test]
fn overflow_into_an_mprotect_guard_is_reported() {
    match in_child("overflow_into_an_mprotect_guard_is_reported") {
        Some(output) => assert_overflow_report(&output, "256 KiB (238 KiB usable)"),
        None => {
            os::set_guard_backend(Guard::Mprotect);
            run_on_slot(Class::K256, || assert!(recurse(usize::MAX) > 0));
        }
    }
}

/// A wild pointer used on an ordinary thread is not an overflow, even if it points into a guard.
#[test]
fn wild_pointer_goes_to_the_earlier_handler() {
    if let Some(output) = in_child("wild_pointer_goes_to_the_earlier_handler") {
        assert_eq!(output.status.signal(), Some(SIGSEGV));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("goroutine"));
        return;
    }
    run_on_slot(Class::K256, || {});
    let slot = Cache::new().take(Class::K256).expect("slot");
    // SAFETY: it hits the guard, and the process is made to die of it.
    unsafe { touch(slot.limit() - 1) };
}

/// So is a null pointer used on a stack of ours.
#[test]
fn null_on_a_slot_goes_to_the_earlier_handler() {
    if let Some(output) = in_child("null_on_a_slot_goes_to_the_earlier_handler") {
        assert_eq!(output.status.signal(), Some(SIGSEGV));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("goroutine"));
        return;
    }
    // SAFETY: it hits the null page, and the process is made to die of it.
    run_on_slot(Class::K256, || unsafe { touch(black_box(8)) });
}

/// An ordinary thread that overflows still gets std's own message.
#[test]
fn thread_overflow_goes_to_std() {
    if let Some(output) = in_child("thread_overflow_goes_to_std") {
        assert_eq!(output.status.signal(), Some(SIGABRT));
        assert!(String::from_utf8_lossy(&output.stderr).contains("has overflowed its stack"));
        return;
    }
    install_overflow_report(describe).expect("handler");
    let _ = thread::spawn(|| recurse(usize::MAX)).join();
}

/// A parked G costs a page and its share of a page table, and no mapping.
#[test]
fn a_hundred_thousand_slots_are_small() {
    const COUNT: usize = 100_000;
    if let Some(output) = in_child("a_hundred_thousand_slots_are_small") {
        return assert_passed(&output);
    }
    let mut slots = Vec::with_capacity(COUNT);
    let mut cache = Cache::new();
    slots.extend(cache.take(Class::K256));
    let (before_bytes, tables_before_bytes) = (resident_bytes(), status_bytes("/proc/self/status", "VmPTE:"));
    while slots.len() < COUNT {
        let slot = cache.take(Class::K256).expect("slot");
        use_slot(&slot, 1000);
        slots.push(slot);
    }
    let page_bytes = (resident_bytes() - before_bytes) / COUNT;
    let table_bytes = (status_bytes("/proc/self/status", "VmPTE:") - tables_before_bytes) / COUNT;
    eprintln!("{page_bytes} + {table_bytes} bytes per slot, {} mappings", mappings());
    assert!((4090..4200).contains(&page_bytes), "{page_bytes}");
    assert!(table_bytes < 560, "{table_bytes}");
    assert!(mappings() < 100);
    slots.into_iter().for_each(|slot| cache.give(slot));
}

/// The top page of a large stack stays a small page, and its neighbour's guard shares its page table.
/// The first slots get their pages one by one, as few may be needed; later ones have their top page from the start.
#[test]
fn a_program_with_many_stacks_gets_their_top_pages_in_batches() {
    if let Some(output) = in_child("a_program_with_many_stacks_gets_their_top_pages_in_batches") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    let mut take = || {
        let slots: Vec<Slot> = (0..BATCH_SLOTS).map(|_| cache.take(Class::K256).expect("a stack")).collect();
        slots.iter().map(Slot::committed_bytes).collect::<Vec<_>>()
    };
    assert_eq!(take(), [0; BATCH_SLOTS]);
    if os::guard_backend() == Guard::Install {
        assert_eq!(take(), [os::page_bytes(); BATCH_SLOTS]);
    }
}

#[test]
fn large_classes_start_small() {
    if let Some(output) = in_child("large_classes_start_small") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    let first = cache.take(Class::M64).expect("slot");
    let (before_bytes, tables_before_bytes) = (resident_bytes(), status_bytes("/proc/self/status", "VmPTE:"));
    let slots: Vec<Slot> = (0..100).map(|_| cache.take(Class::M64).expect("slot")).collect();
    slots.iter().for_each(|slot| use_slot(slot, 1000));
    let page_bytes = (resident_bytes() - before_bytes) / 100;
    let table_bytes = (status_bytes("/proc/self/status", "VmPTE:") - tables_before_bytes) / 100;
    eprintln!("{page_bytes} + {table_bytes} bytes per slot");
    assert!(
        // One page each, and what the process itself touches meanwhile: two pages would be too much.
        page_bytes < 6000 && table_bytes < 5000,
        "{page_bytes} + {table_bytes}"
    );
    slots.into_iter().chain([first]).for_each(|slot| cache.give(slot));
}

/// A burst of deep stacks leaves little behind within two seconds, and its slots can be used again.
#[test]
fn a_burst_of_deep_stacks_is_scavenged() {
    const COUNT: usize = 1000;
    if let Some(output) = in_child("a_burst_of_deep_stacks_is_scavenged") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    let first = cache.take(Class::K256).expect("slot");
    let before_bytes = resident_bytes() + status_bytes("/proc/self/status", "VmPTE:");
    let mut now_ms = 1_000_000;
    let _ = scavenge(now_ms, |_| false);
    let slots: Vec<Slot> = (0..COUNT).map(|_| cache.take(Class::K256).expect("slot")).collect();
    slots.iter().for_each(|slot| use_slot(slot, 64 << 10));
    let indexes: HashSet<u32> = slots.iter().map(Slot::index).collect();
    slots.into_iter().for_each(|slot| cache.give(slot));
    assert!(resident_bytes() > before_bytes + COUNT * (60 << 10));
    cache.flush();

    let mut trimmed_bytes = 0;
    let mut more = More::Later;
    for _ in 0..4 {
        now_ms += 500;
        // However many there are, a round ends in its time if the calls come one after the other.
        for _ in 0..COUNT {
            let scavenged = scavenge(now_ms, |_| false);
            trimmed_bytes += scavenged.bytes;
            more = scavenged.more;
            if more != More::Now {
                break;
            }
        }
    }
    assert_eq!(more, More::Never);
    assert!(trimmed_bytes > COUNT * (60 << 10), "{trimmed_bytes}");
    let left_bytes = (resident_bytes() + status_bytes("/proc/self/status", "VmPTE:") - before_bytes) / COUNT;
    eprintln!("{left_bytes} bytes per slot are left");
    assert!(left_bytes <= 1500, "{left_bytes}");

    let slots: Vec<Slot> = (0..COUNT).map(|_| cache.take(Class::K256).expect("slot")).collect();
    let again = slots.iter().filter(|slot| indexes.contains(&slot.index())).count();
    assert!(again >= COUNT - 64, "{again}");
    for slot in &slots {
        use_slot(slot, 200 << 10);
        assert!(owner_of(slot.limit() - 1).is_some_and(|found| found.is_guard));
    }
    slots.into_iter().chain([first]).for_each(|slot| cache.give(slot));
    drop(cache);
    assert!(scavenge_all(|_| false) >= COUNT * (200 << 10));
}

/// Slots in steady use are left alone.
#[test]
fn slots_in_use_are_not_scavenged() {
    if let Some(output) = in_child("slots_in_use_are_not_scavenged") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    let mut now_ms = 0;
    for round in 0..20 {
        let slots: Vec<Slot> = (0..500).map(|_| cache.take(Class::K64).expect("slot")).collect();
        slots.iter().for_each(|slot| use_slot(slot, 32 << 10));
        slots.into_iter().for_each(|slot| cache.give(slot));
        now_ms += 250;
        let scavenged = scavenge(now_ms, |_| false);
        assert!(scavenged.bytes < 64 * (32 << 10), "round {round}: {scavenged:?}");
    }
}

/// What a room at the top holds survives trimming if its user asked for that.
#[test]
fn kept_rooms_survive() {
    if let Some(output) = in_child("kept_rooms_survive") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    let slot = cache.take(Class::K256).expect("slot");
    assert_eq!(slot.room_bytes(), 0);
    use_slot(&slot, 64 << 10);
    slot.set_room(6016, 5000);
    let end = slot.end();
    assert_eq!(slot.stack_base(), end - 6016);
    for address in [end - 5000, end - 1] {
        // SAFETY: in the room.
        unsafe { touch(address) };
    }
    cache.give(slot);
    cache.flush();
    assert!(scavenge_all(|_| false) >= 56 << 10);
    let byte_at = |address| {
        // SAFETY: in the slot, which nobody else uses in this process.
        unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() }
    };
    let resident = |start, bytes| os::Residency::open().bytes(os::Span { start, bytes });
    assert_eq!((resident(end - 8192, 8192), resident(end - (32 << 10), 24 << 10)), (8192, 0));
    assert_eq!((byte_at(end - 5000), byte_at(end - 1)), (1, 1));
    let mut taken = Vec::new();
    while taken.last().is_none_or(|slot: &Slot| slot.room_bytes() != 6016) {
        taken.push(cache.take(Class::K256).expect("slot"));
    }
    assert!(taken.pop().is_some_and(|slot| slot.end() == end));
}

/// Two threads, each taking and giving at random with many spills, never hold the same slot.
#[test]
fn no_slot_is_handed_out_twice() {
    static TAKEN: [AtomicBool; 1 << 14] = [const { AtomicBool::new(false) }; 1 << 14];
    let taker = |seed: u64| {
        let mut random = seed;
        let mut cache = Cache::new();
        let mut held: Vec<Slot> = Vec::new();
        for step in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Long runs up and down, so that the caches overflow and run dry.
            if held.len() < 1000 && (random >> 40) % 8 < if step / 1000 % 2 == 0 { 6 } else { 2 } {
                let slot = cache.take(Class::M1).expect("slot");
                assert!(!TAKEN[slot.index() as usize].swap(true, Ordering::AcqRel));
                held.push(slot);
            } else if let Some(slot) = held.pop() {
                assert!(TAKEN[slot.index() as usize].swap(false, Ordering::AcqRel));
                cache.give(slot);
            }
            if step % 5000 == 0 {
                cache.age();
                let _ = scavenge(step, |_| false);
            }
        }
        for slot in held {
            TAKEN[slot.index() as usize].store(false, Ordering::Release);
            cache.give(slot);
        }
    };
    thread::scope(|scope| [1, 2].map(|seed| scope.spawn(move || taker(seed))).map(|one| one.join().expect("taker")));
}

/// Where guards cost mappings there is an end, with a clear error, and it leaves the process healthy.
#[test]
fn mprotect_guards_are_capped() {
    if let Some(output) = in_child("mprotect_guards_are_capped") {
        return assert_passed(&output);
    }
    os::set_guard_backend(Guard::Mprotect);
    let mut cache = Cache::new();
    let mut slots = Vec::new();
    let error = loop {
        match cache.take(Class::K64) {
            Ok(slot) => slots.push(slot),
            Err(error) => break error,
        }
    };
    assert_eq!(error, StackError::TooManyGuards { guards_max: slots.len() });
    assert!(mappings() < os::max_map_count() * 4 / 5);
    cache.give(slots.pop().expect("many slots"));
    slots.extend(cache.take(Class::K64));
    slots.iter().for_each(|slot| use_slot(slot, 1000));
    slots.into_iter().for_each(|slot| cache.give(slot));
    drop(cache);
    assert!(scavenge_all(|_| false) > 0);
}

/// A limit on address space makes the arenas smaller, not impossible.
#[test]
fn limited_address_space_is_enough() {
    if let Some(output) = in_child_after("ulimit -v 8000000", "limited_address_space_is_enough") {
        return assert_passed(&output);
    }
    let mut cache = Cache::new();
    for class in [Class::K256, Class::K64] {
        let slots: Vec<Slot> = (0..1000).map(|_| cache.take(class).expect("slot")).collect();
        slots.iter().for_each(|slot| use_slot(slot, 1000));
        slots.into_iter().for_each(|slot| cache.give(slot));
        assert!(stats()[class.index()].reserved_bytes < 8_000_000 << 10);
    }
    // There is room for few of these, and then an error says so.
    let mut slots = Vec::new();
    let error = loop {
        match cache.take(Class::G1) {
            Ok(slot) => slots.push(slot),
            Err(error) => break error,
        }
    };
    assert!(slots.len() < 8 && !error.to_string().is_empty());
}
