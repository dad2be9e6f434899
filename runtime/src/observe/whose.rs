//! Whose function it is: by the file that it stands in, or by its name, if there is no debug information.

use std::path::Path;

/// Who has written a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// pirn, with the stack switch and what walks up stacks.
    Ours,
    /// The standard library, or nobody knows.
    Std,
    /// Anybody else.
    User,
}

/// Our crates, as they are called in a registry's folders, and in names of functions.
const OURS: [(&str, &str); 4] = [
    ("pirn-runtime", "pirn_runtime"),
    ("pirn-channels", "pirn_channels"),
    ("corosensei", "corosensei"),
    ("backtrace", "backtrace"),
];

impl Whose {
    pub(super) fn by_file(file: &Path) -> Whose {
        if is_ours(file) {
            Whose::Ours
        } else if file.starts_with("/rustc") || file.to_string_lossy().contains("/library/") {
            Whose::Std
        } else {
            Whose::User
        }
    }

    /// `<a::Type as b::Trait>::function` was written by a or by b: by the user, if one of them is the user's.
    pub(super) fn by_name(name: &str) -> Whose {
        let (of, by) = self_and_trait(name);
        let crates = [crate_of(of), by.and_then(crate_of)];
        let mut known = crates.into_iter().flatten().map(|name| match name {
            "std" | "core" | "alloc" => Whose::Std,
            name if OURS.iter().any(|(_, ours)| *ours == name) => Whose::Ours,
            _ => Whose::User,
        });
        let first = known.next().unwrap_or(Whose::Std);
        match (first, known.next().unwrap_or(first)) {
            (Whose::User, _) | (_, Whose::User) => Whose::User,
            (Whose::Ours, _) | (_, Whose::Ours) => Whose::Ours,
            (Whose::Std, Whose::Std) => Whose::Std,
        }
    }
}

/// Whether a file is one of ours: in this repository, or where cargo unpacks crates, in `pirn-runtime-0.1.0/src`.
fn is_ours(file: &Path) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = here.parent().unwrap_or(here);
    let is_version =
        |rest: &str| rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_crate = |part: &str| OURS.iter().any(|(name, _)| part.strip_prefix(name).is_some_and(is_version));
    let in_src = file.iter().any(|part| part == "src");
    ["runtime", "channels"].iter().any(|krate| file.starts_with(beside.join(krate).join("src")))
        || in_src && file.iter().any(|part| part.to_str().is_some_and(is_crate))
}

/// What stands in the angle brackets that a name begins with, before and after the `as`; or the name.
fn self_and_trait(name: &str) -> (&str, Option<&str>) {
    let Some(inside) = name.strip_prefix('<') else { return (name, None) };
    let mut depth = 0;
    let mut splits = None;
    let mut before = ' ';
    for (at, c) in inside.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {}
            '>' if depth == 0 => {
                let inside = &inside[..at];
                return splits.map_or((inside, None), |at| (&inside[..at], Some(&inside[at + " as ".len()..])));
            }
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && inside[at..].starts_with(" as ") => splits = Some(at),
            _ => {}
        }
        before = c;
    }
    (inside, None)
}

/// The crate that a path begins with. None: it is a type without one, as `T` or `u8`.
fn crate_of(path: &str) -> Option<&str> {
    let mut path = path;
    loop {
        path = path.trim_start_matches(['&', '*', '(', '[', '<', ' ']);
        let words = ["mut ", "const ", "dyn "];
        let Some(rest) = words.iter().find_map(|word| path.strip_prefix(word)) else { break };
        path = rest;
    }
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    path[end..].starts_with("::").then_some(&path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are() {
        let by_name = |name: &str| Whose::by_name(name);
        for name in [
            "pirn_runtime::park::park",
            "pirn_runtime::join::JoinHandle<T>::join",
            "<pirn_runtime::join::JoinHandle<user::Type>>::join",
            "pirn_runtime::go::start::<user::main::{closure#0}, ()>",
            "<pirn_channels::channel::Receiver<T> as core::iter::Iterator>::next",
            "<T as pirn_runtime::timers::Fire>::fire",
            "<alloc::sync::Arc<T> as pirn_runtime::timers::Fire>::fire",
            "corosensei::arch::init",
            "backtrace::backtrace::trace_unsynchronized",
            "<core::panic::unwind_safe::AssertUnwindSafe<pirn_runtime::go::body<user::F>::{closure#0}> as \
             pirn_runtime::X>::call",
        ] {
            assert_eq!(by_name(name), Whose::Ours, "{name}");
        }
        for name in [
            "std::panicking::try",
            "<std::sync::poison::mutex::Mutex<user::Type>>::lock",
            "<core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once",
            "<F as core::ops::function::FnOnce<(pirn_runtime::G,)>>::call_once",
            "<fn() -> core::option::Option<T> as core::ops::function::FnOnce<()>>::call_once",
            "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            "clone3",
            "0x55d0c0ffee",
            "",
            "<",
        ] {
            assert_eq!(by_name(name), Whose::Std, "{name}");
        }
        for name in [
            "user::main::{{closure}}",
            "user::wrap::<pirn_runtime::go::Body, std::string::String>",
            "<user::Type as core::ops::drop::Drop>::drop",
            "<pirn_channels::channel::Receiver<T> as user::Extension>::ours",
            "<alloc::boxed::Box<dyn core::any::Any> as user::Extension>::ours",
            "<&mut user::Type>::method",
            "<*const dyn user::Trait as core::fmt::Debug>::fmt",
            "<fn() -> core::option::Option<T> as user::Extension>::ours",
            "pirn::main",
            "pirn_demo::main",
        ] {
            assert_eq!(by_name(name), Whose::User, "{name}");
        }
    }

    #[test]
    fn files_say_whose_they_are() {
        let by_file = |file: &str| Whose::by_file(Path::new(file));
        let registry = "/home/u/.cargo/registry/src/index-1949cf8c6b5b557f";
        assert_eq!(by_file(file!()), Whose::User, "a path that is not whole is the user's");
        assert_eq!(by_file(&format!("{}/src/go.rs", env!("CARGO_MANIFEST_DIR"))), Whose::Ours);
        assert_eq!(by_file(&format!("{registry}/pirn-runtime-0.1.0/src/go.rs")), Whose::Ours);
        assert_eq!(by_file(&format!("{registry}/backtrace-0.3.75/src/lib.rs")), Whose::Ours);
        assert_eq!(by_file(&format!("{registry}/pirn-runtime-extras-0.1.0/src/lib.rs")), Whose::User);
        assert_eq!(by_file("/rustc/5980761/library/std/src/panicking.rs"), Whose::Std);
        // A program whose own folder is called like that.
        assert_eq!(by_file("/home/u/pirn-demo/src/main.rs"), Whose::User);
        assert_eq!(by_file("/home/u/corosensei-demo/src/main.rs"), Whose::User);
    }
}
