//! As lines of text: byte for byte as Go does, and with detail, after what Go knows of a P, M or G, what it does not.

use super::super::outbox::plural;
use super::fields::{G, LINE, M, P, Stands, Table, Value};
use super::line::{Detail, TraceLine};
use super::write::{Or, push, room_for};

/// Formats a line as Go 1.27 does: `... runqueue=0 [ 0 3 ] schedticks=[ 68426 26756 ]` and a line end.
pub(crate) fn go(line: &TraceLine) -> String {
    let mut text = room_for(line, None);
    say_left_out(&mut text, line);
    fields(&mut text, &LINE, line, &[Stands::Always, Stands::WithoutDetail]);
    text.push('\n');
    text
}

/// Formats a line as Go did before 1.25: `... runqueue=0 [0 3]` and a line end.
pub(crate) fn compact(line: &TraceLine) -> String {
    let mut text = room_for(line, None);
    say_left_out(&mut text, line);
    fields(&mut text, &LINE, line, &[Stands::Always]);
    for field in LINE.fields {
        if let Value::Lengths(numbers) = (field.read)(line) {
            text.push_str(" [");
            for (nth, number) in numbers.iter().enumerate() {
                let space = if nth == 0 { "" } else { " " };
                push(&mut text, format_args!("{space}{number}"));
            }
            text.push(']');
        }
    }
    text.push('\n');
    text
}

/// Formats as Go does with `scheddetail=1`: a header without lists, and a line for each P, M and G, at the end of which
/// stands what Go does not know. Before Go 1.25 it was the same, so there is no compact form.
pub(crate) fn go_detail(line: &TraceLine, detail: &Detail) -> String {
    let mut text = room_for(line, Some(detail));
    say_left_out(&mut text, line);
    fields(&mut text, &LINE, line, &[Stands::Always, Stands::WithDetail]);
    text.push('\n');
    lines(&mut text, &P, &detail.ps);
    lines(&mut text, &M, &detail.ms);
    lines(&mut text, &G, &detail.gs);
    text
}

/// Lines that are missing are a line before the next one.
fn say_left_out(text: &mut String, line: &TraceLine) {
    if line.leftout > 0 {
        let lines = plural(line.leftout, "line was", "lines were");
        push(text, format_args!("pirn: schedtrace: {lines} left out: the reader is too slow\n"));
    }
}

/// A line for each, with Go's fields and those that Go does not know.
fn lines<T>(text: &mut String, table: &Table<T>, all: &[T]) {
    for one in all {
        fields(text, table, one, &[Stands::Always, Stands::AfterGo]);
        text.push('\n');
    }
}

/// Those fields that stand where it says, in the order of the table.
pub(super) fn fields<T>(text: &mut String, table: &Table<T>, of: &T, which: &[Stands]) {
    for (nth, field) in table.fields.iter().enumerate().filter(|(_, field)| which.contains(&field.stands)) {
        match (nth, (field.read)(of)) {
            (0, Value::Number(title)) => {
                let (before, after) = table.around_first;
                push(text, format_args!("{before}{title}{after}"));
            }
            (_, value) => named(text, field.name, &value),
        }
    }
}

/// One field. A name is written as a literal of Rust, so that a line stays a line.
fn named(text: &mut String, name: &str, value: &Value<'_>) {
    match value {
        Value::Number(number) => push(text, format_args!(" {name}={number}")),
        Value::Flag(is) => push(text, format_args!(" {name}={is}")),
        Value::Id(id) => push(text, format_args!(" {name}={}", Or(*id, "nil"))),
        Value::Word(word) => push(text, format_args!(" {name}={word}")),
        Value::Aside(word) => push(text, format_args!("({word})")),
        Value::Lengths(numbers) => list(text, "", numbers),
        Value::Numbers(numbers) => list(text, &format!("{name}="), numbers),
        Value::Optional(number) => number.iter().for_each(|number| push(text, format_args!(" {name}={number}"))),
        Value::Name(given) => given.iter().for_each(|given| push(text, format_args!(" {name}={given:?}"))),
        Value::Millis(ms) => ms.iter().for_each(|ms| push(text, format_args!(" {name}={ms}ms"))),
        Value::Place(place) => place.iter().for_each(|place| push(text, format_args!(" {name}={place}"))),
    }
}

fn list(text: &mut String, name: &str, numbers: &[u64]) {
    push(text, format_args!(" {name}[ "));
    for number in numbers {
        push(text, format_args!("{number} "));
    }
    text.push(']');
}
