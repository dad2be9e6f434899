//! Whole programs: the examples, run as they are, in both modes of thread-locals, and what they print.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than any of them takes, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What thread-locals the goroutines of an example see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Their own.
    Isolated,
    /// Those of the threads that run them.
    Shared,
}

const MODES: [Mode; 2] = [Mode::Isolated, Mode::Shared];

impl Mode {
    /// The program that cargo has built from an example, beside this test: `examples/NAME.rs` as it is, or
    /// `examples/shared`, which has them all and runs the one by whose name it is called.
    fn program(self, name: &str) -> Command {
        match self {
            Mode::Isolated => command(name),
            Mode::Shared => {
                let mut command = command("shared");
                command.arg0(name);
                command
            }
        }
    }
}

/// An example as it is.
fn program(name: &str) -> Command {
    Mode::Isolated.program(name)
}

fn command(file: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("a test knows where it is");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(file);
    assert!(path.exists(), "{path:?} is not there: `cargo build --examples -p pirn -p pirn-examples-shared` builds it");
    let mut command = Command::new(path);
    // Whatever the tester has set.
    for variable in ["PIRN_MAXPROCS", "PIRN_STACK", "PIRN_DEBUG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs it to its end, which has to be a good one. Returns its output and its standard error.
fn run(command: &mut Command) -> (String, String) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // What they print fits into a pipe, so they can be waited for first.
    let began = Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().expect("it is ours");
            let output = child.wait_with_output().expect("it has ended");
            panic!("it hangs: {}", text(&output));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it has ended");
    assert!(output.status.success(), "{}", text(&output));
    let lossless = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (lossless(output.stdout), lossless(output.stderr))
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A line of schedtrace.
#[derive(Debug)]
struct Line {
    ms: u64,
    gomaxprocs: usize,
    idleprocs: usize,
    threads: usize,
    spinningthreads: usize,
    needspinning: usize,
    idlethreads: usize,
    runqueue: usize,
    local: Vec<usize>,
    schedticks: Option<Vec<u64>>,
}

impl Line {
    /// Reads a line; anything that is not exactly in its place is a panic.
    fn parse(line: &str) -> Line {
        let rest = line.strip_prefix("SCHED ").unwrap_or_else(|| panic!("no schedtrace: {line:?}"));
        let (ms, mut rest) = rest.split_once("ms: ").expect(line);
        let mut field = |name: &str| {
            let (word, others) = rest.split_once(' ').expect(line);
            rest = others;
            let value = word.strip_prefix(name).and_then(|word| word.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in its place in {line:?}")).parse().expect(line)
        };
        Line {
            ms: ms.parse().expect(line),
            gomaxprocs: field("gomaxprocs"),
            idleprocs: field("idleprocs"),
            threads: field("threads"),
            spinningthreads: field("spinningthreads"),
            needspinning: field("needspinning"),
            idlethreads: field("idlethreads"),
            runqueue: field("runqueue"),
            local: list(rest.split(']').next().expect(line), line),
            schedticks: rest
                .split_once(" schedticks=")
                .map(|(_, ticks)| list(ticks.strip_suffix(']').expect(line), line)),
        }
    }

    fn is_idle(&self) -> bool {
        self.idleprocs == self.gomaxprocs && self.runqueue == 0 && self.local.iter().all(|n| *n == 0)
    }
}

fn list<N: std::str::FromStr>(text: &str, line: &str) -> Vec<N> {
    let numbers = text.strip_prefix('[').expect(line).split_whitespace();
    numbers.map(|n| n.parse().unwrap_or_else(|_| panic!("{n:?} in {line:?}"))).collect()
}

/// Standard output and standard error in one pipe, so that the order is seen.
fn run_together(command: &mut Command) -> Vec<String> {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let other = writer.try_clone().expect("a pipe");
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(other).spawn().expect("it starts");
    // The command holds the writers; the end of the text comes when they are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let text = std::io::read_to_string(reader).expect("it prints UTF-8");
    assert!(child.wait().expect("it is ours").success(), "{text}");
    text.lines().map(str::to_owned).collect()
}

fn hundred_thousand(mode: Mode, procs: usize) {
    let mut program = mode.program("hundred_thousand");
    let lines = run_together(program.env("PIRN_MAXPROCS", procs.to_string()).env("PIRN_DEBUG", "schedtrace=100"));
    let all = lines.join("\n");
    let at = |line: &str| {
        let at = lines.iter().position(|other| other == line);
        at.unwrap_or_else(|| panic!("no line {line:?} in\n{all}"))
    };
    let cpus = std::thread::available_parallelism().expect("the system knows");
    let cpus = at(&format!("CPUs {cpus}"));
    let ps = at(&format!("Ps {procs}"));
    let started = at("Started 100000 goroutines");
    let done = at("All done");
    assert!(cpus < ps && ps < started && started < done, "{all}");
    assert_eq!(lines.iter().filter(|line| !line.starts_with("SCHED ")).count(), 4, "{all}");

    let trace = |range: &[String]| -> Vec<Line> {
        let of_trace = range.iter().filter(|line| line.starts_with("SCHED "));
        of_trace.map(|line| Line::parse(line)).collect()
    };
    let whole = trace(&lines);
    // The first at 0 ms, or as soon as the system lets sysmon run.
    assert!(whole.first().is_some_and(|line| line.ms < 500), "{all}");
    for line in &whole {
        check(line, procs);
    }
    for pair in whole.windows(2) {
        assert!(pair[1].ms > pair[0].ms, "{all}");
        let ticks = |line: &Line| line.schedticks.as_ref().map_or(0, |ticks| ticks.iter().sum::<u64>());
        assert!(ticks(&pair[1]) >= ticks(&pair[0]), "{all}");
    }
    // All sleep: until 2 s after the first was started nothing runs. A very busy machine takes longer to start them.
    let starting = trace(&lines[..started]);
    if starting.last().is_some_and(|line| line.ms < 1000) {
        let sleeping = trace(&lines[started..done]);
        assert!(sleeping.iter().any(Line::is_idle), "{all}");
    }
    // Each G has begun a slice when it started, and another one when it woke.
    let last = whole.last().expect("there were some");
    let ticks: u64 = last.schedticks.as_ref().expect("the format of Go").iter().sum();
    assert!((100_000..300_000).contains(&ticks), "{all}");
    assert!(last.ms >= 2000, "{all}");
}

/// What holds in every line.
fn check(line: &Line, procs: usize) {
    assert_eq!(line.gomaxprocs, procs, "{line:?}");
    assert_eq!(line.local.len(), procs, "{line:?}");
    assert_eq!(line.schedticks.as_ref().map(Vec::len), Some(procs), "{line:?}");
    assert!(line.idleprocs <= procs, "{line:?}");
    assert!(line.idlethreads < line.threads, "{line:?}");
    assert!(line.spinningthreads < line.threads, "{line:?}");
    // sysmon, and not many more Ms than Ps: nothing blocks here, but a page fault may, where others map memory too.
    assert!((2..=procs + 64).contains(&line.threads), "{line:?}");
    assert!(line.needspinning <= 1, "{line:?}");
    // 256 at most; but the two parts of a queue are not read at the same moment.
    assert!(line.local.iter().all(|length| *length <= 512), "{line:?}");
}

#[test]
fn hundred_thousand_on_one_p() {
    hundred_thousand(Mode::Isolated, 1);
}

#[test]
fn hundred_thousand_on_two_ps() {
    hundred_thousand(Mode::Isolated, 2);
}

#[test]
fn hundred_thousand_with_shared_thread_locals() {
    hundred_thousand(Mode::Shared, 2);
}

#[test]
fn compact_lines_have_no_schedticks() {
    let (_, trace) = run(program("ring")
        .arg("500000")
        .env("PIRN_MAXPROCS", "3")
        .env("PIRN_DEBUG", "schedtrace=1000,schedfmt=compact"));
    let first = trace.lines().next().expect("there is one at the beginning");
    assert!(first.contains(" ["), "{first}");
    assert!(!first.contains("[ ") && first.ends_with(']'), "{first}");
    let line = Line::parse(first);
    assert_eq!((line.gomaxprocs, line.local.len()), (3, 3), "{first}");
    assert!(line.schedticks.is_none(), "{first}");
}

#[test]
fn a_bad_setting_is_named_and_does_no_harm() {
    let (out, complaints) =
        run(program("ring").arg("1000").env("PIRN_MAXPROCS", "many").env("PIRN_DEBUG", "schedtrac=100"));
    assert!(out.starts_with("G 498 of 503"), "{out}");
    let complaints: Vec<_> = complaints.lines().collect();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].starts_with("pirn: PIRN_MAXPROCS: bad value \"many\""), "{complaints:?}");
    assert!(complaints[1].starts_with("pirn: PIRN_DEBUG: unknown key \"schedtrac\""), "{complaints:?}");
}

/// The lines of schedtrace that a program has printed, and the others.
fn traced(mode: Mode, name: &str, procs: usize, debug: &str) -> (Vec<Line>, Vec<String>) {
    let lines = run_together(mode.program(name).env("PIRN_MAXPROCS", procs.to_string()).env("PIRN_DEBUG", debug));
    let (trace, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("SCHED "));
    (trace.iter().map(|line| Line::parse(line)).collect(), others)
}

#[test]
fn steal() {
    for mode in MODES {
        let (trace, others) = traced(mode, "steal", 4, "schedtrace=5");
        assert_eq!((others[0].as_str(), others[2].as_str()), ("4 Ps", "the Ps have stolen from each other: true"));
        assert!(others[1].starts_with("200 jobs done, result "), "{others:?}");
        let last = trace.last().and_then(|line| line.schedticks.clone()).expect("there were lines");
        assert!(last.iter().filter(|ticks| **ticks > 10).count() >= 2, "{last:?}");
    }
}

#[test]
fn preempt() {
    for mode in MODES {
        let (trace, others) = traced(mode, "preempt", 2, "schedtrace=50");
        assert!(others[0].starts_with("2 loops on 2 Ps, and "), "{others:?}");
        assert!(others[1].starts_with("late: half of them "), "{others:?}");
        assert_eq!(others[2], "every loop has got on: true", "{others:?}");
        // Two threads for the loops, one for the ticker, and sysmon.
        assert!(trace.iter().any(|line| line.threads >= 4), "{trace:?}");
    }
}

#[test]
fn blocking() {
    for mode in MODES {
        let (trace, others) = traced(mode, "blocking", 2, "schedtrace=100");
        let ms = |line: &Line| line.ms;
        assert_eq!(others.len(), 4, "{others:?}");
        assert_eq!(others[2], "now there is a thread for nearly every one: true");
        let most = trace.iter().map(|line| line.threads).max();
        let last = trace.last().expect("there were lines");
        assert!(most > Some(55) && last.threads < 10, "{most:?} threads, {} at {} ms", last.threads, ms(last));
    }
}

#[test]
fn detail() {
    MODES.into_iter().for_each(detail_in);
}

fn detail_in(mode: Mode) {
    let mut program = mode.program("detail");
    let lines = run_together(program.env("PIRN_MAXPROCS", "2").env("PIRN_DEBUG", "schedtrace=100,scheddetail=1"));
    let all = lines.join("\n");
    assert_eq!(lines.last().map(String::as_str), Some("all have ended"), "{all}");
    let of = |name: &str| format!("name={name:?}");
    let shows = |status: &str, name: &str| lines.iter().any(|line| line.contains(status) && line.contains(&of(name)));
    assert!(shows(": status=2() m=", "computes") && shows(": status=4(sleep) m=nil", "sleeps"), "{all}");
    assert!(
        shows(": status=4(chan receive) m=nil", "receives") && shows(": status=4(select) m=nil", "selects"),
        "{all}"
    );
    assert!(
        shows(": status=3() m=", "blocks") && shows(": status=4(sleep) m=nil lockedm=", "keeps its thread"),
        "{all}"
    );
}

#[test]
fn deadlock() {
    MODES.into_iter().for_each(deadlock_in);
}

fn deadlock_in(mode: Mode) {
    let output = mode.program("deadlock").stdin(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        said.starts_with("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [join, \"main\""),
        "{said}"
    );
    for name in ["Plato", "Hypatia", "Laozi"] {
        let part = said.split("\n\n").find(|part| part.contains(name)).unwrap_or_else(|| panic!("no {name} in {said}"));
        assert!(part.starts_with("goroutine ") && part.contains(" [chan receive, "), "{part}");
        // The line that waits, and the one that called it.
        assert!(part.contains("pick_up(...)") && part.contains("dine(...)") && part.contains("deadlock.rs:"), "{part}");
    }
    assert!(output.stdout.is_empty(), "{}", text(&output));
}

#[test]
fn lock_cycle() {
    MODES.into_iter().for_each(lock_cycle_in);
}

fn lock_cycle_in(mode: Mode) {
    let output = mode.program("lock_cycle").stdin(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let (head, gs) = said.split_once("\n\ngoroutine 1 [join, \"main\"").unwrap_or_else(|| panic!("{said}"));
    let (what, cycle) = head.split_once("\n\n").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(what, "fatal error: all goroutines are asleep - deadlock!");
    for part in
        ["cycle: goroutine ", "\"debit\" waits for mutex 0x", "\"check\" (sync.Mutex.Lock), which waits for mutex 0x"]
    {
        assert!(cycle.contains(part), "{said}");
    }
    assert!(gs.contains("[sync.Mutex.Lock, \"notify\", on mutex 0x") && gs.contains("\"debit\", for "), "{said}");
}

#[test]
fn a_stack_gets_memory_as_it_is_used() {
    MODES.into_iter().for_each(stack_growth_in);
}

fn stack_growth_in(mode: Mode) {
    let (out, trace) = run(&mut mode.program("stack_growth"));
    assert_eq!(trace, "");
    let lines: Vec<_> = out.lines().filter(|line| line.contains(" 0x")).collect();
    assert_eq!(lines.len(), 20, "{out}");
    let mut before: Option<(usize, usize)> = None;
    for (nth, line) in lines.iter().enumerate() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[0], ((nth + 1) * 10).to_string(), "{line}");
        let pointer = usize::from_str_radix(words[1].trim_start_matches("0x"), 16).expect(line);
        let committed: usize = words[2].parse().expect(line);
        assert_eq!(words[3], "KiB", "{line}");
        let grew = line.ends_with("<- grew");
        if let Some((pointer_before, committed_before)) = before {
            // Ten frames of about 1 KiB; debug builds need more.
            assert!((8 << 10..64 << 10).contains(&(pointer_before - pointer)), "{out}");
            assert!(committed >= committed_before, "{out}");
            assert_eq!(grew, committed > committed_before, "{line}");
        }
        before = Some((pointer, committed));
    }
    let grown = lines.iter().filter(|line| line.ends_with("<- grew")).count();
    assert!(grown >= 10, "{out}");
    // The sieve: right, and it lay on the stack.
    let last = out.lines().last().expect("it prints");
    let committed = last.strip_prefix("664579 primes, ").and_then(|rest| rest.strip_suffix(" MiB committed"));
    let committed: usize = committed.expect(last).parse().expect(last);
    assert!((9..=64).contains(&committed), "{last}");
}

