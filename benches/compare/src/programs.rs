//! Who runs what: this program itself, Go's, the one with the hook, and those that were given.

use crate::child;
use crate::figures::Outcome;
use crate::job::{Job, PROBE};
use crate::memory;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The word by which this program knows that it is a child.
pub(crate) const CHILD: &str = "child";

/// The programs of the peers.
#[derive(Debug)]
pub(crate) struct Programs {
    /// This one, for all who have no other.
    pub(crate) own: PathBuf,
    /// The others, by peer.
    pub(crate) others: Vec<(String, PathBuf)>,
}

impl Programs {
    /// What to run for `job`.
    pub(crate) fn command(&self, job: &Job<'_>) -> Command {
        let other = self.others.iter().find(|(peer, _)| peer == job.peer).map(|(_, path)| path);
        // The load on a server is the same for all, so it is this program's.
        let runs = other.filter(|_| job.load_secs.is_none());
        let mut command = match runs {
            Some(path) => Command::new(path),
            None => {
                let mut own = Command::new(&self.own);
                own.arg(CHILD);
                own
            }
        };
        command.arg(job.workload).args(["--procs", &job.procs.to_string()]);
        if let Some(n) = job.n {
            command.args(["--n", &n.to_string()]);
        }
        if runs.is_none() && job.peer != PROBE {
            command.args(["--peer", job.peer]);
        }
        if let Some(secs) = job.load_secs {
            command.args(["--secs", &secs.to_string()]);
            if let Some(path) = other {
                command.arg("--server").arg(path);
            }
        }
        command
    }

    /// Runs `job`, if there is the memory for it.
    pub(crate) fn run(&self, job: &Job<'_>) -> Outcome {
        let available = memory::available_mib().unwrap_or(usize::MAX);
        if job.need_mib > available {
            let last_line = format!("there are {available} MiB");
            return Outcome::Failed { how: format!("needs {} MiB", job.need_mib), last_line, hopeless: true };
        }
        memory::touch(job.touch_mib.min(available / 2));
        child::run(self.command(job), (job.peer != PROBE).then_some(job.peer), LIMIT)
    }
}

/// Builds Go's program into the folder `into`, and returns its path and the version of `go`.
///
/// # Errors
///
/// Says why there is none.
pub(crate) fn build_go(go: &Path, into: &Path) -> Result<(PathBuf, String), String> {
    let version = output(Command::new(go).arg("version"))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../go");
    if !source.is_dir() {
        return Err(format!("there is no {}", source.display()));
    }
    let program = into.join("peers-go");
    output(Command::new(go).args(["build", "-o"]).arg(&program).arg(".").current_dir(&source))?;
    Ok((program, version.trim().trim_start_matches("go version ").to_owned()))
}

/// Builds the program whose calls are hooked beside this one, which is in `beside`, and returns its path.
///
/// # Errors
///
/// Says why there is none.
pub(crate) fn build_hooked(beside: &Path) -> Result<PathBuf, String> {
    const NAME: &str = "peers-pirn-hook";
    let target = beside.parent().ok_or("this program is in no target directory")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "-p", "pirn-benches", "--bin", NAME, "--target-dir"]).arg(target);
    output(cargo.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    Ok(target.join("release").join(NAME))
}

/// What a program printed, if it ended well.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        return Ok(text(output.stdout));
    }
    let err = text(output.stderr);
    Err(format!("{name}: {}", child::last_line(&err).unwrap_or("failed and said nothing")))
}

/// The machine in a few words, for the head of the table.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    format!("{cpus} CPUs, {}", model.map_or("model unknown", |(_, name)| name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(command: &Command) -> String {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_is_called_in_its_own_way() {
        let programs = Programs { own: "compare".into(), others: vec![("go".into(), "peers-go".into())] };
        let job = |peer, n| Job { workload: "ring", procs: 2, n, peer, need_mib: 0, touch_mib: 0, load_secs: None };
        assert_eq!(line(&programs.command(&job("may", None))), "compare child ring --procs 2 --peer may");
        assert_eq!(line(&programs.command(&job("may", Some(7)))), "compare child ring --procs 2 --n 7 --peer may");
        assert_eq!(line(&programs.command(&job("go", Some(7)))), "peers-go ring --procs 2 --n 7");
        assert_eq!(line(&programs.command(&job(PROBE, None))), "compare child ring --procs 2");
        let load = |peer| Job { load_secs: Some(1.5), ..job(peer, Some(7)) };
        let as_asked = "compare child ring --procs 2 --n 7 --peer";
        assert_eq!(line(&programs.command(&load("may"))), format!("{as_asked} may --secs 1.5"));
        assert_eq!(line(&programs.command(&load("go"))), format!("{as_asked} go --secs 1.5 --server peers-go"));
    }

    #[test]
    fn what_does_not_fit_is_not_started() {
        let programs = Programs { own: "/nowhere".into(), others: Vec::new() };
        let job =
            Job { workload: "ring", procs: 2, n: None, peer: "go", need_mib: 1 << 40, touch_mib: 0, load_secs: None };
        let outcome = programs.run(&job);
        assert!(matches!(&outcome, Outcome::Failed { hopeless: true, .. }), "{outcome:?}");
    }

    #[test]
    fn without_go_it_says_why() {
        let error = build_go(Path::new("/nowhere/go"), Path::new("/nowhere")).unwrap_err();
        assert!(error.starts_with("/nowhere/go: "), "{error}");
    }
}
