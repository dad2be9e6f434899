//! What a panic on a G prints: the message of std for a thread, with the G's name and number, in one write.
//!
//! std's own hook takes the name from the thread: a G with thread-locals of its own looks like a thread without a name.
//! So if std's hook is set, a hook of ours prints the whole message for Gs and leaves threads to std's. If the program
//! has set a hook of its own before the first runtime, or sets one later, only that runs; it may ask
//! [`current`](crate::current) for the G.

use super::env::{Backtraces, backtraces};
use crate::g::G;
use crate::park::current_g;
use crate::probe::last_words;
use std::backtrace::Backtrace;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, Ordering};

type Hook = dyn Fn(&PanicHookInfo<'_>) + Sync + Send;

/// Makes panics on Gs print which G it is.
pub(super) fn name_gs() {
    if std::thread::panicking() {
        // A thread that panics cannot change the hook, so messages stay as std writes them.
        return;
    }
    let set = take_hook();
    // No hook is set now, so this is std's. A program that sets one from another thread at this very moment may lose
    // it, as always between taking a hook and setting one.
    let std = take_hook();
    if !is_same(&*set, &*std) {
        set_hook(set);
        return;
    }
    let backtraces = backtraces();
    set_hook(Box::new(move |info| match current_g() {
        // Its call failed because its runtime closes: it is unwound, as all others are, without a word.
        Some(g) if g.is_cancelled.get() => {}
        Some(g) => last_words(message(g, info, backtraces).as_bytes()),
        None => std(info),
    }));
}

/// Whether both are the same function. Boxes of functions and of closures that capture nothing have the same address,
/// so what is compared is the type, by its vtable. Two of one type might have different ones in theory; then std's
/// hook is taken for the program's, and says less.
fn is_same(a: &Hook, b: &Hook) -> bool {
    std::ptr::eq(a, b)
}

/// The whole message.
fn message(g: &G, info: &PanicHookInfo<'_>, backtraces: Backtraces) -> String {
    static HAS_ADVISED: AtomicBool = AtomicBool::new(false);
    let name = g.name();
    let name = name.as_deref().unwrap_or("<unnamed>");
    let id = g.id();
    let started = g.birthplace().map(|place| format!(", started at {place}")).unwrap_or_default();
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let payload = info.payload();
    let what = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("Box<dyn Any>");
    let more = match backtraces {
        Backtraces::Full => format!("stack backtrace:\n{:#}", Backtrace::force_capture()),
        Backtraces::Short => format!(
            "stack backtrace:\n{}note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
            users_frames(&Backtrace::force_capture().to_string())
        ),
        Backtraces::Off if HAS_ADVISED.swap(true, Ordering::Relaxed) => String::new(),
        Backtraces::Off => "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n".to_owned(),
    };
    format!("\nthread '{name}' (goroutine {id}{started}) panicked{place}:\n{what}\n{more}")
}

/// The frames between the two that std and `go` mark by their names, numbered from 0; all if there is no mark, as in a
/// program without symbols.
fn users_frames(text: &str) -> String {
    const AFTER: &str = "__rust_end_short_backtrace";
    const BEFORE: &str = "__rust_begin_short_backtrace";
    // A frame begins with a line that has its number; its other lines have none.
    let begins =
        |line: &str| line.trim_start().split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let mut frames: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        match frames.last_mut() {
            Some(frame) if !begins(line) => frame.push(line),
            _ => frames.push(vec![line]),
        }
    }
    let at = |mark: &str| frames.iter().position(|frame| frame[0].contains(mark));
    let first = at(AFTER).map_or(0, |at| at + 1);
    let end = at(BEFORE).filter(|at| *at >= first).unwrap_or(frames.len());
    let mut shown = String::new();
    for (number, frame) in frames[first..end].iter().enumerate() {
        let (_, what) = frame[0].split_once(": ").unwrap_or(("", frame[0]));
        shown.push_str(&format!("{number:4}: {what}\n"));
        frame[1..].iter().for_each(|line| shown.extend([line, "\n"]));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::users_frames;

    #[test]
    fn frames_between_the_marks_are_shown() {
        let text = "   0: pirn::hook\n             at ./a.rs:1:2\n   9: std::sys::backtrace::__rust_end_short_backtrace\n  \
                    10: core::panicking::panic_fmt\n  11: app::f::{{closure}}\n             at ./src/main.rs:3:4\n  \
                    12: pirn_runtime::go::__rust_begin_short_backtrace\n             at ./go.rs:1:1\n  13: _start\n";
        let shown = "   0: core::panicking::panic_fmt\n   1: app::f::{{closure}}\n             at ./src/main.rs:3:4\n";
        assert_eq!(users_frames(text), shown);
        // Without symbols everything is shown.
        let bare = "   0: <unknown>\n   1: <unknown>\n";
        assert_eq!(users_frames(bare), bare);
        assert_eq!(users_frames(""), "");
    }
}