#[test]
fn the_token_ends_where_it_should() {
    for (passes, winner) in [("0", 1), ("1", 2), ("1000", 498), ("20000", 384)] {
        for (mode, procs) in everywhere() {
            let (out, _) = run(mode.program("ring").arg(passes).env("PIRN_MAXPROCS", procs));
            let first = out.lines().next().unwrap_or_default();
            assert_eq!(first, format!("G {winner} of 503 has the token after {passes} passes"));
            assert!(out.ends_with(&format!(" ns per hop, Ps {procs}\n")), "{out}");
        }
    }
}

#[test]
fn a_wrong_number_of_passes_is_refused() {
    let output = program("ring").arg("some").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "usage: ring [PASSES]\n");
}

/// In both modes, on so many Ps.
fn everywhere() -> impl Iterator<Item = (Mode, &'static str)> {
    MODES.into_iter().flat_map(|mode| ["1", "2", "4"].map(|procs| (mode, procs)))
}

/// What an example prints, to the letter.
#[track_caller]
fn prints(name: &str, lines: &[&str]) {
    for (mode, procs) in everywhere() {
        let (out, complaints) = run(mode.program(name).env("PIRN_MAXPROCS", procs));
        assert_eq!(out.lines().collect::<Vec<_>>(), lines, "{name} on {procs} Ps, {mode:?}");
        assert_eq!(complaints, "", "{name} on {procs} Ps, {mode:?}");
    }
}

