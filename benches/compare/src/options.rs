//! The command line.

use crate::job::PROBE;
use crate::peers::PEERS;
use crate::plan::Wish;
use lexopt::{Arg, Parser, ValueExt};
use regex::Regex;
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Runs pirn beside what else one could use, and shows the figures in one table.

    compare [OPTIONS]

    --only REGEX        only rows that it finds, in WORKLOAD/PROCS: --only '^spsc|/1$'
    --peers A,B,...     only these: pirn, pirn-shared, pirn-hook, threads, may, tokio, go
    --rounds N          how often each is measured, 3; up to as often again where the two CPUs
                        changed their places meanwhile
    --quick             a tenth of the work, for a first look
    --scaling           only the rows by the number of tasks, with all their points
    --json FILE         all raw figures, and the table
    --md FILE           the table as Markdown
    --svg DIR           the charts: ratios.svg, yield.svg, parked.svg
    --papers DIR        the papers below DIR, the folder of the project: the parts of BENCHMARKS.md and
                        README.md that are written by this program, benches/FIGURES.md, and what
                        they are made of, benches/figures.json; with --only, the rows that were measured are put
                        in the place of what figures.json has of them
    --from FILE         measures nothing, and shows what --json has written, or --papers
    --go PATH           the go to build Go's program with; the one in the PATH by default
    --program PEER=PATH measures another program as that peer, called PATH WORKLOAD --procs P [--n N]
    --list              says what would be measured, and by whom
    --help              this

    compare child WORKLOAD [--procs P] [--n N] [--peer PEER] [--secs S] [--server PROGRAM]
                        one measurement by itself, in this process; the last two for a load, of
                        which the server is another process
";

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Which rows.
    pub(crate) wish: Wish,
    /// Who takes part, in the order of the table.
    pub(crate) peers: Vec<&'static str>,
    /// How many rounds.
    pub(crate) rounds: usize,
    /// Where to write what.
    pub(crate) json: Option<PathBuf>,
    /// The same for Markdown.
    pub(crate) md: Option<PathBuf>,
    /// The same for charts.
    pub(crate) svg: Option<PathBuf>,
    /// Where to write the papers.
    pub(crate) papers: Option<PathBuf>,
    /// A report that was written, instead of a run.
    pub(crate) from: Option<PathBuf>,
    /// What is called for `go build`.
    pub(crate) go: PathBuf,
    /// Other programs for some peers.
    pub(crate) programs: Vec<(String, PathBuf)>,
    /// Only say what would be done.
    pub(crate) list: bool,
    /// Only say how it is used.
    pub(crate) help: bool,
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, lexopt::Error> {
        let mut options = Options {
            wish: Wish::default(),
            peers: PEERS.to_vec(),
            rounds: 3,
            json: None,
            md: None,
            svg: None,
            papers: None,
            from: None,
            go: PathBuf::from("go"),
            programs: Vec::new(),
            list: false,
            help: false,
        };
        let args: Vec<OsString> = args.collect();
        let mut parser = Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("only") => options.wish.only = Some(parser.value()?.parse_with(Regex::new)?),
                Arg::Long("peers") => options.peers = parser.value()?.parse_with(peers)?,
                Arg::Long("rounds") => options.rounds = parser.value()?.parse_with(rounds)?,
                Arg::Long("quick") => options.wish.quick = true,
                Arg::Long("scaling") => options.wish.scaling = true,
                Arg::Long("json") => options.json = Some(parser.value()?.into()),
                Arg::Long("md") => options.md = Some(parser.value()?.into()),
                Arg::Long("svg") => options.svg = Some(parser.value()?.into()),
                Arg::Long("papers") => options.papers = Some(parser.value()?.into()),
                Arg::Long("from") => options.from = Some(parser.value()?.into()),
                Arg::Long("go") => options.go = parser.value()?.into(),
                Arg::Long("program") => options.programs.push(parser.value()?.parse_with(program)?),
                Arg::Long("list") => options.list = true,
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                _ => return Err(arg.unexpected()),
            }
        }
        if options.papers.is_some() && options.leaves_out() {
            return Err("--papers is for whole rows: without --peers, --quick and --scaling".into());
        }
        Ok(options)
    }

    /// Whether something of its rows is left out.
    fn leaves_out(&self) -> bool {
        let Wish { only: _, quick, scaling } = &self.wish;
        *quick || *scaling || self.peers.len() < PEERS.len()
    }
}

fn peers(list: &str) -> Result<Vec<&'static str>, String> {
    let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
    match wanted.iter().find(|name| !PEERS.contains(name)) {
        Some(unknown) => Err(format!("nobody is called {unknown:?}; there are {}", PEERS.join(", "))),
        None => Ok(PEERS.into_iter().filter(|peer| wanted.contains(peer)).collect()),
    }
}

fn rounds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(|| format!("{text:?} is no number of rounds"))
}

fn program(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((peer, path)) if peer == PROBE || PEERS.contains(&peer) => Ok((peer.to_owned(), path.into())),
        _ => Err(format!("{text:?} is not PEER=PATH")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_means_everything() {
        let options = parse("").unwrap();
        assert_eq!(options.peers, PEERS);
        assert_eq!((options.rounds, options.wish.quick, options.wish.only.is_some()), (3, false, false));
    }

    #[test]
    fn all_that_can_be_said() {
        let line = "--only ^spsc --peers go,pirn --rounds 5 --quick --scaling --json a --md b --svg c --go d \
                    --program pirn=e --program probe=f --from g --list --help";
        let options = parse(line).unwrap();
        assert_eq!(options.peers, ["pirn", "go"], "in the order of the table");
        assert_eq!(options.rounds, 5);
        assert!(options.wish.quick && options.wish.scaling && options.list && options.help);
        assert!(options.wish.only.unwrap().is_match("spsc128/2"));
        let paths =
            [options.json.unwrap(), options.md.unwrap(), options.svg.unwrap(), options.go, options.from.unwrap()];
        assert_eq!(paths, ["a", "b", "c", "d", "g"].map(PathBuf::from));
        assert_eq!(parse("--papers . --only ^spsc").unwrap().papers, Some(PathBuf::from(".")));
        assert_eq!(options.programs, [("pirn".into(), "e".into()), ("probe".into(), "f".into())]);
    }

    #[test]
    fn mistakes_are_told() {
        for line in [
            "--rounds 0",
            "--rounds many",
            "--peers go,java",
            "--only (",
            "--program pirn",
            "--program java=x",
            "--json",
            "--what",
            "--papers . --quick",
            "--peers go --papers .",
            "more",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("--peers java").unwrap_err().contains("pirn-shared"));
    }

    #[test]
    fn help_names_every_option() {
        let source = include_str!("options.rs");
        for option in source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(HELP.contains(&format!("--{option}")) || option.starts_with(')'), "--{option}");
        }
    }
}
