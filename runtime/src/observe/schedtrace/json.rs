//! As JSON: one object in one line, with all that the lines of text know, under nearly the same names and in their
//! order.

use super::fields::{Field, G, LINE, M, P, Stands, Value};
use super::line::{Detail, TraceLine};
use super::write::{Or, push, room_for};

/// Formats as one line of JSON and a line end. With detail, `p`, `m` and `g` are lists of objects. Every key is always
/// there; what is absent is null.
pub(crate) fn json(line: &TraceLine, detail: Option<&Detail>) -> String {
    let mut text = room_for(line, detail);
    text.push('{');
    let always = LINE.fields.iter().filter(|field| detail.is_some() || field.stands != Stands::WithDetail);
    fields(&mut text, always, line);
    if let Some(detail) = detail {
        objects(&mut text, "p", P.fields, &detail.ps);
        objects(&mut text, "m", M.fields, &detail.ms);
        objects(&mut text, "g", G.fields, &detail.gs);
    }
    text.push_str("}\n");
    text
}

/// The fields of one object.
fn fields<'a, T: 'static>(text: &mut String, fields: impl Iterator<Item = &'a Field<T>>, of: &T) {
    for (nth, field) in fields.enumerate() {
        if nth > 0 {
            text.push(',');
        }
        named(text, field.name, &(field.read)(of));
    }
}

/// A list of objects under a name, which is not the first of its object.
fn objects<T: 'static>(text: &mut String, name: &str, all: &[Field<T>], items: &[T]) {
    push(text, format_args!(r#","{name}":["#));
    for (nth, one) in items.iter().enumerate() {
        text.push_str(if nth > 0 { ",{" } else { "{" });
        fields(text, all.iter(), one);
        text.push('}');
    }
    text.push(']');
}

/// One field.
fn named(text: &mut String, name: &str, value: &Value<'_>) {
    match value {
        Value::Number(number) => push(text, format_args!(r#""{name}":{number}"#)),
        Value::Flag(is) => push(text, format_args!(r#""{name}":{is}"#)),
        Value::Id(id) | Value::Optional(id) => push(text, format_args!(r#""{name}":{}"#, or_null(*id))),
        Value::Word(word) | Value::Aside(word) => push(text, format_args!(r#""{name}":{}"#, string(word))),
        Value::Lengths(numbers) | Value::Numbers(numbers) => list(text, name, numbers),
        Value::Name(given) => push(text, format_args!(r#""{name}":{}"#, or_null(given.map(string)))),
        Value::Millis(ms) => push(text, format_args!(r#""{name}_ms":{}"#, or_null(*ms))),
        Value::Place(place) => {
            let place = place.map(|place| string(&place.to_string()));
            push(text, format_args!(r#""{name}":{}"#, or_null(place)));
        }
    }
}

fn list(text: &mut String, name: &str, numbers: &[u64]) {
    push(text, format_args!(r#""{name}":["#));
    for (nth, number) in numbers.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        push(text, format_args!("{comma}{number}"));
    }
    text.push(']');
}

/// A value that is JSON as it prints itself, or null.
fn or_null<T>(value: Option<T>) -> Or<T> {
    Or(value, "null")
}

/// A string with its quotes.
fn string(text: &str) -> String {
    serde_json::to_string(text).expect("every string can be written")
}