#[test]
fn prime_sieve() {
    prints("prime_sieve", &["2 3 5 7 11 13 17 19 23 29"]);
    let (out, _) = run(program("prime_sieve").arg("100"));
    assert!(out.ends_with(" 523 541\n"), "{out}");
}

#[test]
fn ping_pong() {
    prints("ping_pong", &["ping 1", "pong 2", "ping 3", "pong 4", "ping 5", "pong 6", "pong leaves", "ping leaves"]);
}

#[test]
fn worker_pool() {
    let done = "9 jobs done: [1, 4, 9, 16, 25, 36, 49, 64, 81]";
    prints("worker_pool", &["job 10 comes back: the pool is closed", done]);
}

#[test]
fn fan_in() {
    prints("fan_in", &["[1, 4, 9, 16, 25, 36, 49, 64, 81, 100]"]);
}

#[test]
fn pipeline() {
    prints("pipeline", &["1", "16", "81", "256", "625"]);
}

#[test]
fn select_timeout() {
    prints("select_timeout", &["nothing yet", "nothing for 10 ms", "the answer is 42"]);
}

#[test]
fn quit_channel() {
    let numbers = ["0", "1", "1", "2", "3", "5", "8", "13", "21", "34"];
    let end = ["quit", "it has sent 10 numbers"];
    prints("quit_channel", &[&numbers[..], &end].concat());
}

