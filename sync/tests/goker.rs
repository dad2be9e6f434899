//! Go's bug kernels: GoKer of the GoBench suite, as Go has it among the tests of its goroutine leak profile
//! (`src/runtime/testdata/testgoroutineleakprofile/goker`, MIT), written afresh.
//!
//! Each kernel is what is left of a bug of a large project. It runs in a child process, with the bug and with the fix.
//! With the bug some goroutines are stuck, in every run: where Go's kernel tries a thousand times, `settle`, a barrier or
//! a channel gives the order that the bug needs. Then the reports have to say of each of them its name, the reason, the
//! line, and who holds what it waits for; and which of them are a cycle, if there is one. The sources say what that is,
//! before the line in question: `//@ NAME: REASON, held by NAME`. With the fix the program ends, and nothing is reported.
//!
//! Who holds a lock is known of mutexes and of writers, not of readers. So a cycle through a reader (CockroachDB 3710,
//! 6181, 16167, Kubernetes 58107, 62464) is not reported as one, and no partial deadlock; its members are reported.
//!
//! 62 of the 63 kernels are here. Kubernetes 11298 is not: there a goroutine waits for a `sync.Cond` whose mutex another
//! one has locked and unlocks for it. `Condvar::wait` takes the guard of the mutex, so that cannot be written.
//!
//! It has no test runner, so a child has no threads of others: the deadlock report is certain there. `goker NAME ...` runs
//! only kernels with such names, `goker --list` lists all.

#[path = "goker/cockroach.rs"]
mod cockroach;
#[path = "goker/etcd.rs"]
mod etcd;
#[path = "goker/grpc.rs"]
mod grpc;
#[path = "goker/hugo.rs"]
mod hugo;
#[path = "goker/istio.rs"]
mod istio;
#[path = "goker/kit.rs"]
mod kit;
#[path = "goker/kubernetes.rs"]
mod kubernetes;
#[path = "goker/moby.rs"]
mod moby;
#[path = "goker/serving.rs"]
mod serving;
#[path = "goker/syncthing.rs"]
mod syncthing;

use kit::Kernel;
use pirn_channels::never;
use pirn_runtime::{Builder, Goroutine, Handle, State, current_gid, num_goroutines, sleep};
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHILD: &str = "PIRN_TEST_CHILD";
/// A child that takes longer is ended by the kernel.
const PATIENCE_SECS: u32 = 60;
/// So many children at a time: most of them only wait.
const WORKERS: usize = 24;

/// A child that runs all that have no cycle.
const NO_CYCLE: &str = "no-cycle";
/// Two looks of sysmon, and some more.
const LOOKS: Duration = Duration::from_millis(4_500);
/// In place of the name of a holder that has ended: its name has gone with it.
const ENDED: &str = "(ended)";

/// The projects: their names, their kernels, and the sources of these.
const PROJECTS: &[(&str, &[Kernel], &str)] = &[
    ("cockroach", cockroach::KERNELS, include_str!("goker/cockroach.rs")),
    ("etcd", etcd::KERNELS, include_str!("goker/etcd.rs")),
    ("grpc", grpc::KERNELS, include_str!("goker/grpc.rs")),
    ("hugo", hugo::KERNELS, include_str!("goker/hugo.rs")),
    ("istio", istio::KERNELS, include_str!("goker/istio.rs")),
    ("kubernetes", kubernetes::KERNELS, include_str!("goker/kubernetes.rs")),
    ("moby", moby::KERNELS, include_str!("goker/moby.rs")),
    ("serving", serving::KERNELS, include_str!("goker/serving.rs")),
    ("syncthing", syncthing::KERNELS, include_str!("goker/syncthing.rs")),
];

/// What a child does with its kernel, and what has to be reported.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Its main function waits for ever: a deadlock.
    Deadlock,
    /// Its main function returns, with `PIRN_DEBUG=dumponexit`.
    Exit,
    /// Its main function goes on: a partial deadlock. For cycles only.
    Partial,
    /// The fix: it ends when all have ended, and nothing is reported.
    Fixed,
}

const WAYS: [Way; 4] = [Way::Partial, Way::Deadlock, Way::Exit, Way::Fixed];

/// A goroutine that is stuck, as the comments in the sources say.
struct Stuck {
    name: &'static str,
    reason: &'static str,
    held_by: Option<&'static str>,
    /// `FILE:LINE`.
    place: String,
}

struct Case {
    name: String,
    run: fn(bool),
    stuck: Vec<Stuck>,
}

