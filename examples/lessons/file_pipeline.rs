//! A pipeline over a file: read, parse, square, write, with an error in the middle.
//!
//! Go: an `errgroup` with a goroutine for each stage, and a select with `ctx.Done()` at each send. Different here: a
//! stage that fails drops its ends of the channels. The stage before it cannot send any more, the stage behind it
//! receives no more, and both end. Nothing needs to be cancelled, and the group returns when no stage runs any more.
//! But to the writer an end that comes too early looks like any other end. So it writes into a file beside, which gets
//! its name when all stages have ended well. Reading a file blocks the thread; the other goroutines continue on another
//! one.

use pirn::channel::{Receiver, Sender, bounded};
use pirn::group::task_group;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What may lie between two stages.
const ROOM: usize = 8;

pub(crate) fn program() {
    let folder = std::env::temp_dir().join(format!("pirn-lessons-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("there is a folder for such files");
    let (from, to) = (folder.join("numbers"), folder.join("squares"));
    let numbers: Vec<_> = (1..=1000).map(|n| n.to_string()).collect();
    fs::write(&from, numbers.join("\n")).expect("it can be written to");

    println!("good: {:?}", square_all(&from, &to));
    let squares = fs::read_to_string(&to).expect("it has been written");
    println!("{} lines, the last is {:?}", squares.lines().count(), squares.lines().last());
    fs::remove_file(&to).expect("it is there");

    fs::write(&from, numbers.join("\n").replace("\n500\n", "\nfive hundred\n")).expect("it can be written to");
    println!("bad: {}", square_all(&from, &to).expect_err("a line is wrong"));
    println!("is there a file: {}", to.exists());

    fs::remove_file(&from).expect("it is there");
    println!("none: {}", square_all(&from, &to).is_err());
    fs::remove_dir(&folder).expect("nothing is left in it");
}

/// Reads numbers from one file and writes their squares into the other. Returns how many.
fn square_all(from: &Path, to: &Path) -> Result<usize, Error> {
    let unfinished = to.with_extension("unfinished");
    let result = task_group(|stages| {
        let (lines_in, lines) = bounded(ROOM);
        let (numbers_in, numbers) = bounded(ROOM);
        let (squares_in, squares) = bounded(ROOM);
        stages.go(move |_| read(from, &lines_in));
        stages.go(move |_| parse(&lines, &numbers_in));
        stages.go(move |_| square(&numbers, &squares_in));
        let unfinished = &unfinished;
        let writer = stages.go(move |_| write(&squares, unfinished));
        // If it has failed, or another one, its error is the result of the group.
        Ok(writer.join())
    });
    match result {
        Ok(written) => {
            fs::rename(&unfinished, to)?;
            Ok(written.expect("no stage has failed"))
        }
        Err(error) => {
            // It may not have been made.
            _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn read(from: &Path, lines: &Sender<String>) -> Result<(), Error> {
    for line in BufReader::new(File::open(from)?).lines() {
        if lines.send(line?).is_err() {
            break; // The next stage has failed, and says why.
        }
    }
    Ok(())
}

fn parse(lines: &Receiver<String>, numbers: &Sender<u64>) -> Result<(), Error> {
    for (nth, line) in lines.iter().enumerate() {
        let number = line.parse().map_err(|error| format!("line {}: {line:?}: {error}", nth + 1))?;
        if numbers.send(number).is_err() {
            break;
        }
    }
    Ok(())
}

fn square(numbers: &Receiver<u64>, squares: &Sender<u64>) -> Result<(), Error> {
    for number in numbers {
        let square = number.checked_mul(number).ok_or_else(|| format!("{number} is too large"))?;
        if squares.send(square).is_err() {
            break;
        }
    }
    Ok(())
}

fn write(squares: &Receiver<u64>, to: &Path) -> Result<usize, Error> {
    let mut file = BufWriter::new(File::create(to)?);
    let written = squares.iter().try_fold(0, |n, square| {
        writeln!(file, "{square}")?;
        Ok::<_, io::Error>(n + 1)
    })?;
    file.flush()?;
    Ok(written)
}