#[test]
fn heartbeat() {
    prints("heartbeat", &["heartbeat 1", "heartbeat 2", "heartbeat 3", "no heartbeat for 500 ms: it is stuck"]);
}

#[test]
fn priority_select() {
    prints("priority_select", &["urgent 1", "urgent 2", "urgent 3", "normal 1", "normal 2", "normal 3"]);
}

#[test]
fn nil_merge() {
    prints("nil_merge", &["[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 19]"]);
}

#[test]
fn safe_counter() {
    prints("safe_counter", &["somekey: 250, another: 750, none: 0"]);
}

#[test]
fn barrier() {
    prints("barrier", &["all 5 have arrived", "what they see: [55, 55, 55, 55, 55]"]);
}

#[test]
fn reusable_barrier() {
    let lines = [
        "step 1: [1, 3, 5, 7, 9, 11, 13, 15]",
        "step 2: [1, 3, 6, 10, 14, 18, 22, 26]",
        "step 4: [1, 3, 6, 10, 15, 21, 28, 36]",
    ];
    prints("reusable_barrier", &lines);
}

/// How long its calls take is not tested.
#[test]
fn simple_cache() {
    for (mode, procs) in everywhere() {
        let (out, complaints) = run(mode.program("simple_cache").env("PIRN_MAXPROCS", procs));
        let words: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
        let [head, rows @ .., last] = &*words else { panic!("{out}") };
        assert_eq!(head[0], "reads", "{out}");
        let reads: Vec<_> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(reads, ["0", "50", "90", "99"], "{out}");
        // A row has a time for each cache.
        let times = |row: &Vec<&str>| row[2..].chunks(2).all(|time| time[0].parse::<u64>().is_ok() && time[1] == "ns");
        assert!(rows.iter().all(|row| row.len() == 2 * head.len() && times(row)), "{out}");
        assert_eq!(last.join(" "), "read something: true, something wrong: 0", "{out}");
        assert_eq!(complaints, "", "on {procs} Ps, {mode:?}");
    }
}

