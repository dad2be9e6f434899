//! As JSON: one object in one line, with all that the lines of text know, under nearly the same names and in their order.

use super::{Detail, GLine, Line, MLine, Or, PLine, push, room_for};

/// Formats as one line of JSON and a line end. With detail, `p`, `m` and `g` are lists of objects. Every key is always
/// there; what is absent is null.
pub(crate) fn json(line: &Line, detail: Option<&Detail>) -> String {
    let mut text = room_for(line, detail);
    text.push('{');
    head(&mut text, line);
    list(&mut text, "local", &line.local, |text, length| push(text, format_args!("{length}")));
    list(&mut text, "schedticks", &line.schedticks, |text, ticks| push(text, format_args!("{ticks}")));
    push(&mut text, format_args!(r#","leftout":{}"#, line.leftout));
    if let Some(detail) = detail {
        head_detail(&mut text, line);
        list(&mut text, "p", &detail.ps, p_object);
        list(&mut text, "m", &detail.ms, m_object);
        list(&mut text, "g", &detail.gs, g_object);
    }
    text.push_str("}\n");
    text
}

/// What comes before the lists.
fn head(text: &mut String, line: &Line) {
    let Line { ms, gomaxprocs, idleprocs, threads, spinningthreads, idlethreads, runqueue, .. } = line;
    // As in the text it is a number.
    let needspinning = u8::from(line.needspinning);
    push(text, format_args!(r#""ms":{ms},"gomaxprocs":{gomaxprocs},"idleprocs":{idleprocs},"threads":{threads}"#));
    push(text, format_args!(r#","spinningthreads":{spinningthreads},"needspinning":{needspinning}"#));
    push(text, format_args!(r#","idlethreads":{idlethreads},"runqueue":{runqueue}"#));
}

/// What the header knows with detail only.
fn head_detail(text: &mut String, line: &Line) {
    let Line { nmidlelocked, sysmonwait, .. } = line;
    push(text, format_args!(r#","gcwaiting":false,"nmidlelocked":{nmidlelocked},"stopwait":0"#));
    push(text, format_args!(r#","sysmonwait":{sysmonwait}"#));
}

/// One P.
fn p_object(text: &mut String, p: &PLine) {
    let PLine { id, status, schedtick, syscalltick, runqsize, gfreecnt, timerslen, .. } = p;
    let (m, runnext) = (or_null(p.m), or_null(p.runnext));
    push(text, format_args!(r#"{{"id":{id},"status":{status},"schedtick":{schedtick},"syscalltick":{syscalltick}"#));
    push(text, format_args!(r#","m":{m},"runqsize":{runqsize},"gfreecnt":{gfreecnt},"timerslen":{timerslen}"#));
    push(text, format_args!(r#","runnext":{runnext}}}"#));
}

/// One M.
fn m_object(text: &mut String, m: &MLine) {
    let MLine { id, spinning, blocked, tid, .. } = m;
    let (p, curg, lockedg) = (or_null(m.p), or_null(m.curg), or_null(m.lockedg));
    push(text, format_args!(r#"{{"id":{id},"p":{p},"curg":{curg}"#));
    text.push_str(r#","mallocing":0,"throwing":0,"preemptoff":"","locks":0,"dying":0"#);
    push(text, format_args!(r#","spinning":{spinning},"blocked":{blocked},"lockedg":{lockedg},"tid":{tid}}}"#));
}

/// One G.
fn g_object(text: &mut String, g: &GLine) {
    let GLine { id, status, .. } = g;
    let (m, lockedm, wait_ms) = (or_null(g.m), or_null(g.lockedm), or_null(g.wait_ms));
    let reason = string(g.wait_reason);
    let name = or_null(g.name.as_deref().map(string));
    let created = or_null(g.birthplace.map(|place| string(&place.to_string())));
    push(text, format_args!(r#"{{"id":{id},"status":{status},"waitreason":{reason},"m":{m},"lockedm":{lockedm}"#));
    push(text, format_args!(r#","name":{name},"wait_ms":{wait_ms},"created":{created}}}"#));
}

/// A list under a name, which is not the first of its object.
fn list<T>(text: &mut String, name: &str, items: &[T], item: impl Fn(&mut String, &T)) {
    push(text, format_args!(r#","{name}":["#));
    for (nth, one) in items.iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        item(text, one);
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
