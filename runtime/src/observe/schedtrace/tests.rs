//! Against what Go printed, and field by field.

use super::fields::{G, M, P, Stands};
use super::text::fields;
use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::panic::Location;

/// What Go 1.27 itself printed.
const RECORDED: &str = include_str!("../../../tests/golden/go-1.27-schedtrace.txt");

/// The same with `scheddetail=1`.
const RECORDED_DETAIL: &str = include_str!("../../../tests/golden/go-1.27-scheddetail.txt");

// ------------------------------------------------------------------------------------------------ reading Go's lines

/// Takes a number or what else can be parsed from between two texts, and what comes after.
fn between<'a, N: std::str::FromStr>(text: &'a str, before: &str, after: &str) -> (N, &'a str) {
    let text = text.strip_prefix(before).unwrap_or_else(|| panic!("no {before:?} in {text:?}"));
    let (value, rest) = text.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {text:?}"));
    (value.parse().unwrap_or_else(|_| panic!("bad value {value:?}")), rest)
}

/// The same for a number that may be `nil`.
fn id_between<'a, N: std::str::FromStr>(text: &'a str, before: &str, after: &str) -> (Option<N>, &'a str) {
    let (word, rest) = between::<String>(text, before, after);
    let number = || word.parse().unwrap_or_else(|_| panic!("bad number {word:?}"));
    ((word != "nil").then(number), rest)
}

/// Parses the numbers of a list.
fn list<N: std::str::FromStr>(text: &str) -> Vec<N> {
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("bad number {word:?}"));
    text.split_whitespace().map(number).collect()
}

/// Reads what all headers of Go 1.27 begin with, and gives what comes after `runqueue=`.
fn parse_head(text: &str) -> (TraceLine, &str) {
    let (ms, text) = between(text, "SCHED ", "ms: ");
    let (gomaxprocs, text) = between(text, "gomaxprocs=", " ");
    let (idleprocs, text) = between(text, "idleprocs=", " ");
    let (threads, text) = between(text, "threads=", " ");
    let (spinningthreads, text) = between(text, "spinningthreads=", " ");
    let (needspinning, text) = between::<u8>(text, "needspinning=", " ");
    let (idlethreads, text) = between(text, "idlethreads=", " ");
    let (runqueue, text) = between(text, "runqueue=", " ");
    assert!(needspinning <= 1);
    let line = TraceLine {
        ms,
        gomaxprocs,
        idleprocs,
        threads,
        spinningthreads,
        needspinning: needspinning == 1,
        idlethreads,
        runqueue,
        local: Vec::new(),
        schedticks: Vec::new(),
        nmidlelocked: 0,
        sysmonwait: false,
        leftout: 0,
    };
    (line, text)
}

/// Reads a line without detail, with its end.
fn parse(text: &str) -> TraceLine {
    let (line, text) = parse_head(text);
    let (local, text) = between::<String>(text, "[", "]");
    let (schedticks, text) = between::<String>(text, " schedticks=[", "]");
    assert_eq!(text, "\n");
    TraceLine { local: list(&local), schedticks: list(&schedticks), ..line }
}

/// Reads a header with detail.
fn parse_header(text: &str) -> TraceLine {
    let (line, text) = parse_head(text);
    let (gcwaiting, text) = between::<bool>(text, "gcwaiting=", " ");
    let (nmidlelocked, text) = between(text, "nmidlelocked=", " ");
    let (stopwait, text) = between::<u32>(text, "stopwait=", " ");
    let (sysmonwait, text) = between(text, "sysmonwait=", "\n");
    assert_eq!(text, "");
    assert_eq!((gcwaiting, stopwait), (false, 0), "constants here");
    TraceLine { nmidlelocked, sysmonwait, ..line }
}

/// Reads the line of a P.
fn parse_p(text: &str) -> PLine {
    let (id, text) = between(text, "  P", ": ");
    let (status, text) = between(text, "status=", " ");
    let (schedtick, text) = between(text, "schedtick=", " ");
    let (syscalltick, text) = between(text, "syscalltick=", " ");
    let (m, text) = id_between(text, "m=", " ");
    let (runqsize, text) = between(text, "runqsize=", " ");
    let (gfreecnt, text) = between(text, "gfreecnt=", " ");
    let (timerslen, text) = between(text, "timerslen=", "\n");
    assert_eq!(text, "");
    PLine { id, status, schedtick, syscalltick, m, runqsize, gfreecnt, timerslen, runnext: None }
}

