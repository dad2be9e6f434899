//! `Command::output` of children that run at the same time, with both of their outputs.

use crate::many;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const CHILDREN: usize = 200;
/// What does not fit into a pipe.
const LARGE: usize = 1 << 20;

pub(crate) fn exam() -> String {
    let began = Instant::now();
    many(CHILDREN, |nth| {
        let script = format!("sleep 0.5; echo {nth}; echo {nth} >&2; exit {}", nth % 7);
        let output = Command::new("sh").args(["-c", &script]).output().expect("it is there");
        assert_eq!(output.status.code(), Some((nth % 7) as i32));
        assert_eq!(output.stdout, format!("{nth}\n").into_bytes());
        assert_eq!(output.stderr, output.stdout);
    });
    let took = began.elapsed();
    many(CHILDREN / 10, |nth| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is there");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        let sent: Vec<u8> = (0..LARGE).map(|n| ((n + nth) % 251) as u8).collect();
        let expected = sent.clone();
        let sender = pirn::go(move || stdin.write_all(&sent).expect("it is read"));
        assert!(child.wait_with_output().expect("it ends").stdout == expected);
        sender.join().expect("all was right");
    });
    format!("{CHILDREN} children at once in {took:.1?}, each of which takes 500 ms")
}
