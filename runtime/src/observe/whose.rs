//! Whose function it is: by the file that it is in, or by its name if there is no debug information. The file comes first:
//! with line tables only, an inlined function has no crate in its name, and the name of a generic function may begin with
//! a type of the user's.
//!
//! Our crates are not listed: all are called `pirn-something`, and a user's crate may be too. So the runtime itself and
//! the family of these crates are distinguished, and a trace with no other functions shows the family (`trace.rs`).

use std::path::Path;

/// The author of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The runtime, with the stack switch and what walks up stacks.
    Ours,
    /// A crate with a name like ours.
    Family,
    /// The standard library, or unknown.
    Std,
    /// Any other.
    User,
}

/// This crate, as it is called in names of functions.
const RUNTIME: &str = env!("CARGO_CRATE_NAME");

/// The prefix of the names of our crates.
const FAMILY: &str = "pirn_";

/// The crates of others that only the runtime calls: the stack switch, and what walks up stacks.
const CALLED_BY_US: [&str; 2] = ["corosensei", "backtrace"];

impl Whose {
    pub(super) fn by_file(file: &Path) -> Whose {
        if let Some(whose) = by_folder(file) {
            whose
        } else if file.starts_with("/rustc") || file.to_string_lossy().contains("/library/") {
            Whose::Std
        } else {
            Whose::User
        }
    }

    /// `<a::Type as b::Trait>::function` was written by a or by b: by the user, if one of them is the user's.
    pub(super) fn by_name(name: &str) -> Whose {
        let (of, by) = self_and_trait(name);
        let known: Vec<Whose> = [crate_of(of), by.and_then(crate_of)].into_iter().flatten().map(by_crate).collect();
        let writers = [Whose::User, Whose::Family, Whose::Ours];
        writers.into_iter().find(|whose| known.contains(whose)).unwrap_or(Whose::Std)
    }
}

/// The author of a crate.
fn by_crate(name: &str) -> Whose {
    match name {
        "std" | "core" | "alloc" => Whose::Std,
        name if name == RUNTIME || CALLED_BY_US.contains(&name) => Whose::Ours,
        name if name.starts_with(FAMILY) => Whose::Family,
        _ => Whose::User,
    }
}

/// The author of a file, if its folder shows that it is not the user's: a file in the repository of this crate, or one
/// in a folder to which cargo has unpacked a crate, such as `pirn-runtime-0.1.0/src`.
fn by_folder(file: &Path) -> Option<Whose> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if file.starts_with(here.join("src")) {
        return Some(Whose::Ours);
    }
    let in_src = file.iter().any(|part| part == "src");
    let name = |part: &str| unpacked(part).map(|name| name.replace('-', "_"));
    let of_crate = |part: &std::ffi::OsStr| part.to_str().and_then(name).map(|name| by_crate(&name));
    if let Some(whose) = file.iter().filter_map(of_crate).find(|whose| in_src && *whose != Whose::User) {
        return Some(whose);
    }
    // Crates that cargo has unpacked lie beside all others.
    let is_unpacked = here.file_name().and_then(|folder| folder.to_str()).is_some_and(|name| unpacked(name).is_some());
    let beside = file.strip_prefix(here.parent().filter(|_| !is_unpacked)?).ok()?;
    (beside.iter().nth(1)? == "src").then_some(Whose::Family)
}

/// The name of a crate whose folder is called `name-1.2.3`.
fn unpacked(folder: &str) -> Option<&str> {
    let is_version = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let at = folder.match_indices('-').map(|(at, _)| at).find(|at| is_version(&folder[at + 1..]))?;
    Some(&folder[..at])
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

/// The crate that a path begins with. None if it is a type without one, as `T` or `u8`.
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
        ] {
            assert_eq!(by_name(name), Whose::User, "{name}");
        }
        for name in [
            "<pirn_channels::channel::Receiver<T> as core::iter::Iterator>::next",
            "<pirn_channels::channel::Receiver<T> as pirn_runtime::timers::Fire>::fire",
            "pirn_of_tomorrow::wait",
        ] {
            assert_eq!(by_name(name), Whose::Family, "{name}");
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
        assert_eq!(by_file(&format!("{registry}/pirn-channels-0.1.0/src/lib.rs")), Whose::Family);
        assert_eq!(by_file(&format!("{registry}/pirn-runtime-extras-0.1.0/src/lib.rs")), Whose::Family);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        if beside.join("channels").exists() {
            assert_eq!(Whose::by_file(&beside.join("channels/src/lib.rs")), Whose::Family);
            assert_eq!(Whose::by_file(&beside.join("channels/tests/select.rs")), Whose::User);
            assert_eq!(Whose::by_file(&beside.join("src/lib.rs")), Whose::User);
        }
        assert_eq!(by_file(&format!("{registry}/regex-1.11.2/src/lib.rs")), Whose::User);
        assert_eq!(by_file("/rustc/5980761/library/std/src/panicking.rs"), Whose::Std);
        // A program whose own folder is called like that.
        assert_eq!(by_file("/home/u/pirn-demo/src/main.rs"), Whose::User);
        assert_eq!(by_file("/home/u/corosensei-demo/src/main.rs"), Whose::User);
    }
}