/// Reads the line of an M. Of what is constant here only `locks` may be anything: Go counts 16 for each lock of the
/// runtime that the M holds or waits for (so sysmon, which prints, has 32: its own and the scheduler's), and 1 for each
/// reason not to be preempted.
fn parse_m(text: &str) -> MLine {
    let (id, text) = between(text, "  M", ": ");
    let (p, text) = id_between(text, "p=", " ");
    let (curg, text) = id_between(text, "curg=", " ");
    let (mallocing, text) = between::<u32>(text, "mallocing=", " ");
    let (throwing, text) = between::<u32>(text, "throwing=", " ");
    let (preemptoff, text) = between::<String>(text, "preemptoff=", " ");
    let (_, text) = between::<u32>(text, "locks=", " ");
    let (dying, text) = between::<u32>(text, "dying=", " ");
    let (spinning, text) = between(text, "spinning=", " ");
    let (blocked, text) = between(text, "blocked=", " ");
    let (lockedg, text) = id_between(text, "lockedg=", "\n");
    assert_eq!(text, "");
    assert_eq!((mallocing, throwing, preemptoff.as_str(), dying), (0, 0, "", 0), "constants here");
    MLine { id, p, curg, spinning, blocked, lockedg, polls: false, tid: 0 }
}

/// The line of an M with the one number that is constant here and not in Go: `locks=0`.
fn without_locks(text: &str) -> String {
    let (before, rest) = text.split_once(" locks=").expect("every M has locks");
    let (_, after) = rest.split_once(' ').expect("it is not the last field");
    format!("{before} locks=0 {after}")
}

/// Reads the line of a G. The reason may have brackets in it.
fn parse_g(text: &'static str) -> GLine {
    let (id, text) = between(text, "  G", ": ");
    let (status, text) = between(text, "status=", "(");
    let (wait_reason, text) = text.rsplit_once(") ").unwrap_or_else(|| panic!("no reason in {text:?}"));
    let (m, text) = id_between(text, "m=", " ");
    let (lockedm, text) = id_between(text, "lockedm=", "\n");
    assert_eq!(text, "");
    GLine { id, status, wait_reason, m, lockedm, ..nobody() }
}

/// A header and the lines that follow it: as text, in which `locks` are 0, and what it says.
struct Block {
    text: Vec<String>,
    line: TraceLine,
    detail: Detail,
}

/// All blocks that were recorded.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for recorded in RECORDED_DETAIL.split_inclusive('\n').filter(|line| !line.starts_with('#')) {
        if recorded.starts_with("SCHED") {
            let (line, detail) = (parse_header(recorded), Detail::default());
            blocks.push(Block { text: vec![recorded.to_owned()], line, detail });
            continue;
        }
        let Block { text, detail, .. } = blocks.last_mut().expect("a header is first");
        match recorded.as_bytes()[2] {
            b'P' => detail.ps.push(parse_p(recorded)),
            b'M' => detail.ms.push(parse_m(recorded)),
            b'G' => detail.gs.push(parse_g(recorded)),
            _ => panic!("what is {recorded:?}?"),
        }
        let is_m = recorded.starts_with("  M");
        text.push(if is_m { without_locks(recorded) } else { recorded.to_owned() });
    }
    blocks
}

// ---------------------------------------------------------------------------------------------------- made-up numbers

/// A line in which every number is another.
fn line() -> TraceLine {
    TraceLine {
        ms: 200,
        gomaxprocs: 2,
        idleprocs: 1,
        threads: 4,
        spinningthreads: 5,
        needspinning: true,
        idlethreads: 6,
        runqueue: 7,
        local: vec![8, 9],
        schedticks: vec![68426, 26756],
        nmidlelocked: 10,
        sysmonwait: true,
        leftout: 0,
    }
}

