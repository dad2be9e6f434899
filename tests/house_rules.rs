//! The rules of the house that a machine can check. ARCHITECTURE.md says what they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Uses of a room by one below it, that there are for now. Each has its reason; one that is no longer needed is an
/// error, so that the list only gets shorter.
const UPWARD: &[(&str, &str, &str)] = &[
    ("g", "sched", "the record points to its runtime; only the type"),
    ("g", "m", "the record points to the M that it is locked to; only the type"),
    ("m", "sched", "the record points to its runtime; only the type"),
];

/// What may be written only in these files, which are the runtime's where no crate is named; all other code has to go
/// through them. Test code is free, except where a door says otherwise.
const DOORS: &[(&str, &[&str])] = &[
    ("libc::", &["os/", "net/src/sys.rs", "net/src/sys_signals.rs", "hook/src/"]),
    // The observer leaves its frames out.
    ("corosensei", &["coro/", "stack/slot.rs", "observe/whose.rs"]),
    // The backtrace of a panic is std's, as its message is made like std's.
    ("backtrace::", &["os/", "observe/trace.rs", "boot/panics.rs"]),
    // The self-test of a G's own thread-locals needs some to look at; what a G has of its own, a thread has there.
    ("thread_local!", &["m/current.rs", "locals/self_test.rs", "g_local.rs", "os/linux/lock.rs"]),
    // What happens is said by `emit`, which counts it and has it told; what is no event is a warning.
    ("tally", &["event/", "m/emit.rs", "p/owned.rs"]),
    ("tracing::", &["event/subscriber.rs", "sysmon/output.rs"]),
    ("std::env", &["boot/env.rs"]),
    ("println!", &[]),
    ("eprint!", &[]),
    ("print!", &[]),
    ("dbg!", &[]),
    ("std::process", &["os/", "net/src/process.rs"]),
    ("_mm_", &["os/"]),
    ("asm!", &["os/", "m/current.rs", "coro/"]),
    // An M sleeps in one place. The others are threads that are no Ms: the template, sysmon, a user's.
    ("thread::park", &["clock/", "sched/template.rs", "park/"]),
    ("park_thread(", &["clock/", "m/sleep.rs", "park/"]),
    ("rest_thread(", &["clock/", "sysmon/"]),
    // Time and randomness, so that a test can set both. Below the clock `os` waits for others in real time.
    ("monotonic_ns", &["os/", "clock/"]),
    ("Instant::now", &["clock/"]),
    ("SystemTime", &[]),
    ("thread::park_timeout", &["clock/"]),
    // A pause between two looks, as no wake comes. No time is measured by it.
    ("thread::sleep", &["clock/", "os/", "boot/stop.rs", "sched/machines.rs", "sysmon/output.rs", "wait/lock.rs"]),
    ("fn random", &["clock/", "p/", "internal.rs"]),
    ("RandomState", &[]),
    ("getrandom", &[]),
];

/// Rooms whose files may use each other in circles: the scheduler is the one knot, kept in one room.
const KNOTS: &[&str] = &["sched"];

/// A file is no longer than this without its tests.
const LINES_MAX: usize = 500;

/// Crates beside the line that keep some of its rules.
const BESIDE: &[&str] = &["benches", "benches/compare"];

/// A published crate below the root.
struct Crate {
    /// As cargo calls it.
    name: String,
    folder: String,
}

/// The crates in their line: each uses only those before it. `ci/crates` reads them from `Cargo.toml`.
fn crates() -> &'static [Crate] {
    static CRATES: OnceLock<Vec<Crate>> = OnceLock::new();
    CRATES.get_or_init(|| {
        let output = Command::new(root().join("ci/crates")).output().expect("ci/crates is a program");
        assert!(output.status.success(), "ci/crates: {output:?}");
        let text = String::from_utf8(output.stdout).expect("names are UTF-8");
        let of_line = |line: &str| {
            let (name, folder) = line.split_once(' ').expect("a name and a folder");
            Crate { name: name.to_owned(), folder: folder.to_owned() }
        };
        let crates: Vec<_> = text.lines().map(of_line).collect();
        assert!(crates.len() >= 2, "the crates are not where they were: {text}");
        crates
    })
}

