//! The rules of the house that a machine can check. ARCHITECTURE.md says what they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Uses of a room by one below it, that there are for now. Each has its reason; one that is no longer needed is an
/// error, so that the list only gets shorter.
const UPWARD: &[(&str, &str, &str)] = &[
    ("scope", "go", "a scope starts Gs through the same door"),
    ("boot", "go", "Runtime::run and Handle::go start Gs, and GoBuilder is an argument"),
    ("time", "go", "after_func starts a G; sleep(0) is a yield"),
    ("join", "go", "drop_result: what becomes of a result that nobody wants"),
    ("g", "sched", "the record points to its runtime; only the type"),
    ("g", "m", "the record points to the M that it is locked to; only the type"),
    ("m", "sched", "the record points to its runtime; only the type"),
];

/// What may be written only in these files; everything else in the runtime has to go through them. Test code is free,
/// but where a door says otherwise.
const DOORS: &[(&str, &[&str])] = &[
    ("libc::", &["os/"]),
    // The observer leaves its frames out.
    ("corosensei", &["coro.rs", "stack/slot.rs", "observe/whose.rs"]),
    // The backtrace of a panic is std's, as its message is made like std's.
    ("backtrace::", &["os/", "observe/trace.rs", "boot/panics.rs"]),
    // The self-test of a G's own thread-locals needs some to look at; what a G has of its own, a thread has there.
    ("thread_local!", &["m/current.rs", "locals/self_test.rs", "g_local.rs"]),
    // What happens is said by `emit`, which counts it and has it told; what is no event is a warning.
    ("tally", &["event/", "m/emit.rs", "p/owned.rs"]),
    ("tracing::", &["event/subscriber.rs", "sysmon/output.rs"]),
    ("std::env", &["boot/env.rs"]),
    ("println!", &[]),
    ("eprint!", &[]),
    ("print!", &[]),
    ("dbg!", &[]),
    ("std::process", &["os/"]),
    ("_mm_", &["os/"]),
    ("asm!", &["os/", "m/current.rs"]),
];

/// A file is no longer than this without its tests.
const LINES_MAX: usize = 500;

/// The crates in their line: each uses only those before it.
const CRATES: &[&str] = &["runtime", "channels"];

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
        let tests = |pair: &[&str]| pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod tests {");
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
    CRATES.iter().flat_map(|krate| sources_of(krate)).collect()
}

fn sources_of(krate: &'static str) -> Vec<Source> {
    let mut sources = Vec::new();
    let src = root().join(krate).join("src");
    collect(krate, &src, &src, &mut sources);
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "{krate} has no lib.rs");
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

/// The rooms from the top floor to the ground, as lib.rs lists them.
fn rooms() -> Vec<String> {
    let lib = read("runtime/src/lib.rs");
    let room = |line: &str| {
        let name = line.strip_prefix("pub ").unwrap_or(line);
        Some(name.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    lib.lines().filter_map(room).collect()
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

/// The first parts of what is used by `crate::...`, groups included.
fn used_rooms(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
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

#[test]
fn groups_and_paths_are_understood() {
    assert_eq!(
        used_rooms("use crate::{g::{G, Gid}, p,\n os::now_ns}; crate::config::X + super::y"),
        ["g", "p", "os", "config"]
    );
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    let rooms = rooms();
    let floor = |name: &str| rooms.iter().position(|room| room == name);
    let mut needed = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let room = source.room();
        if room == "lib" {
            continue;
        }
        let Some(own) = floor(room) else {
            wrong.push(format!("{} is in no room of lib.rs", source.path));
            continue;
        };
        let code = source.code().join("\n");
        for used in used_rooms(&code) {
            match floor(used) {
                None => wrong.push(format!("{} uses crate::{used}: name the room instead", source.path)),
                Some(theirs) if theirs >= own => {}
                Some(_) => {
                    let exception = UPWARD.iter().find(|(from, to, _)| *from == room && *to == used);
                    match exception {
                        Some((from, to, _)) => _ = needed.insert((*from, *to)),
                        None => wrong.push(format!("{} uses {used}, which is above it", source.path)),
                    }
                }
            }
        }
    }
    for (from, to, _) in UPWARD {
        if !needed.contains(&(*from, *to)) {
            wrong.push(format!("{from} no longer uses {to}: take it off the list"));
        }
    }
    report(wrong);
}

#[test]
fn architecture_lists_the_rooms_in_their_order() {
    let text = read("ARCHITECTURE.md");
    let listed: Vec<_> =
        all_between(&text, "\n| `", "` |").into_iter().filter(|name| rooms().iter().any(|room| room == name)).collect();
    assert_eq!(listed, rooms());
}

#[test]
fn single_doors() {
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        for (nth, line) in source.code().into_iter().enumerate() {
            for (what, doors) in DOORS {
                let is_door = |door: &&str| source.krate == "runtime" && source.path.starts_with(door);
                if line.contains(what) && !doors.iter().any(is_door) {
                    wrong.push(format!("{}: {what} is allowed only in {doors:?}", source.at(nth)));
                }
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
    for source in sources().iter().filter(|source| source.path.ends_with("/mod.rs")) {
        // A folder inside a room (a platform of `os`) is no room.
        if source.path.matches('/').count() > 1 {
            continue;
        }
        for heading in ["//! # What lives here", "//! # Invariants"] {
            if !source.text.lines().any(|line| line == heading) {
                wrong.push(format!("{} has no {heading:?}", source.path));
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
fn examples_are_written_as_users_write_them() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        for (nth, line) in source.text.lines().map(str::trim_start).enumerate() {
            let inner = ["pirn_runtime::", "pirn_channels::"].iter().find(|name| line.contains(**name));
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
    for (nth, krate) in CRATES.iter().enumerate() {
        let manifest = read(&format!("{krate}/Cargo.toml"));
        let used = manifest.lines().filter_map(|line| line.strip_prefix("pirn-")).map(word);
        for other in used.filter(|other| !CRATES[..nth].contains(other)) {
            wrong.push(format!("{krate} uses {other}, which does not stand before it"));
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
    let probe = read("runtime/src/probe.rs");
    let (_, body) = probe.split_once("fn name(self)").expect("WaitReason::name");
    let (body, _) = body.split_once("\n    }").expect("the end of it");
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut count = 0;
    for line in body.lines().filter(|line| line.contains("=>")) {
        let (reason, name) = line.trim().split_once(" => ").unwrap();
        if let Some(other) = names.insert(name, reason) {
            panic!("{reason} and {other} are both called {name}");
        }
        count += 1;
    }
    let (_, all) = probe.split_once("ALL: [WaitReason; ").expect("WaitReason::ALL");
    assert_eq!(all.split(']').next(), Some(count.to_string().as_str()));
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
    let told: BTreeSet<(String, Vec<String>)> = all_between(&subscriber, "say!(\"", ")")
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
    for dir in ["", "benches/", "runtime/", "channels/"] {
        for entry in fs::read_dir(root().join(dir)).expect("a folder of the project") {
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
    let of_tests =
        ["PIRN_STRESS_SECS", "PIRN_TORTURE_MIGRATIONS", "PIRN_TEST_SEED", "PIRN_TEST_MODE", "PIRN_TEST_HANG_SECS"];
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
        if name == "matrix" {
            continue; // Takes longer than CI may.
        }
        assert!(run.contains(&format!("ci/{name}")), ".ci/run does not call ci/{name}");
    }
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