/// A P in which every number is another.
fn p() -> PLine {
    PLine {
        id: 11,
        status: 1,
        schedtick: 12,
        syscalltick: 13,
        m: Some(14),
        runqsize: 15,
        gfreecnt: 16,
        timerslen: 17,
        runnext: Some(18),
    }
}

/// An M in which every number is another.
fn m() -> MLine {
    MLine {
        id: 21,
        p: Some(22),
        curg: Some(23),
        spinning: true,
        blocked: false,
        lockedg: Some(24),
        polls: true,
        tid: 25,
    }
}

/// A G in which every number is another.
fn g() -> GLine {
    GLine {
        id: 31,
        status: 4,
        wait_reason: "chan receive (never)",
        m: Some(32),
        lockedm: Some(33),
        name: Some("worker".to_owned()),
        wait_ms: Some(34),
        heldby: Some(35),
        heldbytid: Some(36),
        birthplace: Some(Location::caller()),
    }
}

/// One P, M and G with everything, and one of each with as little as possible.
fn detail() -> Detail {
    Detail {
        ps: vec![p(), PLine { id: 0, status: 0, m: None, runnext: None, ..p() }],
        ms: vec![
            m(),
            MLine { id: 0, p: None, curg: None, spinning: false, blocked: true, lockedg: None, polls: false, tid: 26 },
        ],
        gs: vec![g(), nobody()],
    }
}

/// A G of which nothing is known.
fn nobody() -> GLine {
    let (m, lockedm, name, wait_ms, birthplace) = (None, None, None, None, None);
    let (heldby, heldbytid) = (None, None);
    GLine { id: 1, status: 6, wait_reason: "", m, lockedm, name, wait_ms, heldby, heldbytid, birthplace }
}

/// Where `g` says that it was started.
fn place(g: &GLine) -> String {
    let place = g.birthplace.expect("it is known");
    format!("{}:{}:{}", place.file(), place.line(), place.column())
}

/// Reads one line of JSON.
fn read(text: &str) -> Value {
    assert!(text.ends_with("}\n"));
    assert_eq!(text.lines().count(), 1);
    assert!(!text.trim_end_matches('\n').contains(|c: char| c < ' '), "JSON has these escaped");
    serde_json::from_str(text).expect("it is JSON")
}

// ------------------------------------------------------------------------------------------------- against what Go
// says

#[test]
fn recorded_lines_of_go_come_out_as_they_went_in() {
    let mut seen = [0; 3];
    for recorded in RECORDED.split_inclusive('\n').filter(|line| !line.starts_with('#')) {
        let line = parse(recorded);
        assert_eq!((line.local.len(), line.schedticks.len()), (line.gomaxprocs, line.gomaxprocs));
        assert_eq!(go(&line), recorded);
        seen[line.gomaxprocs.ilog2() as usize] += 1;
    }
    assert!(seen.iter().all(|lines| *lines >= 10), "too few lines for 1, 2 and 4 Ps: {seen:?}");
}

#[test]
fn recorded_ps_ms_and_gs_come_out_as_they_went_in() {
    let mut locked = 0;
    for recorded in RECORDED_DETAIL.split_inclusive('\n') {
        let mut text = String::new();
        let mut expected = recorded.to_owned();
        match recorded.get(..3) {
            Some("  P") => fields(&mut text, &P, &parse_p(recorded), &[Stands::Always]),
            Some("  M") => {
                fields(&mut text, &M, &parse_m(recorded), &[Stands::Always]);
                expected = without_locks(recorded);
                locked += usize::from(expected != recorded);
            }
            Some("  G") => fields(&mut text, &G, &parse_g(recorded), &[Stands::Always]),
            _ => continue,
        }
        assert_eq!(text + "\n", expected);
    }
    // sysmon holds locks each time that it prints.
    assert!(locked >= blocks().len(), "only {locked} Ms with locks");
}