/// A file of a crate.
struct Source {
    /// The crate's folder.
    krate: &'static str,
    /// Below `src` in that, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.ends_with("_loom.rs") || self.path.contains("/tests/")
    }

    /// The room that it belongs to.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The lines before the tests, if they are in the same file.
    fn lines(&self) -> Vec<&str> {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = |pair: &[&str]| {
            ["#[cfg(test)]", "#[cfg(all(test, not(loom)))]"].contains(&pair[0]) && pair[1].starts_with("mod tests {")
        };
        let end = lines.windows(2).position(tests).unwrap_or(lines.len());
        lines[..end].to_vec()
    }

    /// Those lines without comments.
    fn code(&self) -> Vec<&str> {
        self.lines().into_iter().map(|line| line.split("//").next().unwrap_or_default()).collect()
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{}", self.name(), line + 1)
    }

    fn name(&self) -> String {
        format!("{}/src/{}", self.krate, self.path)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the runtime.
fn sources() -> Vec<Source> {
    let sources = sources_of("runtime");
    assert!(sources.len() > 20, "the sources are not where they were");
    sources
}

/// Every file of all crates.
fn all_sources() -> Vec<Source> {
    crates().iter().flat_map(|krate| sources_of(&krate.folder)).collect()
}

fn sources_of(krate: &'static str) -> Vec<Source> {
    let mut sources = Vec::new();
    let src = root().join(krate).join("src");
    collect(krate, &src, &src, &mut sources);
    let has_root = sources.iter().any(|source| ["lib.rs", "main.rs"].contains(&source.path.as_str()));
    assert!(has_root, "{krate} has neither lib.rs nor main.rs");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(krate: &'static str, dir: &Path, src: &Path, into: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("a folder of the sources") {
        let path = entry.expect("a file of the sources").path();
        if path.is_dir() {
            collect(krate, &path, src, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let below = path.strip_prefix(src).expect("it was found there");
            into.push(Source {
                krate,
                path: below.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&path).expect("sources are UTF-8"),
            });
        }
    }
}

/// The folders of the crates.
fn folders() -> impl Iterator<Item = &'static str> {
    crates().iter().map(|krate| krate.folder.as_str())
}

/// The rooms of a crate from the top floor to the ground, as its lib.rs lists them.
fn rooms(krate: &str) -> Vec<String> {
    let lib = read(&format!("{krate}/src/lib.rs"));
    lib.lines().filter_map(|line| Some(room_of(line)?.0.to_owned())).filter(|name| !name.ends_with("_loom")).collect()
}

/// The room that this line of a lib.rs lists, and what follows it.
fn room_of(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.split_once(';')
}

/// What is wrong, one line each, as one panic.
fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What stands between two texts, every time.
fn all_between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(after)?.0)).collect()
}