#[test]
fn producer_consumer() {
    let lines = ["taken: 3000, their sum is right: true", "never more than 5 in the buffer"];
    prints("producer_consumer", &lines);
}

#[test]
fn parallel_map() {
    let lines = [
        "1. in order: true",
        "2. Ok([1, 2, 3])",
        "2. Err(\"\\\"an hour\\\" is no number\")",
        "3. in order: true",
        "3. at once: 10",
        "3. Err(\"81 is odd\")",
    ];
    prints("parallel_map", &lines);
}

#[test]
fn semaphore() {
    prints("semaphore", &["100 jobs, at most 2 at a time"]);
}

#[test]
fn errgroup_fetch() {
    prints("errgroup_fetch", &["Ok(17)", "Err(\"missing: not found\")"]);
}

#[test]
fn context_timeout() {
    let lines = [
        "request 7: query: Err(DeadlineExceeded)",
        "request 7: rows: Err(DeadlineExceeded)",
        "cause: the client waits no longer",
        "child: None",
        "child: done",
    ];
    prints("context_timeout", &lines);
}

#[test]
fn signal() {
    prints("signal", &["done: 42", "ready: 0 at the goal", "go: [1, 2, 3] at the goal"]);
}

#[test]
fn generator() {
    prints("generator", &["all: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]", "five: [1, 2, 3, 4, 5]"]);
}

/// A server that runs until it is dropped, or its input ends.
struct Server {
    child: Child,
    address: SocketAddr,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it, and waits until it listens.
    fn start(mode: Mode, name: &str) -> Server {
        let mut command = mode.program(name);
        command.arg("127.0.0.1:0").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("it says where it listens").expect("it prints UTF-8");
        let address = first.trim_start_matches("listening on ").trim_start_matches("http://");
        Server { address: address.parse().expect(&first), child, lines }
    }