impl Case {
    /// The cycle through locks, if there is one.
    fn cycle(&self) -> Vec<&Stuck> {
        let next = |stuck: &Stuck| self.stuck.iter().find(|other| Some(other.name) == stuck.held_by);
        let mut cycle = Vec::new();
        for first in &self.stuck {
            let mut at = Some(first);
            cycle.clear();
            while let Some(stuck) = at {
                cycle.push(stuck);
                at = next(stuck).filter(|_| cycle.len() <= self.stuck.len());
                if at.is_some_and(|at| at.name == first.name) {
                    return cycle;
                }
            }
        }
        Vec::new()
    }
}

fn cases() -> Vec<Case> {
    let of_project = |(project, kernels, source): &(&str, &'static [Kernel], &'static str)| {
        let case = |(number, run): &Kernel| {
            let name = format!("{project}{number}");
            let stuck = stuck_in(source, project, &name);
            assert!(!stuck.is_empty(), "{name}: the source does not say what is stuck");
            Case { name, run: *run, stuck }
        };
        kernels.iter().map(case).collect::<Vec<_>>()
    };
    PROJECTS.iter().flat_map(of_project).collect()
}

/// Reads the comments of a kernel.
fn stuck_in(source: &'static str, project: &str, name: &str) -> Vec<Stuck> {
    let begin = format!("mod {name} {{");
    let numbered = source.lines().enumerate().skip_while(|(_, line)| *line != begin);
    let lines: Vec<_> = numbered.take_while(|(_, line)| *line != "}").collect();
    let comment = |line: &'static str| line.trim_start().strip_prefix("//@ ");
    let mut all = Vec::new();
    for (at, (_, line)) in lines.iter().enumerate() {
        let Some((name, rest)) = comment(line).and_then(|text| text.split_once(": ")) else { continue };
        let (reason, held_by) = rest.split_once(", held by ").map_or((rest, None), |(reason, by)| (reason, Some(by)));
        let (nth, _) = lines[at..].iter().find(|(_, line)| comment(line).is_none()).expect("the line");
        all.push(Stuck { name, reason, held_by, place: format!("tests/goker/{project}.rs:{}", nth + 1) });
    }
    all
}

fn is_on_itself(stuck: &Stuck) -> bool {
    stuck.held_by == Some(stuck.name)
}

/// Optimised code has not all frames: a function may be left for the one that it calls last, and functions that are the
/// same become one. There it has to be some place in a kernel.
fn is_place(line: &str, place: &str) -> bool {
    match cfg!(debug_assertions) {
        true => line.ends_with(place),
        false => line.contains("/tests/goker/") && !line.contains("/kit.rs:"),
    }
}

/// What is missing of these in a report.
fn missing(stuck: &[&Stuck], said: &str) -> Result<(), String> {
    for it in stuck {
        // One that has reported its own wait ran when it did.
        let is_own = |head: &str| is_on_itself(it) && head.ends_with(':') && !head.contains('[');
        let is_it = |block: &str| {
            let head = block.lines().next().unwrap_or_default();
            let (waiter, holder) = head.split_once(", held by goroutine ").unwrap_or((head, ""));
            let holder = holder.split_once(' ').map_or("", |(_, holder)| holder);
            let names = |name: &str| match name {
                ENDED => holder.starts_with(ENDED),
                _ => holder.starts_with(&format!("\"{name}\"")),
            };
            let says_all =
                waiter.contains(&format!(" [{}, \"{}\", ", it.reason, it.name)) && it.held_by.is_none_or(names);
            head.starts_with("goroutine ")
                && (says_all || is_own(head))
                && block.lines().any(|line| is_place(line, &it.place))
        };
        if !said.split("\n\n").any(is_it) {
            return Err(format!("not reported: {}: {}, held by {:?}, at {}", it.name, it.reason, it.held_by, it.place));
        }
    }
    Ok(())
}

fn check(case: &Case, way: Way, status: Option<i32>, said: &str) -> Result<(), String> {
    let expect = |is: bool, what: &str| if is { Ok(()) } else { Err(what.to_owned()) };
    let (all, cycle): (Vec<_>, _) = (case.stuck.iter().collect(), case.cycle());
    match way {
        Way::Fixed => {
            expect(said.is_empty(), "something is reported")?;
            expect(status == Some(0), "it does not end")
        }
        Way::Deadlock => {
            expect(status == Some(2), "it does not end as a deadlock does")?;
            expect(said.contains("fatal error: all goroutines are asleep - deadlock!"), "no deadlock")?;
            expect(cycle.is_empty() != said.contains("\ncycle: goroutine "), "no cycle, or one that is none")?;
            missing(&all, said)
        }
        Way::Exit => {
            expect(status == Some(0), "it does not end")?;
            missing(&all, said)
        }
        Way::Partial => {
            let reports: Vec<_> = said.lines().filter(|line| line.starts_with("pirn: partial deadlock: ")).collect();
            let [report] = reports[..] else { return Err("not one partial deadlock".to_owned()) };
            let names = |it: &&Stuck| report.contains(&format!(" \"{}\" ", it.name));
            expect(cycle.iter().all(names), "a member is not named")?;
            let is_own = report.contains(", which it has locked itself (");
            expect(is_own == is_on_itself(cycle[0]), "a lock that its holder takes again, or the other way round")?;
            missing(&cycle, said)
        }
    }
}