/// The names that begin here: letters, digits, underscores.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The first parts of what is used by `crate::...`, groups included. What macros expand to (`$crate::...`) is the user's.
fn used_rooms(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    let uses = code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with('$'));
    for rest in uses.map(|(at, found)| &code[at + found.len()..]) {
        match rest.strip_prefix('{') {
            None => used.push(word(rest)),
            Some(group) => {
                // The first words of the parts, and of no inner group.
                let mut depth = 0;
                let mut first = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => first = true,
                        c if first && !c.is_whitespace() => {
                            used.push(word(&group[at..]));
                            first = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

/// The words of a line.
fn all_words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

#[test]
fn groups_and_paths_are_understood() {
    assert_eq!(
        used_rooms("use crate::{g::{G, Gid}, p,\n os::now_ns}; $crate::no crate::config::X + super::y"),
        ["g", "p", "os", "config"]
    );
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    let mut needed = BTreeSet::new();
    let mut wrong = Vec::new();
    for krate in folders() {
        uses_upward(krate, &mut needed, &mut wrong);
    }
    for (from, to, _) in UPWARD {
        if !needed.contains(&(*from, *to)) {
            wrong.push(format!("{from} no longer uses {to}: take it off the list"));
        }
    }
    report(wrong);
}

#[test]
fn lib_lists_rooms_and_nothing_else() {
    let mut wrong = Vec::new();
    for krate in folders() {
        let lib = read(&format!("{krate}/src/lib.rs"));
        let lines: Vec<_> = lib.lines().collect();
        let is_room = |line: &str| line.strip_prefix("pub ").unwrap_or(line).starts_with("mod ");
        for pair in lines.windows(2).filter(|pair| pair[0].starts_with("#[") && is_room(pair[1])) {
            wrong.push(format!("{krate}/src/lib.rs: {} {}: say it inside the room", pair[0], pair[1]));
        }
    }
    report(wrong);
}

/// Those of one crate: what is on the list goes to `needed`, and what is not to `wrong`.
fn uses_upward(krate: &'static str, needed: &mut BTreeSet<(&str, &str)>, wrong: &mut Vec<String>) {
    let rooms = rooms(krate);
    let floor = |name: &str| rooms.iter().position(|room| room == name);
    for source in sources_of(krate).iter().filter(|source| !source.is_test()) {
        let room = source.room();
        if room == "lib" {
            continue;
        }
        let Some(own) = floor(room) else {
            wrong.push(format!("{} is in no room of lib.rs", source.name()));
            continue;
        };
        let code = source.code().join("\n");
        for used in used_rooms(&code) {
            match floor(used) {
                None => wrong.push(format!("{} uses crate::{used}: name the room instead", source.name())),
                Some(theirs) if theirs >= own => {}
                Some(_) => match UPWARD.iter().find(|(from, to, _)| *from == room && *to == used) {
                    Some((from, to, _)) => _ = needed.insert((*from, *to)),
                    None => wrong.push(format!("{} uses {used}, which is above it", source.name())),
                },
            }
        }
    }
}

/// The files of a crate by their modules, `sched/run`, and which others each names by `crate::` or `super::`.
fn uses_of_files(krate: &'static str) -> BTreeMap<String, BTreeSet<String>> {
    let module = |path: &str| path.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
    let sources: Vec<_> = sources_of(krate).into_iter().filter(|source| !source.is_test()).collect();
    let modules: BTreeSet<_> = sources.iter().map(|source| module(&source.path)).collect();
    let mut uses = BTreeMap::new();
    for source in &sources {
        let own = module(&source.path);
        let room = own.rsplit_once('/').map_or("", |(room, _)| room);
        let mut used = BTreeSet::new();
        for line in source.code() {
            for (keyword, base) in [("crate::", ""), ("super::", room)] {
                for rest in line.split(keyword).skip(1) {
                    let end =
                        rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))).unwrap_or(rest.len());
                    let path = format!("{base}/{}", rest[..end].replace("::", "/"));
                    // The file is the longest beginning that is one.
                    let beginnings = path.match_indices('/').map(|(at, _)| &path[..at]).chain([path.as_str()]);
                    let file = beginnings.map(|path| path.trim_matches('/')).rfind(|path| modules.contains(*path));
                    used.extend(file.filter(|file| *file != own).map(str::to_owned));
                }
            }
        }
        uses.insert(own, used);
    }
    uses
}

/// What can be reached from `from`.
fn reached(uses: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        open.extend(uses[file].iter().filter(|used| reached.insert((*used).clone())).map(String::as_str));
    }
    reached
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let mut wrong = Vec::new();
    for krate in folders().chain(BESIDE.iter().copied()) {
        let uses = uses_of_files(krate);
        let in_circle = uses.keys().filter(|file| reached(&uses, file).contains(*file));
        let in_circle = in_circle.filter(|file| !KNOTS.iter().any(|room| file.starts_with(&format!("{room}/"))));
        wrong.extend(in_circle.map(|file| format!("{krate}/src/{file} is used by what it uses: {:?}", uses[file])));
    }
    report(wrong);
}

#[test]
fn lib_says_what_each_room_is() {
    let mut wrong = Vec::new();
    for krate in folders() {
        let lib = read(&format!("{krate}/src/lib.rs"));
        let silent = lib.lines().filter_map(room_of).filter(|(_, rest)| !rest.starts_with(" // "));
        wrong.extend(silent.map(|(room, _)| format!("{krate}/src/lib.rs: what is `{room}`? `mod {room}; // ...`")));
    }
    report(wrong);
}

#[test]
fn single_doors() {
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        for (nth, line) in source.code().into_iter().enumerate() {
            for (what, doors) in DOORS {
                let name = source.name();
                let path = name.strip_prefix("runtime/src/").unwrap_or(&name);
                let is_door = |door: &&str| path.starts_with(door);
                if line.contains(what) && !doors.iter().any(is_door) {
                    wrong.push(format!("{}: {what} is allowed only in {doors:?}", source.at(nth)));
                }
            }
        }
    }
    report(wrong);
}

/// A hook of libc's calls would park a G in the middle of the runtime's own work. Models have loom's lock; a test sets the
/// clock, and the self-test is about std's locks.
#[test]
fn the_runtime_waits_by_locks_of_its_own() {
    const OTHERS: [&str; 2] = ["clock/hand.rs", "locals/self_test.rs"];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test() && !OTHERS.contains(&source.path.as_str())) {
        for (nth, line) in source.code().into_iter().enumerate().filter(|(_, line)| line.contains("std::sync::")) {
            if all_words(line).any(|word| ["Mutex", "MutexGuard", "RwLock", "Condvar"].contains(&word)) {
                wrong.push(format!("{}: use crate::os::Mutex: {line}", source.at(nth)));
            }
        }
    }
    report(wrong);
}

#[test]
fn corosensei_has_one_test_file() {
    let users: Vec<_> = sources()
        .iter()
        .filter(|source| source.is_test() && source.text.contains("corosensei::"))
        .map(|source| source.path.clone())
        .collect();
    assert!(users.iter().all(|path| path == "stack/tests.rs"), "{users:?}");
}