    /// A connection, whose reads do not last for ever.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not nought");
        stream
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it says more").expect("it prints UTF-8")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.child.kill();
        self.child.wait().expect("it is ours");
    }
}

#[test]
fn echo_server() {
    MODES.into_iter().for_each(echo_server_in);
}

fn echo_server_in(mode: Mode) {
    let mut server = Server::start(mode, "echo_server");
    let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (nth, mut client) in clients.iter().enumerate() {
        write!(client, "hello {nth}").expect("it reads");
        client.shutdown(Shutdown::Write).expect("it is connected");
    }
    for (nth, mut client) in clients.iter().enumerate() {
        let mut text = String::new();
        client.read_to_string(&mut text).expect("it answers");
        assert_eq!(text, format!("hello {nth}"));
        assert!(server.line().ends_with(" bytes"));
    }
}

#[test]
fn http_server() {
    MODES.into_iter().for_each(http_server_in);
}

fn http_server_in(mode: Mode) {
    let server = Server::start(mode, "http_server");
    let mut client = server.connect();
    // Two requests on one connection, in one piece.
    let get = |path| format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write_all((get("you") + &get("me")).as_bytes()).expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is connected");
    let mut text = String::new();
    client.read_to_string(&mut text).expect("it answers");
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(text, answer("Hello, you!\n") + &answer("Hello, me!\n"));
}

#[test]
fn chat() {
    MODES.into_iter().for_each(chat_in);
}

fn chat_in(mode: Mode) {
    let server = Server::start(mode, "chat");
    let join = || {
        let stream = server.connect();
        let port = stream.local_addr().expect("it has one").port();
        (BufReader::new(stream.try_clone().expect("a descriptor")).lines(), stream, port)
    };
    let (mut first_reads, mut first, first_port) = join();
    let (mut second_reads, second, second_port) = join();
    let mut next = || first_reads.next().expect("more").expect("it is connected");
    assert_eq!(next(), format!("{second_port} has come, 2 are here"));
    writeln!(first, "hello").expect("it reads");
    assert_eq!(second_reads.next().expect("more").expect("it is connected"), format!("{first_port}: hello"));
    writeln!(&second, "who is there?").expect("it reads");
    assert_eq!(next(), format!("{second_port}: who is there?"));
    second.shutdown(Shutdown::Both).expect("it is connected");
    assert_eq!(next(), format!("{second_port} has left"));
}

#[test]
fn port_scan() {
    MODES.into_iter().for_each(port_scan_in);
}

fn port_scan_in(mode: Mode) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let (first, last) = (port.saturating_sub(300), port.saturating_add(300));
    let (out, _) = run(mode.program("port_scan").args(["localhost".to_owned(), first.to_string(), last.to_string()]));
    let lines: Vec<_> = out.lines().collect();
    assert!(lines.contains(&&*format!("{port} is open")), "{out}");
    let tried = format!("{} ports in ", usize::from(last - first) + 1);
    assert!(lines.last().is_some_and(|line| line.starts_with(&tried)), "{out}");
}

#[test]
fn graceful_shutdown() {
    MODES.into_iter().for_each(graceful_shutdown_in);
}

fn graceful_shutdown_in(mode: Mode) {
    let mut server = Server::start(mode, "graceful_shutdown");
    let (slow, idle) = (server.connect(), server.connect());
    writeln!(&idle, "0").expect("it reads");
    let mut idle_reads = BufReader::new(idle).lines();
    assert_eq!(idle_reads.next().expect("an answer").expect("it is connected"), "after 0 ms");
    writeln!(&slow, "1000").expect("it reads");
    // Its request is read while this one is answered.
    let other = server.connect();
    writeln!(&other, "100").expect("it reads");
    let mut other_reads = BufReader::new(other).lines();
    assert_eq!(other_reads.next().expect("an answer").expect("it is connected"), "after 100 ms");
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("it is there").success());
    assert_eq!(server.line(), "closing: SIGTERM");
    // Those that only wait end at once, the answer that is due comes, and nobody can connect any more.
    assert!(idle_reads.next().is_none());
    assert_eq!(server.line(), "all requests are answered");
    let mut slow_reads = BufReader::new(slow).lines();
    assert_eq!(slow_reads.next().expect("an answer").expect("it is connected"), "after 1000 ms");
    assert!(slow_reads.next().is_none());
    assert!(server.child.wait().expect("it is ours").success());
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn crawler() {
    let lines = [
        "/: 3 links",
        "/about: 2 links",
        "/blog: 3 links",
        "/blog/1: 2 links",
        "/blog/2: 2 links",
        "/blog/3: 2 links",
        "/contact: 1 links",
        "/old: 404 Not Found",
        "/team: 1 links",
    ];
    prints("crawler", &lines);
}

