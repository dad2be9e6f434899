//! pirn beside what else one could use: Go, may, tokio, threads, in one table.
//!
//! Each measurement is a process of its own: this program again, as a child, or Go's. Rounds are interleaved, so that
//! a machine that slows down slows all of them down, and with two Ps a probe tells where the two CPUs are.
//! `compare --help` says what can be asked for.

mod options;
mod plan;
mod targets;
mod peers;
mod job;
mod programs;
mod measure;
mod progress;
mod child;
mod memory;
mod stolen;
mod figures;
mod summary;
mod table;
mod charts;
mod json;
mod record;
mod papers;

use figures::Run;
use job::PROBE;
use options::{HELP, Options};
use peers::HOOK;
use plan::{Row, list, plan};
use programs::{CHILD, Programs, build_go, build_hooked, machine};
use progress::Progress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};
use summary::{failures, summarize};
use table::Report;

/// The peer whose program is Go's.
const GO: &str = "go";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|first| first == CHILD).is_some() {
        return run_child(args.map(|arg| arg.to_string_lossy().into_owned()));
    }
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("compare: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One measurement, in this process: what a child does.
fn run_child(args: impl Iterator<Item = String>) -> ExitCode {
    pirn_benches::peers::run(&[CHILD], args)
}

/// Does what was asked for.
fn run(options: &Options) -> io::Result<()> {
    if options.help {
        print!("{HELP}");
        return Ok(());
    }
    if let Some(file) = &options.from {
        let report = recorded(file)?;
        write(options, &report, &[])?;
        print!("{}", report.text());
        return Ok(());
    }
    let plan = plan(&options.wish);
    if plan.is_empty() {
        return Err(io::Error::other("no row is found by --only"));
    }
    if options.list {
        print!("{}", list(&plan, &options.peers));
        return Ok(());
    }
    check_writable(options)?;
    let mut progress = Progress::new();
    let mut head = vec![format!("pirn beside what else one could use; {}.", machine())];
    let (programs, peers) = programs(options, &progress, &mut head)?;
    if options.wish.quick {
        head.push("A tenth of the work each: a first look, and no more.".to_owned());
    }
    let runs = measure::measure(&plan, &peers, options.rounds, |job| programs.run(job), &mut progress);
    progress.finish();
    let report = Report { head, lines: summarize(&plan, &peers, &runs), failures: failures(&runs) };
    say_who_had_nothing(&plan, &peers, &runs);
    // The files first: who reads the table may not read it to its end.
    write(options, &report, &runs)?;
    print!("{}", report.text());
    Ok(())
}

/// The programs, and who takes part with them: those whose program cannot be built do not. What versions there are goes to `head`.
fn programs(
    options: &Options,
    progress: &Progress,
    head: &mut Vec<String>,
) -> io::Result<(Programs, Vec<&'static str>)> {
    let own = env::current_exe()?;
    let mut others = options.programs.clone();
    let mut peers = options.peers.clone();
    if peers.contains(&GO) && others.iter().all(|(peer, _)| peer != GO) {
        match build_go(&options.go, own.parent().unwrap_or(Path::new("."))) {
            Ok((program, version)) => {
                head.push(format!("Go: {version}."));
                others.push((GO.to_owned(), program));
            }
            Err(error) => {
                progress.say(&format!("without Go: {error}"));
                head.push("Without Go.".to_owned());
                peers.retain(|peer| *peer != GO);
            }
        }
    }
    if peers.contains(&HOOK) && others.iter().all(|(peer, _)| peer != HOOK) {
        match build_hooked(own.parent().unwrap_or(Path::new("."))) {
            Ok(program) => others.push((HOOK.to_owned(), program)),
            Err(error) => {
                progress.say(&format!("without {HOOK}: {error}"));
                head.push(format!("Without {HOOK}."));
                peers.retain(|peer| *peer != HOOK);
            }
        }
    }
    let given = options.programs.iter().filter(|(peer, _)| peer != PROBE);
    head.extend(given.map(|(peer, path)| format!("{peer}: {}.", path.display())));
    Ok((Programs { own, others }, peers))
}

/// The files to write, to be sure of before twenty minutes of measuring.
fn check_writable(options: &Options) -> io::Result<()> {
    for file in [&options.json, &options.md].into_iter().flatten() {
        fs::write(file, "").map_err(|error| named(error, file))?;
    }
    if let Some(root) = &options.papers {
        papers::check(root).map_err(|error| named(error, root))?;
    }
    options.svg.as_ref().map_or(Ok(()), |folder| fs::create_dir_all(folder).map_err(|error| named(error, folder)))
}

/// What an earlier run has written.
fn recorded(file: &Path) -> io::Result<Report> {
    let text = fs::read_to_string(file).map_err(|error| named(error, file))?;
    record::report(&text).map_err(|what| named(io::Error::other(what), file))
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Writes what else was asked for.
fn write(options: &Options, report: &Report, runs: &[Run]) -> io::Result<()> {
    let to = |path: &Path, text: String| fs::write(path, text).map_err(|error| named(error, path));
    if let Some(file) = &options.json {
        to(file, format!("{:#}\n", json::json(report, runs)))?;
    }
    if let Some(file) = &options.md {
        to(file, report.markdown())?;
    }
    let mut merged = None;
    if let Some(root) = &options.papers {
        let record = root.join(papers::RECORD);
        if options.from.is_none() {
            if options.wish.only.is_some() {
                merged = Some(papers::merged(&recorded(&record)?, report));
            }
            let report = merged.as_ref().unwrap_or(report);
            to(&record, format!("{:#}\n", json::record(report)))?;
        }
        papers::write(root, merged.as_ref().unwrap_or(report)).map_err(|error| named(error, root))?;
    }
    let report = merged.as_ref().unwrap_or(report);
    if let Some(folder) = &options.svg {
        let charts = [
            ("ratios.svg", charts::ratios(&report.lines)),
            ("yield.svg", charts::yields(&report.lines)),
            ("parked.svg", charts::parked(&report.lines)),
        ];
        for (name, chart) in charts {
            let file: PathBuf = folder.join(name);
            match chart {
                Some(chart) => to(&file, chart)?,
                None => eprintln!("compare: nothing to draw for {}", file.display()),
            }
        }
    }
    Ok(())
}

/// Names the rows that have no line, for nobody had the workload.
fn say_who_had_nothing(plan: &[Row], peers: &[&str], runs: &[Run]) {
    let nobody = |row: &&Row| {
        let mut of_row = runs.iter().filter(|run| run.row == row.name && run.procs == row.procs);
        of_row.all(|run| run.outcome == figures::Outcome::None)
    };
    let rows: Vec<String> = plan.iter().filter(nobody).map(Row::label).collect();
    if !rows.is_empty() {
        eprintln!("compare: none of {} has: {}", peers.join(", "), rows.join(", "));
    }
}