#[test]
fn doors_say_what_lives_there_and_what_holds() {
    let mut wrong = Vec::new();
    for source in folders().flat_map(sources_of).filter(|source| source.path.ends_with("/mod.rs")) {
        // A folder inside a room (a platform of `os`) is no room.
        if source.path.matches('/').count() > 1 {
            continue;
        }
        for heading in ["What lives here", "Who may come in", "Invariants", "Tests"] {
            let heading = format!("//! # {heading}");
            if !source.text.lines().any(|line| line == heading) {
                wrong.push(format!("{} has no {heading:?}", source.name()));
            }
        }
    }
    report(wrong);
}

#[test]
fn doors_hold_no_logic() {
    let items = ["fn ", "const ", "static ", "struct ", "enum ", "union ", "trait ", "impl", "type ", "macro_rules!"];
    let visible = ["pub ", "pub(crate) ", "pub(super) "];
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| source.path.ends_with("mod.rs") || source.path == "lib.rs") {
        for (nth, line) in source.code().into_iter().enumerate() {
            let line = visible.iter().find_map(|visible| line.strip_prefix(visible)).unwrap_or(line);
            let line = line.strip_prefix("unsafe ").unwrap_or(line);
            // It carries the examples of the README to the tests, and is nothing else.
            if items.iter().any(|item| line.starts_with(item)) && line != "struct Readme;" {
                wrong.push(format!("{}: a door says what is in its room, and no more: {line}", source.at(nth)));
            }
        }
    }
    report(wrong);
}

#[test]
fn a_file_begins_with_what_it_is() {
    let silent = |source: &&Source| !source.text.starts_with("//!");
    let wrong = all_sources().iter().filter(silent).map(Source::name).collect();
    report(wrong);
}

#[test]
fn a_file_is_one_module() {
    let mut wrong = Vec::new();
    for source in all_sources().into_iter().chain(BESIDE.iter().flat_map(|krate| sources_of(krate))) {
        let code = source.code();
        // Models and tests of a file lie beside it.
        let is_test = |path: &str| ["_loom.rs\"]", "_tests.rs\"]"].iter().any(|end| path.ends_with(end));
        let paths = code.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[path"));
        wrong.extend(paths.filter(|(_, line)| !is_test(line)).map(|(nth, line)| format!("{}: {line}", source.at(nth))));
    }
    report(wrong);
}

#[test]
fn examples_are_written_as_users_write_them() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        for (nth, line) in source.text.lines().map(str::trim_start).enumerate() {
            let inner = crates().iter().map(|krate| krate.name.replace('-', "_") + "::");
            let inner = inner.into_iter().find(|name| line.contains(name.as_str()));
            if let Some(inner) = inner.filter(|_| line.starts_with("///") || line.starts_with("//!")) {
                wrong.push(format!("{}: users write `pirn::`, not `{inner}`", source.at(nth)));
            }
        }
    }
    report(wrong);
}

#[test]
fn files_fit_in_a_head() {
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        let lines = source.lines().len();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines without its tests", source.name()));
        }
    }
    report(wrong);
}

#[test]
fn crates_stand_in_one_line() {
    let mut wrong = Vec::new();
    for (nth, krate) in crates().iter().enumerate() {
        let manifest = read(&format!("{}/Cargo.toml", krate.folder));
        let used = manifest.lines().filter(|line| line.starts_with("pirn-"));
        let used = used.filter_map(|line| line.split(['.', ' ']).next());
        for other in used.filter(|other| crates()[..nth].iter().all(|before| before.name != *other)) {
            wrong.push(format!("{} uses {other}, which does not stand before it", krate.name));
        }
    }
    report(wrong);
}

/// What there is to do for a new crate. HACKING.md has the list.
#[test]
fn a_crate_is_entered_everywhere() {
    let facade = read("src/lib.rs");
    let manifest = read("Cargo.toml");
    let architecture = read("ARCHITECTURE.md");
    let line =
        architecture.lines().find(|line| line.trim_start().starts_with("runtime -> ")).expect("the line of crates");
    let line: Vec<_> = line.trim().split(" -> ").collect();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).expect("the root") {
        let path = entry.expect("a file of the root").path();
        let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let folder = path.file_name().unwrap_or_default().to_string_lossy();
        let is_listed = crates().iter().any(|krate| krate.folder == folder);
        if !is_listed && !manifest.contains("\npublish = false") {
            wrong.push(format!(
                "Cargo.toml: [workspace.dependencies] lacks the crate in {folder}/, at its place in the line"
            ));
        }
    }
    let mut before = None;
    for Crate { name, folder } in crates() {
        let path = name.replace('-', "_");
        let forms = [format!("{name}.workspace = true"), format!("{name} = {{ workspace = true, optional = true }}")];
        if !manifest.lines().any(|line| forms.iter().any(|form| line == form)) {
            wrong.push(format!("Cargo.toml: [dependencies] of pirn lacks `{name}.workspace = true`"));
        }
        if !facade.contains(&format!("pub use {path}")) {
            wrong.push(format!("src/lib.rs re-exports nothing of {path}"));
        }
        let place = line.iter().position(|name| name == folder);
        if place.is_none() || place < before {
            wrong.push(format!("ARCHITECTURE.md, \"Walls\": {folder} is not where it stands in Cargo.toml: {line:?}"));
        }
        before = place;
    }
    report(wrong);
}