#[cfg(feature = "hook")]
#[test]
fn std_everything_needs_few_threads_and_ends_without_a_word() {
    let (out, err) = run(program("std_everything").env("PIRN_MAXPROCS", "2"));
    let (child, last) = out.trim().split_once('\n').expect(&out);
    assert_eq!(child, "a child too");
    let threads = last.strip_prefix("1000 goroutines have waited, and there were ").expect(&out);
    let threads: usize = threads.strip_suffix(" threads").expect(&out).parse().expect(&out);
    // Some more than Ps: where others use the machine, an M that waits for a CPU looks like one that blocks.
    assert!(threads <= 2 + 64, "{out}");
    // A goroutine that sleeps is unwound by a panic of std's, which is not printed.
    assert_eq!(err, "");
}

#[cfg(feature = "hook")]
#[test]
fn std_echo_sends_back() {
    let mut child = program("std_echo").arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it says where it listens");
    let address: SocketAddr = line.trim().strip_prefix("listening on ").expect(&line).parse().expect(&line);
    let mut streams: Vec<_> = (0..50).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    for stream in &mut streams {
        stream.write_all(b"hello").expect("it reads");
    }
    for mut stream in streams {
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let mut got = String::new();
        stream.read_to_string(&mut got).expect("it writes");
        assert_eq!(got, "hello");
    }
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

/// With a store in memory, and, if there is a redis-server here, with Redis.
#[test]
fn shared_limit() {
    let check = |command: &mut Command| {
        let (out, complaints) = run(command);
        assert!(out.starts_with("200 calls of two processes got 10 permits\n"), "{out}");
        assert_eq!((out.lines().count(), complaints.as_str()), (2, ""));
    };
    MODES.into_iter().for_each(|mode| check(&mut mode.program("shared_limit")));
    let folder = std::env::temp_dir().join(format!("pirn-redis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the socket");
    let socket = folder.join("redis");
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(&socket)
        .stdout(Stdio::null())
        .current_dir(&folder)
        .spawn();
    if let Ok(mut server) = server {
        let began = Instant::now();
        while !socket.exists() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        MODES.into_iter().for_each(|mode| check(mode.program("shared_limit").arg(&socket)));
        server.kill().expect("it is ours");
        server.wait().expect("it is ours");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn lock_free() {
    let lines = [
        "each value popped once: true",
        "popped 4000, dropped 4000",
        "dropped with the stack: 3",
        "100 tickets sold, 400 asked for",
    ];
    prints("lock_free", &lines);
}

/// What a lesson prints, on so many Ps, in both modes.
#[track_caller]
fn lesson(name: &str, args: &[&str], check: impl Fn(&[&str], &str)) {
    for (mode, procs) in everywhere() {
        let (out, complaints) = run(mode.program("lessons").arg(name).args(args).env("PIRN_MAXPROCS", procs));
        let on = format!("{name} on {procs} Ps, {mode:?}: {out}");
        check(&out.lines().collect::<Vec<_>>(), &on);
        assert_eq!(complaints, "", "{on}");
    }
}

/// What a lesson prints, to the letter.
#[track_caller]
fn teaches(name: &str, lines: &[&str]) {
    lesson(name, &[], |out, on| assert_eq!(out, lines, "{on}"));
}

#[test]
fn a_lesson_without_a_name_is_refused() {
    let output = program("lessons").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("usage: lessons LESSON\nlessons: as_completed, "), "{said}");
}

#[test]
fn lesson_as_completed() {
    teaches("as_completed", &["about: 5 bytes", "contact: 7 bytes", "index: 5 bytes", "more: false"]);
}

#[test]
fn lesson_bank_transfer() {
    let lines = [
        "race: 2 of 2 paid, balances [-100, 100, 100]",
        "repaired: 1 of 2 paid, account 0 has 0",
        "3000 transfers: the sum is 3000, somebody overdrawn: false",
    ];
    teaches("bank_transfer", &lines);
}

#[test]
fn lesson_event() {
    let lines = [
        "told before it is set: 0",
        "told after it: 5 goroutines and a thread",
        "a later wait returns at once",
        "after a reset a wait lasts: true",
    ];
    teaches("event", &lines);
}

#[test]
fn lesson_file_pipeline() {
    let lines = [
        "good: Ok(1000)",
        "1000 lines, the last is Some(\"1000000\")",
        "bad: line 500: \"five hundred\": invalid digit found in string",
        "is there a file: false",
        "none: true",
    ];
    teaches("file_pipeline", &lines);
}

#[test]
fn lesson_gather() {
    let lines = [
        "Ok(5)",
        "Err(\"404 Not Found\")",
        "Ok(5)",
        "Err(\"500 Internal Server Error\")",
        "all: Ok([5, 5])",
        "all: Err(\"404 Not Found\")",
    ];
    teaches("gather", &lines);
}

/// How much faster it is together is not tested: the machine may be busy.
#[test]
fn lesson_io_and_cpu() {
    lesson("io_and_cpu", &[], |out, on| {
        let [one_by_one, together, ratio] = out else { panic!("{on}") };
        for (line, how) in [(one_by_one, "one after the other"), (together, "together")] {
            let ms = line.strip_prefix(&format!("{how}: answers 190, primes 9048, "));
            let ms = ms.and_then(|rest| rest.strip_suffix(" ms"));
            assert!(ms.is_some_and(|ms| ms.parse::<u64>().is_ok()), "{on}");
        }
        let (ratio, ps) = ratio.split_once(" times as fast on ").expect(on);
        assert!(ratio.parse::<f64>().is_ok() && ps.ends_with(" Ps"), "{on}");
    });
}

#[test]
fn lesson_order_service() {
    let lines = [
        "flaky: 15 orders, tries [1, 1, 1, 2, 1, 1, 1, 1, 3, 1, 1, 1, 2, 1, 1], 19 calls",
        "slow: 5 orders done, 3 refused as the bulkhead is full, 5 calls",
        "down: the backend is down after 3 calls",
        "down: the breaker is open after 1 calls",
        "down: the breaker is open after 0 calls",
        "well: the breaker is open after 0 calls",
        "well: done after 1 calls",
        "well: done after 1 calls",
        "the breaker: opened 1, rejected 3, failed 8",
    ];
    teaches("order_service", &lines);
}

#[test]
fn lesson_semaphore() {
    teaches("semaphore", &["6 workers, at most 3 at a time", "permits at the end: 3"]);
}

#[test]
fn lesson_sentinel() {
    teaches("sentinel", &["with 2 sentinels: 5050, left in the queue: 0", "with the end of the channel: 5050"]);
}

#[test]
fn lesson_task_group() {
    let lines = ["no task fails: Ok(15)", "one task fails: Err(\"out of paper\"); others that have stopped: 3"];
    teaches("task_group", &lines);
}

/// What they cost is not tested, but that it is measured.
#[test]
fn lesson_threads_and_gs() {
    lesson("threads_and_gs", &["50"], |out, on| {
        assert_eq!(out[0], "50 wanted, 50 threads are started", "{on}");
        let rows: Vec<Vec<_>> = out[1..].iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[..2], [vec!["threads", "goroutines"], vec!["count", "50", "50"]], "{on}");
        for (row, name) in rows[2..].iter().zip(["start, us each", "memory, KiB each", "switch, ns each"]) {
            let (figures, words) = (&row[row.len() - 2..], &row[..row.len() - 2]);
            assert_eq!(words.join(" "), name, "{on}");
            assert!(figures.iter().all(|figure| figure.parse::<f64>().is_ok_and(|it| it >= 0.0)), "{on}");
        }
        assert_eq!(rows.len(), 5, "{on}");
    });
}

#[test]
fn lesson_wait_group() {
    let greetings = "hello, Ada; hello, Barbara; hello, Edsger; hello, Grace; hello, Tony";
    teaches("wait_group", &[greetings, "lengths: [3, 7, 6, 5, 4]"]);
}

#[test]
fn lesson_worker_pool() {
    let lines = [
        "results: [1, 4, 9, 16, 25, 36, 49, 64, 81]; each worker: no more jobs",
        "5 results are enough; each worker: quit",
        "10 ms are over; each worker: context deadline exceeded",
    ];
    teaches("worker_pool", &lines);
}
