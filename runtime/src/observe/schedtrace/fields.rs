//! The fields of schedtrace: one line of a table each. The printers go by the tables, and a house rule compares them
//! with SCHEDTRACE.md.

use super::line::{GLine, MLine, PLine, TraceLine};
use std::panic::Location;

/// What a field says, and so in which form.
pub(super) enum Value<'a> {
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// The number of a P, an M or a G: `nil`, or `null` in JSON, if there is none.
    Id(Option<u64>),
    /// A word of Go's.
    Word(&'a str),
    /// In text it stands in brackets after the field before it, without its name.
    Aside(&'a str),
    /// A number for each P. In text without its name; in the compact form too.
    Lengths(&'a [u64]),
    /// A number for each P.
    Numbers(&'a [u64]),
    /// A number. Left out of the text if there is none.
    Optional(Option<u64>),
    /// A name that the user gave. Left out of the text if there is none.
    Name(Option<&'a str>),
    /// Milliseconds: `5ms`, or a number whose name ends with `_ms` in JSON. Left out of the text if there are none.
    Millis(Option<u64>),
    /// A place in the source. Left out of the text if it is not known.
    Place(Option<&'static Location<'static>>),
}

use Value::{Aside, Flag, Id, Lengths, Millis, Name, Number, Numbers, Optional, Place, Word};

/// Where a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// Where Go has it, in all formats.
    Always,
    /// Where Go has it without detail. JSON has it always.
    WithoutDetail,
    /// Where Go has it with detail. JSON has it then too, at the end.
    WithDetail,
    /// After Go's fields, as Go does not know it.
    AfterGo,
    /// In JSON alone.
    InJson,
}

/// One field of a `T`.
pub(super) struct Field<T> {
    /// In text and in JSON.
    pub(super) name: &'static str,
    pub(super) stands: Stands,
    /// How it is read.
    pub(super) read: fn(&T) -> Value<'_>,
}

const fn field<T>(name: &'static str, stands: Stands, read: fn(&T) -> Value<'_>) -> Field<T> {
    Field { name, stands, read }
}

/// One kind of line.
pub(super) struct Table<T: 'static> {
    /// What stands in text around the first field, which has no name there.
    pub(super) around_first: (&'static str, &'static str),
    pub(super) fields: &'static [Field<T>],
}

use Stands::{AfterGo, Always, InJson, WithDetail, WithoutDetail};

/// The header. The world is never stopped here, so some values do not change.
pub(super) const LINE: Table<TraceLine> = Table {
    around_first: ("SCHED ", "ms:"),
    fields: &[
        field("ms", Always, |line| Number(line.ms)),
        field("gomaxprocs", Always, |line| Number(line.gomaxprocs as u64)),
        field("idleprocs", Always, |line| Number(line.idleprocs as u64)),
        field("threads", Always, |line| Number(line.threads as u64)),
        field("spinningthreads", Always, |line| Number(line.spinningthreads as u64)),
        field("needspinning", Always, |line| Number(u64::from(line.needspinning))),
        field("idlethreads", Always, |line| Number(line.idlethreads as u64)),
        field("runqueue", Always, |line| Number(line.runqueue as u64)),
        field("local", WithoutDetail, |line| Lengths(&line.local)),
        field("schedticks", WithoutDetail, |line| Numbers(&line.schedticks)),
        field("leftout", InJson, |line| Number(line.leftout)),
        field("gcwaiting", WithDetail, |_| Flag(false)),
        field("nmidlelocked", WithDetail, |line| Number(line.nmidlelocked as u64)),
        field("stopwait", WithDetail, |_| Number(0)),
        field("sysmonwait", WithDetail, |line| Flag(line.sysmonwait)),
    ],
};

/// One P.
pub(super) const P: Table<PLine> = Table {
    around_first: ("  P", ":"),
    fields: &[
        field("id", Always, |p| Number(p.id as u64)),
        field("status", Always, |p| Number(p.status.into())),
        field("schedtick", Always, |p| Number(p.schedtick)),
        field("syscalltick", Always, |p| Number(p.syscalltick)),
        field("m", Always, |p| Id(p.m.map(u64::from))),
        field("runqsize", Always, |p| Number(p.runqsize as u64)),
        field("gfreecnt", Always, |p| Number(p.gfreecnt as u64)),
        field("timerslen", Always, |p| Number(p.timerslen as u64)),
        field("runnext", AfterGo, |p| Id(p.runnext)),
    ],
};

/// One M. What is constant is about Go's allocator, collector and crashes.
pub(super) const M: Table<MLine> = Table {
    around_first: ("  M", ":"),
    fields: &[
        field("id", Always, |m| Number(m.id.into())),
        field("p", Always, |m| Id(m.p.map(|p| p as u64))),
        field("curg", Always, |m| Id(m.curg)),
        field("mallocing", Always, |_| Number(0)),
        field("throwing", Always, |_| Number(0)),
        field("preemptoff", Always, |_| Word("")),
        field("locks", Always, |_| Number(0)),
        field("dying", Always, |_| Number(0)),
        field("spinning", Always, |m| Flag(m.spinning)),
        field("blocked", Always, |m| Flag(m.blocked)),
        field("lockedg", Always, |m| Id(m.lockedg)),
        field("tid", AfterGo, |m| Number(m.tid.unsigned_abs().into())),
        field("polls", AfterGo, |m| Flag(m.polls)),
    ],
};

/// One G.
pub(super) const G: Table<GLine> = Table {
    around_first: ("  G", ":"),
    fields: &[
        field("id", Always, |g| Number(g.id)),
        field("status", Always, |g| Number(g.status.into())),
        field("waitreason", Always, |g| Aside(g.wait_reason)),
        field("m", Always, |g| Id(g.m.map(u64::from))),
        field("lockedm", Always, |g| Id(g.lockedm.map(u64::from))),
        field("name", AfterGo, |g| Name(g.name.as_deref())),
        field("wait", AfterGo, |g| Millis(g.wait_ms)),
        field("heldby", AfterGo, |g| Optional(g.heldby)),
        field("heldbytid", AfterGo, |g| Optional(g.heldbytid.map(|tid| tid.unsigned_abs().into()))),
        field("created", AfterGo, |g| Place(g.birthplace)),
    ],
};