#[test]
fn scripts_ask_for_the_crates() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("ci")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // One crate alone is a matter of that crate.
        let several = |line: &&str| line.matches("-p pirn-").count() > 1;
        wrong.extend(text.lines().filter(several).map(|line| format!("{}: ask ci/crates: {line}", path.display())));
    }
    report(wrong);
}

/// The compiler keeps unsafe code out of all other rooms.
/// What a package needs always, by its manifest: neither what is optional, nor what its tests need.
fn dependencies_of(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let named = lines.filter(|line| !line.starts_with('#') && !line.contains("optional = true"));
    named.filter_map(|line| Some(line.split_once('=')?.0.trim().trim_end_matches(".workspace").to_owned())).collect()
}

/// The programs outside of the workspace are built with `--locked`. None of them is built in CI, where one would notice
/// that it lacks what a crate of ours depends on by now.
#[test]
fn lock_files_have_what_the_crates_depend_on() {
    let mut wrong = Vec::new();
    let pirn = ("pirn", "Cargo.toml".to_owned());
    let ours: Vec<_> =
        crates().iter().map(|krate| (&*krate.name, format!("{}/Cargo.toml", krate.folder))).chain([pirn]).collect();
    for program in ["hook/exams", "hook/linkage", "net/exams", "patterns/peers"] {
        let lock = read(&format!("{program}/Cargo.lock"));
        for (name, manifest) in &ours {
            let Some((_, rest)) = lock.split_once(&format!("name = \"{name}\"\n")) else { continue };
            let package = rest.split("[[package]]").next().unwrap_or_default();
            let lacks = |other: &String| !package.contains(&format!("\"{other}\""));
            let lacking = dependencies_of(&read(manifest)).into_iter().filter(lacks);
            wrong
                .extend(lacking.map(|other| format!("{program}/Cargo.lock: {name} has no {other}: `cargo update -w`")));
        }
    }
    report(wrong);
}

#[test]
fn unsafe_code_is_only_where_it_must_be() {
    let mut wrong = Vec::new();
    for krate in folders() {
        let keeps_out = |line: &str| ["#![deny(unsafe_code)]", "#![forbid(unsafe_code)]"].contains(&line);
        if !read(&format!("{krate}/src/lib.rs")).lines().any(keeps_out) {
            wrong.push(format!("{krate}/src/lib.rs: add `#![deny(unsafe_code)]`"));
        }
    }
    // With a backtick before it, it is in a message.
    let is_unsafe = |line: &&str| all_words(&line.replace("`unsafe", "")).any(|word| word == "unsafe");
    let sources = all_sources();
    for source in &sources {
        let code = source.code();
        for (nth, line) in code.iter().enumerate().filter(|(_, line)| line.contains("(unsafe_code")) {
            let at_head = line.starts_with("#![allow(unsafe_code, reason = ")
                || ["#![deny(unsafe_code)]", "#![forbid(unsafe_code)]"].contains(line);
            if !at_head {
                wrong.push(format!("{}: write `#![allow(unsafe_code, reason = \"...\")]`", source.at(nth)));
            }
        }
        if code.iter().any(|line| line.contains("allow(unsafe_code")) {
            // A door allows it for its room.
            let room = source.path.strip_suffix("mod.rs");
            let is_of_it = |other: &&Source| match room {
                Some(room) => other.krate == source.krate && other.path.starts_with(room),
                None => other.name() == source.name(),
            };
            if !sources.iter().filter(is_of_it).any(|other| other.code().iter().any(is_unsafe)) {
                wrong.push(format!("{} has no unsafe code any more: do not allow it", source.name()));
            }
        }
    }
    report(wrong);
}

#[test]
fn every_unsafe_block_says_why() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let lines: Vec<_> = source.text.lines().map(str::trim).collect();
        for (nth, line) in lines.iter().enumerate() {
            // With a backtick before it, it is in a message.
            let code = line.split("//").next().unwrap_or_default().replace("`unsafe", "");
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            if !says_why(&lines[..nth]) {
                wrong.push(format!("{}: no SAFETY comment", source.at(nth)));
            }
        }
    }
    report(wrong);
}

