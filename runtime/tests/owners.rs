//! Who waits, and who has what is waited for: a G, or a thread that runs no G.

mod common;

use common::runtime;
use pirn_runtime::internal::{Party, party_word};
use pirn_runtime::{current_gid, go, yield_now};
use std::thread;

fn caller() -> Party {
    Party::from_word(party_word()).expect("somebody calls")
}

fn thread_id() -> i32 {
    // SAFETY: gettid has no arguments and always works.
    unsafe { libc::gettid() }
}

#[test]
fn a_caller_is_its_g_or_its_thread() {
    assert_eq!(caller(), Party::Thread(thread_id()));
    assert_eq!(caller(), Party::Thread(thread_id()), "it is kept");
    let other = thread::spawn(|| assert_eq!(caller(), Party::Thread(thread_id())));
    other.join().expect("no panic");
    let rt = runtime(2);
    rt.run(|| {
        let g = || {
            let id = current_gid().expect("it is a G").as_u64();
            for _ in 0..100 {
                assert_eq!(caller(), Party::G(id));
                yield_now();
            }
        };
        let gs: Vec<_> = (0..10).map(|_| go(g)).collect();
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    assert_eq!(caller(), Party::Thread(thread_id()));
}

/// The child of a fork has another thread than the one that forked.
#[test]
fn the_child_of_a_fork_has_a_number_of_its_own() {
    let rt = runtime(1);
    let is_right = || {
        let parent = caller();
        // SAFETY: the child only asks who it is, and ends.
        match unsafe { libc::fork() } {
            0 => {
                let is_right = caller() == Party::Thread(thread_id()) && caller() != parent;
                // SAFETY: it may be called anywhere.
                unsafe { libc::_exit(i32::from(!is_right)) }
            }
            child => {
                let mut status = -1;
                // SAFETY: a valid place for a status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                status == 0
            }
        }
    };
    assert!(is_right(), "on a thread");
    assert!(rt.run(is_right), "on a G");
}