#[test]
fn recorded_blocks_come_out_as_they_went_in_with_our_own_fields_at_the_end() {
    let mut seen = [0; 3];
    for Block { text, line, detail } in blocks() {
        let own = |line: &String| match &line[..3] {
            "  P" => line.replace('\n', " runnext=nil\n"),
            "  M" => line.replace('\n', " tid=0 polls=false\n"),
            _ => line.clone(),
        };
        assert_eq!(go_detail(&line, &detail), text.iter().map(own).collect::<String>());
        assert_eq!((detail.ps.len(), detail.ms.len()), (line.gomaxprocs, line.threads));
        seen[line.gomaxprocs.ilog2() as usize] += 1;
    }
    assert!(seen.iter().all(|blocks| *blocks >= 5), "too few blocks for 1, 2 and 4 Ps: {seen:?}");
}

#[test]
fn the_recording_has_what_there_is() {
    let all: Vec<_> = blocks().into_iter().map(|block| block.detail).collect();
    let ps = || all.iter().flat_map(|detail| &detail.ps);
    let ms = || all.iter().flat_map(|detail| &detail.ms);
    let gs = || all.iter().flat_map(|detail| &detail.gs);
    assert_eq!(
        ps().map(|p| (p.status, p.m.is_some())).collect::<BTreeSet<_>>(),
        BTreeSet::from([(0, false), (1, true)])
    );
    assert_eq!(gs().map(|g| g.status).collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3, 4, 6]));
    for some in [false, true] {
        assert!(ms().any(|m| m.p.is_some() == some) && ms().any(|m| m.curg.is_some() == some));
        assert!(ms().any(|m| m.lockedg.is_some() == some) && gs().any(|g| g.lockedm.is_some() == some));
        assert!(ms().any(|m| m.spinning == some) && ms().any(|m| m.blocked == some));
    }
    for reason in ["", "sleep", "chan receive", "chan receive (nil chan)", "select (no cases)", "sync.Mutex.Lock"] {
        assert!(gs().any(|g| g.wait_reason == reason), "{reason}");
    }
    // A G that runs or is ready shows what it waited for last.
    assert!([1, 2].iter().all(|status| gs().any(|g| g.status == *status && g.wait_reason == "sleep")));
    // A system call costs an M its P, and the G stays with the M.
    assert!(gs().any(|g| g.status == 3 && g.m.is_some()));
}

#[test]
fn recorded_blocks_say_the_same_as_json() {
    for Block { line, detail, .. } in blocks() {
        let read = read(&json(&line, Some(&detail)));
        let numbers =
            |list: &str, key: &str| read[list].as_array().expect(list).iter().map(|one| one[key].as_u64()).collect();
        let is: Vec<Option<u64>> = numbers("p", "m");
        assert_eq!(is, detail.ps.iter().map(|p| p.m.map(u64::from)).collect::<Vec<_>>());
        let is: Vec<Option<u64>> = numbers("p", "schedtick");
        assert_eq!(is, detail.ps.iter().map(|p| Some(p.schedtick)).collect::<Vec<_>>());
        let is: Vec<Option<u64>> = numbers("m", "curg");
        assert_eq!(is, detail.ms.iter().map(|m| m.curg).collect::<Vec<_>>());
        let is: Vec<Option<u64>> = numbers("g", "id");
        assert_eq!(is, detail.gs.iter().map(|g| Some(g.id)).collect::<Vec<_>>());
        let is: Vec<Option<u64>> = numbers("g", "lockedm");
        assert_eq!(is, detail.gs.iter().map(|g| g.lockedm.map(u64::from)).collect::<Vec<_>>());
    }
}

// -------------------------------------------------------------------------------------------------------- field by
// field

#[test]
fn every_field_is_in_its_place() {
    assert_eq!(
        go(&line()),
        "SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=4 spinningthreads=5 needspinning=1 idlethreads=6 \
         runqueue=7 [ 8 9 ] schedticks=[ 68426 26756 ]\n"
    );
    assert_eq!(
        compact(&line()),
        "SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=4 spinningthreads=5 needspinning=1 idlethreads=6 \
         runqueue=7 [8 9]\n"
    );
}