/// Whether the comment above the statement that goes on after `before` is about safety.
fn says_why(before: &[&str]) -> bool {
    let mut above = before.iter().rev().peekable();
    // Up to the beginning of the statement, over attributes.
    while above
        .next_if(|line| !line.starts_with("//") && !line.ends_with([';', '{', '}']) && !line.is_empty())
        .is_some()
    {}
    // A block that the statement opened: `if x {`, `match y {` and the like are not looked through.
    above.take_while(|line| line.starts_with("//")).any(|line| line.contains("SAFETY:"))
}

#[test]
fn wait_reasons_have_names_of_their_own() {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        let code = source.code().join("\n");
        for reason in all_between(&code, "static ", ";") {
            let kinds = [": Reason =", ": Call ="];
            let Some((ident, value)) = kinds.iter().find_map(|kind| reason.split_once(kind)) else { continue };
            let name = value.split('"').nth(1).expect("the name comes first").to_owned();
            let site = format!("{ident} in {}", source.name());
            if let Some(other) = names.insert(name.clone(), site.clone()) {
                wrong.push(format!("{site} and {other} are both called {name:?}"));
            }
        }
    }
    assert!(names.len() >= 12, "the reasons are not where they were: {names:?}");
    report(wrong);
}

/// What boot/env.rs reads: the variables, the keys of the list, and what each accepts.
fn settings() -> (BTreeSet<String>, BTreeSet<String>, Vec<String>) {
    let env = Source { krate: "runtime", path: "boot/env.rs".into(), text: read("runtime/src/boot/env.rs") };
    let code = env.lines().join("\n");
    let names = all_between(&code, "name: \"", "\"");
    let list = all_between(&code, "DEBUG_VARIABLE: &str = \"", "\"");
    let (mut variables, keys): (BTreeSet<_>, BTreeSet<_>) =
        names.into_iter().map(str::to_owned).partition(|name| name.starts_with("PIRN_"));
    variables.extend(list.into_iter().map(str::to_owned));
    let accepted = all_between(&code, "accepted: \"", "\"");
    (variables, keys, accepted.into_iter().map(str::to_owned).collect())
}

/// The PIRN_ words of a text.
fn variables_in(text: &str) -> BTreeSet<String> {
    text.match_indices("PIRN_").map(|(at, _)| word(&text[at..]).to_owned()).collect()
}

#[test]
fn the_manual_and_the_environment_agree() {
    let (variables, keys, accepted) = settings();
    assert!(variables.len() >= 3 && keys.len() >= 2, "{variables:?} {keys:?}");
    let manual = read("SCHEDTRACE.md");
    assert_eq!(variables_in(&manual), variables, "SCHEDTRACE.md against env.rs");
    let rows: BTreeSet<_> = all_between(&manual, "\n| `", "`")
        .into_iter()
        .filter_map(|cell| Some(cell.split_once('=')?.0.to_owned()))
        .collect();
    assert_eq!(rows, keys, "the rows `key=...` of SCHEDTRACE.md against env.rs");
    // In a table a bar is written with a backslash.
    let manual = manual.replace("\\|", "|");
    for values in accepted {
        assert!(manual.contains(&values), "SCHEDTRACE.md does not say {values:?}");
    }
}

#[test]
fn the_manual_and_schedtrace_agree() {
    let fields = read("runtime/src/observe/schedtrace/fields.rs");
    // By table: the header's, and those of a P, an M and a G.
    let tables: BTreeMap<&str, BTreeSet<&str>> = fields
        .split("pub(super) const ")
        .skip(1)
        .map(|table| (word(table), all_between(table, " field(\"", "\"").into_iter().collect()))
        .collect();
    assert_eq!(tables.keys().copied().collect::<Vec<_>>(), ["G", "LINE", "M", "P"]);
    let manual = read("SCHEDTRACE.md");
    let (_, manual) = manual.split_once("\n## The line\n").expect("the chapter about the line");
    let (manual, _) = manual.split_once("\n## 100,000 sleepers").expect("the end of it");
    let (_, json) = manual.split_once("\n### JSON\n").expect("the chapter about JSON");
    // What has a row: of a kind (`P`), or of any.
    let mut rows: BTreeSet<(&str, &str)> = BTreeSet::new();
    for row in manual.lines().filter_map(|line| line.strip_prefix("| ")) {
        let (cell, _) = row.split_once(" |").expect("the end of a cell");
        let kind = if cell.starts_with('`') { "" } else { word(cell) };
        rows.extend(cell.split('`').skip(1).step_by(2).filter(|name| word(name) == *name).map(|name| (kind, name)));
    }
    let in_json: BTreeSet<&str> = json.split('`').skip(1).step_by(2).collect();
    let mut wrong = Vec::new();
    for (table, names) in &tables {
        for name in names {
            if !rows.contains(&(table, name)) && !rows.contains(&("", name)) && !in_json.contains(name) {
                wrong.push(format!("SCHEDTRACE.md does not say what {table} {name:?} is"));
            }
        }
    }
    for (kind, name) in rows {
        if !tables.iter().any(|(table, names)| (kind.is_empty() || kind == *table) && names.contains(name)) {
            wrong.push(format!("SCHEDTRACE.md has {kind} {name:?}, which is not printed"));
        }
    }
    report(wrong);
}

