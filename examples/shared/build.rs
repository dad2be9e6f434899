//! Makes a module of each example: the same text, with a `main` that others may call.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// They need the hook, which this mode does not have.
const HOOKED: [&str; 2] = ["std_echo", "std_everything"];

fn main() -> io::Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    println!("cargo::rerun-if-changed={}", examples.display());
    #[expect(clippy::disallowed_methods, reason = "cargo says it so")]
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let (mut modules, mut table) = (String::new(), String::new());
    for (name, path) in programs(&examples)? {
        // A file of its own, as reports name it.
        let copy = out.join(format!("{name}.rs"));
        fs::write(&copy, module(&path)?)?;
        modules += &format!("#[path = {copy:?}]\nmod {name};\n");
        table += &format!("    ({name:?}, || call({name}::main)),\n");
    }
    fs::write(out.join("examples.rs"), format!("{modules}const EXAMPLES: &[Example] = &[\n{table}];\n"))
}

/// The text of an example as that of a module.
fn module(path: &Path) -> io::Result<String> {
    let folder = path.parent().expect("it is a file");
    let mut text = String::new();
    for line in fs::read_to_string(path)?.lines() {
        // Its own modules lie beside it.
        if let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            text += &format!("#[path = {:?}] ", folder.join(format!("{module}.rs")));
        }
        if line.starts_with("fn main()") {
            text += "pub(crate) ";
        }
        text += line;
        text.push('\n');
    }
    Ok(text)
}

/// The examples by their names: files, and folders with a `main.rs`.
fn programs(examples: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(examples)? {
        let path = entry?.path();
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let file = if path.is_dir() { path.join("main.rs") } else { path };
        if file.exists() && !HOOKED.contains(&&*name) {
            programs.push((name, file));
        }
    }
    programs.sort();
    Ok(programs)
}
