//! A program whose thread-locals are larger than a stack, reach farther than a MiB, and are aligned to more than a page.

mod common;

use common::{
    builder, child_case, house, isolated, scale, shares_thread_locals, subprocess, threads_of, wait_until_asleep,
};
use pirn_runtime::{GoBuilder, sleep, stack_use, yield_now};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::time::Duration;

const KIB: usize = 1 << 10;
const LARGE_BYTES: usize = 1_500_000;

#[repr(align(65536))]
struct Aligned(Cell<u64>, Cell<[u8; 100]>);

thread_local! {
    static LARGE: RefCell<[u8; LARGE_BYTES]> = const { RefCell::new([3; LARGE_BYTES]) };
    static ALIGNED: Aligned = const { Aligned(Cell::new(0x1234), Cell::new([7; 100])) };
}

/// Uses both ends of the large one, and the aligned one, over two suspensions. Whether each was as it has to be.
fn use_all(i: u8) -> bool {
    let begins_afresh = LARGE.with(|large| {
        let mut large = large.borrow_mut();
        let fresh = large[0] == 3 && large[LARGE_BYTES - 1] == 3;
        (large[0], large[LARGE_BYTES - 1]) = (i, i);
        yield_now();
        sleep(Duration::from_micros(200));
        fresh && large[0] == i && large[LARGE_BYTES - 1] == i
    });
    let aligned = ALIGNED.with(|aligned| {
        let fresh = aligned.0.get() == 0x1234 && aligned.1.get() == [7; 100];
        aligned.0.set(u64::from(i));
        aligned.1.set([i; 100]);
        yield_now();
        let place = std::ptr::from_ref(aligned).addr();
        fresh && place % 65536 == 0 && aligned.0.get() == u64::from(i) && aligned.1.get() == [i; 100]
    });
    begins_afresh && aligned
}

#[test]
fn large_thread_locals_lie_beside_the_stack_that_was_asked_for() {
    let rt = isolated(2);
    for bytes in [64 * KIB, 256 * KIB, 1024 * KIB] {
        for round in 0..3_u8 {
            let gs: Vec<_> = (0..scale(8, 32) as u8)
                .map(|i| {
                    let g = GoBuilder::new().stack_size(bytes);
                    let all_right = move || {
                        // What was asked for can be used, but for the guard and the colour.
                        let stack = stack_use().expect("on a G");
                        assert!(stack.limit_bytes >= bytes - 18 * KIB, "{stack:?}");
                        assert!(stack.used_bytes < stack.limit_bytes, "{stack:?}");
                        use_all(100 + i)
                    };
                    rt.handle().try_go_with(g, all_right).expect("it fits")
                })
                .collect();
            for g in gs {
                assert!(g.join().expect("no panic"), "{bytes} bytes, round {round}");
            }
            if round == 1 {
                // So that free stacks give back their memory, all but what a block must keep: longer than the scavenger rests.
                wait_until_asleep(|| threads_of(&(rt.thread_prefix() + "sysmon")), 700);
            }
        }
    }
}

#[test]
fn a_stack_that_fits_only_without_the_thread_locals_is_refused() {
    let rt = house(builder().procs(1));
    let error =
        rt.handle().try_go_with(GoBuilder::new().stack_size(1 << 30), || ()).expect_err("1 GiB and thread-locals");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("1073741824 bytes and the "), "{text}");
    let room: usize = text.split("and the ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number");
    assert!((LARGE_BYTES..LARGE_BYTES + 1024 * KIB).contains(&room), "{text}");
    let error = builder().stack_size(1 << 30).build().expect_err("as above").to_string();
    assert_eq!(error, text);
}

#[expect(unconditional_recursion, reason = "that is the point")]
#[inline(never)]
fn for_ever(n: usize) -> usize {
    let frame = black_box([n; 16]);
    for_ever(n + 1) + black_box(frame)[3]
}

#[test]
fn an_overflow_beside_large_thread_locals_says_what_was_left() {
    const TEST: &str = "an_overflow_beside_large_thread_locals_says_what_was_left";
    if child_case(TEST).is_some() {
        let rt = house(builder().procs(1).stack_size(64 * KIB));
        let g = rt.go(|| {
            eprintln!("limit {}", stack_use().expect("on a G").limit_bytes / KIB);
            for_ever(0)
        });
        g.join().expect("not reached");
    }
    let ended = subprocess(TEST, "", &[]);
    let limit = ended.stderr.lines().find_map(|line| line.strip_prefix("limit ")).expect("it was said");
    let limit: usize = limit.parse().expect("a number");
    ended.expect_says("the limit of this stack is 4096 KiB (");
    let said = ended.stderr.split(" KiB usable").next().and_then(|s| s.rsplit('(').next()).expect("it was said");
    let usable: usize = said.parse().expect("a number");
    // Where a stack begins differs by 2 KiB from slot to slot.
    assert!((usable..=usable + 2).contains(&limit), "{ended:#?}");
    assert!(shares_thread_locals() || usable < 4096 - 64 - LARGE_BYTES / KIB, "{ended:#?}");
}