/// Runs a child, and says what is wrong with it.
fn run(case: &Case, way: Way) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().expect("the path of the test"));
    command.env(CHILD, format!("{} {way:?}", case.name)).env_remove("PIRN_DEBUG");
    if matches!(way, Way::Exit | Way::Fixed) {
        command.env("PIRN_DEBUG", "dumponexit");
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (mut stderr, mut said, mut bytes) = (child.stderr.take().expect("piped"), String::new(), [0; 4096]);
    while let Ok(n @ 1..) = stderr.read(&mut bytes) {
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
        if way == Way::Partial && check(case, way, None, &said).is_ok() {
            // The program goes on, and has nothing more to say.
            child.kill().expect("it is ours");
        }
    }
    let status = child.wait().expect("it is ours").code();
    check(case, way, status, &said).map_err(|wrong| format!("{} {way:?}: {wrong}: {status:?}\n{said}", case.name))
}

/// All kernels without a cycle at once, beside one that runs: there is no partial deadlock.
fn run_those_without_cycle() -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().expect("the path of the test"));
    let ended = command.env(CHILD, NO_CYCLE).env_remove("PIRN_DEBUG").output().expect("it starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    let is_good = ended.status.success() && said.is_empty();
    if is_good { Ok(()) } else { Err(format!("{NO_CYCLE}: {}\n{said}", ended.status)) }
}

fn child_without_cycle() {
    builder().procs(2).build().expect("a runtime").run(|| {
        let cases = cases();
        cases.iter().filter(|case| case.cycle().is_empty()).for_each(|case| (case.run)(false));
        let began = Instant::now();
        while began.elapsed() < LOOKS {
            sleep(Duration::from_millis(1));
        }
    });
}

fn child(name: &str, way: &str) {
    let kernel = cases().into_iter().find(|case| case.name == name).expect("a kernel").run;
    builder().procs(2).build().expect("a runtime").run(|| {
        kernel(way == "Fixed");
        match way {
            "Deadlock" => _ = never::<()>().recv(),
            "Exit" => rest(),
            "Fixed" => wait_until("all have ended", || num_goroutines() == 1),
            _ => loop {
                sleep(Duration::from_millis(1));
            },
        }
    });
}

fn builder() -> Builder {
    if env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared") {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        return unsafe { Builder::new().shared_thread_locals() };
    }
    Builder::new()
}

/// Waits until all others wait, and not for the clock, for some time.
fn rest() {
    let mut looks = 0;
    wait_until("all are at rest", || {
        let me = current_gid();
        let all = Handle::current().expect("a goroutine").goroutines();
        let rests = |g: &Goroutine| g.state == State::Waiting && g.wait_reason != Some("sleep");
        looks = if all.iter().all(|g| Some(g.id) == me || rests(g)) { looks + 1 } else { 0 };
        looks > 5
    });
}

fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(20), "not true: {what}");
        sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() -> ExitCode {
    if let Some(child_of) = env(CHILD) {
        // SAFETY: it has no preconditions.
        unsafe { libc::alarm(PATIENCE_SECS) };
        match child_of.split_once(' ') {
            Some((name, way)) => child(name, way),
            None => child_without_cycle(),
        }
        return ExitCode::SUCCESS;
    }
    let (options, wanted): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let mut cases = cases();
    cases.retain(|case| wanted.is_empty() || wanted.iter().any(|word| case.name.contains(&**word)));
    if options.iter().any(|option| option == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let ways = WAYS.iter().flat_map(|way| cases.iter().map(move |case| (case, *way)));
    // Partial deadlocks come first: they are reported after seconds, in which the others run.
    let work: Vec<_> = ways.filter(|(case, way)| *way != Way::Partial || !case.cycle().is_empty()).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let note = |result: Result<(), String>| wrong.lock().expect("no panic").extend(result.err());
    thread::scope(|s| {
        s.spawn(|| note(run_those_without_cycle()));
        for _ in 0..WORKERS {
            s.spawn(|| {
                while let Some((case, way)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    note(run(case, *way));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    wrong.iter().for_each(|what| eprintln!("{what}\n"));
    let partial = work.iter().filter(|(_, way)| *way == Way::Partial).count();
    println!(
        "{} kernels, {partial} of them with a cycle; {} of {} runs failed",
        cases.len(),
        wrong.len(),
        work.len() + 1
    );
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