#[test]
fn every_field_is_in_its_place_with_detail() {
    let detail = detail();
    let lines = [
        "SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=4 spinningthreads=5 needspinning=1 idlethreads=6 \
         runqueue=7 gcwaiting=false nmidlelocked=10 stopwait=0 sysmonwait=true",
        "  P11: status=1 schedtick=12 syscalltick=13 m=14 runqsize=15 gfreecnt=16 timerslen=17 runnext=18",
        "  P0: status=0 schedtick=12 syscalltick=13 m=nil runqsize=15 gfreecnt=16 timerslen=17 runnext=nil",
        "  M21: p=22 curg=23 mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=true blocked=false \
         lockedg=24 tid=25 polls=true",
        "  M0: p=nil curg=nil mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false blocked=true \
         lockedg=nil tid=26 polls=false",
        &format!(
            "  G31: status=4(chan receive (never)) m=32 lockedm=33 name=\"worker\" wait=34ms heldby=35 heldbytid=36 \
             created={}",
            place(&detail.gs[0])
        ),
        "  G1: status=6() m=nil lockedm=nil",
    ];
    assert_eq!(go_detail(&line(), &detail), lines.map(|line| format!("{line}\n")).concat());
}

#[test]
fn json_has_the_fields_in_the_same_order() {
    let detail = detail();
    let head = r#"{"ms":200,"gomaxprocs":2,"idleprocs":1,"threads":4,"spinningthreads":5,"needspinning":1,"#.to_owned()
        + r#""idlethreads":6,"runqueue":7,"local":[8,9],"schedticks":[68426,26756],"leftout":0"#;
    assert_eq!(json(&line(), None), format!("{head}}}\n"));
    let objects = [
        r#""gcwaiting":false,"nmidlelocked":10,"stopwait":0,"sysmonwait":true,"#,
        r#""p":[{"id":11,"status":1,"schedtick":12,"syscalltick":13,"m":14,"runqsize":15,"gfreecnt":16,"timerslen":17,"#,
        r#""runnext":18},{"id":0,"status":0,"schedtick":12,"syscalltick":13,"m":null,"runqsize":15,"gfreecnt":16,"#,
        r#""timerslen":17,"runnext":null}],"m":[{"id":21,"p":22,"curg":23,"mallocing":0,"throwing":0,"preemptoff":"","#,
        r#""locks":0,"dying":0,"spinning":true,"blocked":false,"lockedg":24,"tid":25,"polls":true},{"id":0,"p":null,"curg":null,"#,
        r#""mallocing":0,"throwing":0,"preemptoff":"","locks":0,"dying":0,"spinning":false,"blocked":true,"#,
        r#""lockedg":null,"tid":26,"polls":false}],"g":[{"id":31,"status":4,"waitreason":"chan receive (never)","m":32,"lockedm":33,"#,
        r#""name":"worker","wait_ms":34,"heldby":35,"heldbytid":36,"created":"PLACE"},{"id":1,"status":6,"#,
        r#""waitreason":"","m":null,"lockedm":null,"name":null,"wait_ms":null,"heldby":null,"heldbytid":null,"#,
        r#""created":null}]}"#,
    ];
    let objects = objects.concat().replace("PLACE", &place(&detail.gs[0]));
    assert_eq!(json(&line(), Some(&detail)), format!("{head},{objects}\n"));
}

#[test]
fn lines_that_were_left_out_are_counted_in_the_next_one() {
    let (one, many) = (TraceLine { leftout: 1, ..line() }, TraceLine { leftout: 12, ..line() });
    let said = "pirn: schedtrace: 1 line was left out: the reader is too slow\n";
    assert_eq!(go(&one), format!("{said}{}", go(&line())));
    assert_eq!(compact(&one), format!("{said}{}", compact(&line())));
    let said = "pirn: schedtrace: 12 lines were left out: the reader is too slow\n";
    assert_eq!(go_detail(&many, &detail()), format!("{said}{}", go_detail(&line(), &detail())));
    // A reader of JSON gets nothing but JSON.
    assert_eq!(json(&many, Some(&detail())).lines().count(), 1);
    assert_eq!(read(&json(&many, None))["leftout"], json!(12));
}