#[test]
fn the_manual_and_the_events_agree() {
    let subscriber = read("runtime/src/event/subscriber.rs");
    let told: BTreeSet<(String, Vec<String>)> = all_between(&subscriber, "deliver!(\"", ")")
        .into_iter()
        .map(|event| {
            let (name, fields) = event.split_once('"').expect("the end of a name");
            (name.to_owned(), all_between(fields, ", ", " = ").into_iter().map(str::to_owned).collect())
        })
        .collect();
    let manual = read("SCHEDTRACE.md");
    let (_, table) = manual.split_once("\n| event | fields | counted as |\n").expect("a table of the events");
    let (table, _) = table.split_once("\n\n").expect("the end of it");
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut listed = BTreeSet::new();
    for row in table.lines().skip(1) {
        let cells: Vec<_> = row.split('|').collect();
        listed.extend(words(cells[1]).into_iter().map(|name| (name, words(cells[2]))));
    }
    assert!(told.len() >= 8, "{told:?}");
    assert_eq!(listed, told, "SCHEDTRACE.md against event/subscriber.rs");
}

#[test]
fn the_readme_and_the_environment_agree() {
    let (mut known, keys, _) = settings();
    // Its rows name the keys.
    known.remove("PIRN_DEBUG");
    known.extend(keys);
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<_> = rows
        .filter(|cell| cell.starts_with("PIRN_"))
        .map(|cell| cell.strip_prefix("PIRN_DEBUG=").map_or_else(|| word(cell), word).to_owned())
        .collect();
    assert_eq!(rows, known, "the rows of README.md that begin with a variable, against env.rs");
}

/// Every paper, by its path below the root.
fn papers() -> Vec<String> {
    let mut papers = Vec::new();
    let below = crates().iter().map(|krate| format!("{}/", krate.folder));
    for dir in ["".to_owned(), "benches/".to_owned()].into_iter().chain(below) {
        for entry in fs::read_dir(root().join(&dir)).expect("a folder of the project") {
            let name = entry.expect("a file of the project").file_name().into_string().expect("names are UTF-8");
            if name.ends_with(".md") {
                papers.push(format!("{dir}{name}"));
            }
        }
    }
    assert!(papers.len() >= 7, "the papers are not where they were: {papers:?}");
    papers
}

/// Some lines of a paper with their numbers, from 1.
type Lines<'a> = Vec<(usize, &'a str)>;