#[test]
fn json_reads_back() {
    let read = read(&json(&line(), Some(&detail())));
    assert_eq!(read["schedticks"], json!([68426, 26756]));
    assert_eq!(read["p"][0]["runnext"], json!(18));
    assert_eq!(
        read["m"][1],
        json!({
            "id": 0, "p": null, "curg": null, "mallocing": 0, "throwing": 0, "preemptoff": "", "locks": 0, "dying": 0,
            "spinning": false, "blocked": true, "lockedg": null, "tid": 26, "polls": false,
        })
    );
    assert_eq!(read["g"][0]["name"], json!("worker"));
    assert_eq!(read["g"][0]["created"], json!(place(&detail().gs[0])));
}

#[test]
fn names_stay_in_their_line() {
    let names = [
        ("", r#""""#),
        ("a b", r#""a b""#),
        ("\"quoted\" \\", r#""\"quoted\" \\""#),
        ("one\ntwo\r\n\tthree\0", r#""one\ntwo\r\n\tthree\0""#),
        ("\x1b[2J\u{7f}\u{85}\u{2028}", r#""\u{1b}[2J\u{7f}\u{85}\u{2028}""#),
        ("Gänse 雁 🪿 don't", r#""Gänse 雁 🪿 don't""#),
        ("\" wait=1ms created=/etc", r#""\" wait=1ms created=/etc""#),
    ];
    for (name, literal) in names {
        let gs = vec![GLine { name: Some(name.to_owned()), ..nobody() }];
        let detail = Detail { gs, ..Detail::default() };
        let text = go_detail(&line(), &detail);
        let (_, last) = text.split_once('\n').expect("a header");
        assert_eq!(last, format!("  G1: status=6() m=nil lockedm=nil name={literal}\n"));
        assert_eq!(text.matches(char::is_control).count(), 2, "more than two lines");

        assert_eq!(read(&json(&line(), Some(&detail)))["g"][0]["name"], json!(name));
    }
}

// ----------------------------------------------------------------------------------------------------------- large
// ones

#[test]
fn one_p_and_large_numbers() {
    let line = TraceLine {
        ms: u64::MAX,
        gomaxprocs: 1,
        runqueue: usize::MAX,
        local: vec![169],
        schedticks: vec![u64::MAX],
        needspinning: false,
        ..line()
    };
    let head = "SCHED 18446744073709551615ms: gomaxprocs=1 idleprocs=1 threads=4 spinningthreads=5 \
                needspinning=0 idlethreads=6 runqueue=18446744073709551615";
    assert_eq!(go(&line), format!("{head} [ 169 ] schedticks=[ 18446744073709551615 ]\n"));
    assert_eq!(compact(&line), format!("{head} [169]\n"));
    let read = read(&json(&line, None));
    assert_eq!((&read["ms"], &read["schedticks"]), (&json!(u64::MAX), &json!([u64::MAX])));
    assert_eq!(read["p"], Value::Null, "no detail was asked for");
}

#[test]
fn nothing_to_say() {
    let (line, detail) = (TraceLine { local: vec![], schedticks: vec![], ..line() }, Detail::default());
    assert_eq!(go_detail(&line, &detail).lines().count(), 1);
    let read = read(&json(&line, Some(&detail)));
    assert!(["local", "schedticks", "p", "m", "g"].iter().all(|list| read[list] == json!([])));
}

#[test]
fn as_many_ps_as_there_may_be() {
    let line = TraceLine { gomaxprocs: 1024, local: vec![0; 1024], schedticks: vec![1; 1024], ..line() };
    assert!(go(&line).ends_with(&format!(" [ {}] schedticks=[ {}]\n", "0 ".repeat(1024), "1 ".repeat(1024))));
    assert!(compact(&line).ends_with(&format!(" [{}0]\n", "0 ".repeat(1023))));
    let detail = Detail { ps: (0..1024).map(|id| PLine { id, ..p() }).collect(), ..Detail::default() };
    let text = go_detail(&line, &detail);
    assert!(text.lines().skip(1).enumerate().all(|(id, line)| line.starts_with(&format!("  P{id}: status=1 "))));
    assert_eq!(text.lines().count(), 1025);
    let read = read(&json(&line, Some(&detail)));
    let ids = read["p"].as_array().expect("a list").iter().map(|p| p["id"].as_u64());
    assert!(ids.eq((0..1024).map(Some)));
    assert_eq!(read["local"].as_array().map(Vec::len), Some(1024));
}