/// The lines of a paper: those of its text, and those of its blocks of code, whose first
/// line says in which language they are.
fn prose_and_code(text: &str) -> (Lines<'_>, Lines<'_>) {
    let mut fenced = false;
    text.lines().enumerate().map(|(nth, line)| (nth + 1, line)).partition(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// The number of cells of a row. As on GitHub a bar ends a cell, in a code span too, but with a backslash before it.
fn cells(row: &str) -> usize {
    let row = row.trim().replace("\\|", "");
    row.strip_prefix('|').unwrap_or(&row).strip_suffix('|').unwrap_or(&row).split('|').count()
}

/// What is wrong with the tables of a paper.
fn wrong_tables(text: &str) -> Vec<String> {
    let (prose, _) = prose_and_code(text);
    let is_row = |line: &str| line.trim_start().starts_with('|');
    let mut wrong = Vec::new();
    for table in prose.chunk_by(|(a, above), (b, below)| a + 1 == *b && is_row(above) == is_row(below)) {
        let [(first, header), rows @ ..] = table else { continue };
        if !is_row(header) {
            continue;
        }
        let is_rule = |row: &str| row.contains('-') && row.chars().all(|c| "|-: ".contains(c));
        if !rows.first().is_some_and(|(_, row)| is_rule(row)) {
            wrong.push(format!("line {first}: a row without a header"));
            continue;
        }
        for (nth, row) in rows {
            if cells(row) != cells(header) {
                wrong.push(format!("line {nth}: {} cells under a header of {}", cells(row), cells(header)));
            }
        }
    }
    wrong
}

#[test]
fn rows_have_as_many_cells_as_their_header() {
    let mut wrong = Vec::new();
    for paper in papers() {
        wrong.extend(wrong_tables(&read(&paper)).iter().map(|what| format!("{paper}, {what}")));
    }
    report(wrong);
}

#[test]
fn torn_tables_are_noticed() {
    assert_eq!(wrong_tables("text\n\n| a | b |\n| --- | :-: |\n| 1 | `2 \\| 3` |\n| | - |\n\nmore"), [""; 0]);
    // The beginning of one table and the end of another, with fewer columns or with more.
    assert_eq!(
        wrong_tables("| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 | 4 |\n"),
        ["line 3: 1 cells under a header of 2", "line 4: 4 cells under a header of 2"]
    );
    assert_eq!(wrong_tables("| a |\n| --- |\n| `x|y` |"), ["line 3: 2 cells under a header of 1"]);
    assert_eq!(wrong_tables("| a | b |\n| --- |\n"), ["line 2: 1 cells under a header of 2"]);
    assert_eq!(wrong_tables("a paragraph\n| 1 | 2 |\n"), ["line 2: a row without a header"]);
    // What is no table.
    assert_eq!(wrong_tables("```text\n| 1 | 2 |\n| 3 |\n```\na | b\n"), [""; 0]);
}

#[test]
fn papers_have_no_hidden_lines() {
    let mut wrong = Vec::new();
    for paper in papers() {
        let text = read(&paper);
        let mut is_rust = false;
        for (nth, line) in prose_and_code(&text).1 {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                is_rust = language.starts_with("rust");
            } else if is_rust && (line.trim() == "#" || line.trim_start().starts_with("# ")) {
                wrong.push(format!("{paper}, line {nth}: only rustdoc hides it: {line}"));
            }
        }
    }
    report(wrong);
}

#[test]
fn other_papers_name_no_other_variables() {
    let (mut variables, _, _) = settings();
    // Of the tests, not of the library.
    let of_tests = [
        "PIRN_STRESS_SECS",
        "PIRN_SOAK_SECS",
        "PIRN_SOAK_RATE",
        "PIRN_TORTURE_MIGRATIONS",
        "PIRN_TEST_SEED",
        "PIRN_TEST_MODE",
        "PIRN_TEST_HANG_SECS",
        "PIRN_EXAM_THREADS",
    ];
    variables.extend(of_tests.map(str::to_owned));
    for paper in ["README.md", "ARCHITECTURE.md", "HACKING.md", "CHANGELOG.md"] {
        let unknown: Vec<_> = variables_in(&read(paper)).difference(&variables).cloned().collect();
        assert!(unknown.is_empty(), "{paper}: {unknown:?}");
    }
}

#[test]
fn ci_runs_the_command_of_the_readme() {
    let command = "cargo test --workspace";
    let is_it = |line: &str| line.trim() == command || line.trim() == format!("run {command}");
    assert!(read("README.md").lines().any(is_it), "README.md");
    assert!(read("ci/test").lines().any(is_it), "ci/test");
    let run = read(".ci/run");
    for entry in fs::read_dir(root().join("ci")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The first takes longer than CI may, the exams need programs that are installed by hand, the others check
        // nothing.
        if ["matrix", "hook-linkage", "hook-exams", "net-exams", "crates", "exams.sh", "suites.sh", "failures.awk"]
            .contains(&name.as_str())
        {
            continue;
        }
        assert!(run.contains(&format!("ci/{name}")), ".ci/run does not call ci/{name}");
    }
}

#[test]
fn hacking_says_how_to_install_what_the_exams_need() {
    let hacking = read("HACKING.md");
    let script = read("ci/net-exams");
    // The exams, the check, the line that installs it.
    let installs: Vec<_> = script.lines().filter_map(|line| line.split(" | ").nth(2)).collect();
    assert!(installs.len() > 1, "the table is not where it was");
    let missing = installs.into_iter().filter(|install| !hacking.contains(&format!("`{install}`")));
    report(missing.map(|install| format!("HACKING.md: {install}")).collect());
}

#[test]
fn files_that_papers_name_are_there() {
    let mut wrong = Vec::new();
    for paper in ["README.md", "ARCHITECTURE.md", "HACKING.md", "SCHEDTRACE.md"] {
        let text = read(paper);
        for path in text.split('`') {
            let is_path = path.ends_with(".rs")
                && path != "mod.rs"
                && path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let places = ["", "runtime/", "runtime/src/"];
            if is_path && !places.iter().any(|place| root().join(place).join(path).exists()) {
                wrong.push(format!("{paper}: {path}"));
            }
        }
    }
    report(wrong);
}
