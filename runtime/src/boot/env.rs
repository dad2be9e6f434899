//! The settings in the environment. This is the only reader of environment variables.
//!
//! A wrong value never stops a program: the setting keeps its default, and a complaint of one line says what is wrong
//! and what is accepted. The code that builds the runtime prints the complaints.

use crate::config::{MAX_PROCS, STACK_BYTES_MAX, STACK_BYTES_MIN};
use crate::observe::Format;
use std::ffi::OsString;
use std::path::PathBuf;

/// The longest period of schedtrace, as in Go: about 24 days.
const SCHEDTRACE_MS_MAX: u64 = i32::MAX as u64;

/// The longest time after which a stall is reported: a day.
const STALL_SECS_MAX: u64 = 86_400;

/// The variable that holds a list of [`KEYS`].
const DEBUG_VARIABLE: &str = "PIRN_DEBUG";

/// A setting with a name.
struct Setting {
    /// Its name.
    name: &'static str,
    /// What it may be set to, for complaints and for the manual.
    accepted: &'static str,
    /// Sets it. False: the value is not accepted, and nothing has changed.
    set: fn(&mut Settings, &str) -> bool,
}

/// The variables that hold one value.
const VARIABLES: [Setting; 2] = [
    Setting {
        name: "PIRN_MAXPROCS",
        accepted: "1..=1024",
        set: |settings, value| set_within(&mut settings.procs, number(value), 1, MAX_PROCS),
    },
    Setting {
        name: "PIRN_STACK",
        accepted: "64K..1G, in bytes or with K, M, G, KiB, MiB, GiB",
        set: |settings, value| set_within(&mut settings.stack_bytes, bytes(value), STACK_BYTES_MIN, STACK_BYTES_MAX),
    },
];

/// The keys of `PIRN_DEBUG`, each of which has a value.
const KEYS: [Setting; 12] = [
    Setting {
        name: "schedtrace",
        accepted: "MILLISECONDS",
        set: |settings, value| {
            let understood = set_within(&mut settings.schedtrace_ms, number(value), 0, SCHEDTRACE_MS_MAX);
            settings.schedtrace_ms = settings.schedtrace_ms.filter(|ms| *ms > 0);
            understood
        },
    },
    Setting { name: "scheddetail", accepted: "0|1", set: |settings, value| set_flag(&mut settings.detail, value) },
    Setting {
        name: "schedfmt",
        accepted: "go|compact|json",
        set: |settings, value| {
            settings.format = match value {
                "go" => Format::Go,
                "compact" => Format::Compact,
                "json" => Format::Json,
                _ => return false,
            };
            true
        },
    },
    Setting {
        name: "schedout",
        accepted: "PATH",
        set: |settings, value| {
            if value.is_empty() {
                return false;
            }
            settings.out = Some(value.into());
            true
        },
    },
    Setting {
        name: "dumponexit",
        accepted: "0|1",
        set: |settings, value| set_flag(&mut settings.dumps_on_exit, if value.is_empty() { "1" } else { value }),
    },
    Setting {
        name: "dumponsignal",
        accepted: "0|1",
        set: |settings, value| set_flag(&mut settings.dumps_on_signal, value),
    },
    Setting {
        name: "stall",
        accepted: "SECONDS",
        set: |settings, value| set_within(&mut settings.stall_secs, number(value), 0, STALL_SECS_MAX),
    },
    Setting { name: "blockers", accepted: "0|1", set: |settings, value| set_flag(&mut settings.names_blockers, value) },
    Setting {
        name: "partialdeadlock",
        accepted: "0|1",
        set: |settings, value| set_choice(&mut settings.partial_deadlocks, value),
    },
    Setting { name: "libraryroom", accepted: "0|1", set: |settings, value| set_flag(&mut settings.leaves_room, value) },
    Setting { name: "hook", accepted: "0|1", set: |settings, value| set_choice(&mut settings.hooks, value) },
    Setting {
        name: "width",
        accepted: "PROCS",
        set: |settings, value| set_within(&mut settings.width, number(value), 1, MAX_PROCS),
    },
];

/// What a panic shows of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backtraces {
    Off,
    Short,
    Full,
}

/// What std reads out of `RUST_BACKTRACE`.
#[expect(clippy::disallowed_methods, reason = "this is the only reader of the environment")]
pub(super) fn backtraces() -> Backtraces {
    match std::env::var_os("RUST_BACKTRACE") {
        Some(value) if value == "full" => Backtraces::Full,
        Some(value) if value != "0" => Backtraces::Short,
        _ => Backtraces::Off,
    }
}

/// What the environment asks for; `None` where it asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `PIRN_MAXPROCS`: how many Ps, at least 1 and at most [`MAX_PROCS`].
    pub(crate) procs: Option<usize>,
    /// `PIRN_STACK`: the stack limit of a G whose maker asked for nothing else, not rounded.
    pub(crate) stack_bytes: Option<usize>,
    /// `PIRN_DEBUG=schedtrace=X`: the milliseconds between two lines, at least 1.
    pub(crate) schedtrace_ms: Option<u64>,
    /// `PIRN_DEBUG=scheddetail=1`: every P, M and G too.
    pub(crate) detail: bool,
    /// `PIRN_DEBUG=schedfmt=X`: the shape of those lines.
    pub(crate) format: Format,
    /// `PIRN_DEBUG=schedout=X`: the file that they go to, instead of standard error.
    pub(crate) out: Option<PathBuf>,
    /// `PIRN_DEBUG=dumponexit`: the Gs that are left when the runtime ends are dumped.
    pub(crate) dumps_on_exit: bool,
    /// `PIRN_DEBUG=dumponsignal=1`: SIGQUIT dumps all Gs.
    pub(crate) dumps_on_signal: bool,
    /// `PIRN_DEBUG=stall=X`: after how many seconds a stall is reported; 0 is never.
    pub(crate) stall_secs: Option<u64>,
    /// `PIRN_DEBUG=blockers=1`: Gs that block their threads for long are reported.
    pub(crate) names_blockers: bool,
    /// `PIRN_DEBUG=partialdeadlock=X`: whether cycles of waits are reported while others run.
    pub(crate) partial_deadlocks: Option<bool>,
    /// `PIRN_DEBUG=libraryroom=1`: Gs have room for libraries that are loaded later.
    pub(crate) leaves_room: bool,
    /// `PIRN_DEBUG=hook=X`: whether libc's blocking functions park Gs, if they are hooked in this program.
    pub(crate) hooks: Option<bool>,
    /// `PIRN_DEBUG=width=X`: how many Ps may be awake for the events of descriptors, at least 1.
    pub(crate) width: Option<usize>,
}

impl Settings {
    /// Reads the environment of the process; the second part is the complaints, one line each, without line ends.
    #[expect(clippy::disallowed_methods, reason = "this is the only reader of the environment")]
    pub(crate) fn read() -> (Settings, Vec<String>) {
        Settings::parse(|name| std::env::var_os(name))
    }

    /// Reads the environment that `get` describes.
    pub(crate) fn parse(get: impl Fn(&str) -> Option<OsString>) -> (Settings, Vec<String>) {
        let mut settings = Settings::default();
        let mut complaints = Vec::new();
        for variable in &VARIABLES {
            // What is not UTF-8 becomes a replacement character, which no accepted value has.
            let Some(value) = get(variable.name) else { continue };
            let value = value.to_string_lossy();
            if !(variable.set)(&mut settings, &value) {
                let Setting { name, accepted, .. } = variable;
                complaints.push(format!("pirn: {name}: bad value {value:?}; accepted: {accepted}"));
            }
        }
        let list = get(DEBUG_VARIABLE).unwrap_or_default();
        let wrong = settings.apply_list(&list.to_string_lossy());
        complaints.extend(wrong.iter().map(|what| format!("pirn: {DEBUG_VARIABLE}: {what}")));
        (settings, complaints)
    }

    /// Applies a list of keys with their values. Returns what was wrong, and what would be right.
    pub(crate) fn apply_list(&mut self, list: &str) -> Vec<String> {
        let wrong = list.split(',').filter_map(|item| self.apply(item).err());
        wrong.map(|complaint| format!("{complaint}; accepted: {}", accepted_keys())).collect()
    }

    /// Applies one item of the list. Later items win, as in Go. An empty one says nothing, so that a list may be
    /// put together from parts that may be empty.
    fn apply(&mut self, item: &str) -> Result<(), String> {
        if item.is_empty() {
            return Ok(());
        }
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| format!("unknown key {name:?}"))?;
        if (key.set)(self, value) { Ok(()) } else { Err(format!("bad value {item:?}")) }
    }
}

/// Every key with its values, as a complaint lists them.
fn accepted_keys() -> String {
    KEYS.map(|key| format!("{}={}", key.name, key.accepted)).join(", ")
}

/// Sets `target` if there is a value and it is within the limits; says whether it did.
fn set_within<N: PartialOrd + Copy>(target: &mut Option<N>, value: Option<N>, min: N, max: N) -> bool {
    let value = value.filter(|value| (min..=max).contains(value));
    if value.is_some() {
        *target = value;
    }
    value.is_some()
}

/// Sets `target` if the value says yes or no; says whether it did.
fn set_flag(target: &mut bool, value: &str) -> bool {
    let flag = match value {
        "0" => false,
        "1" => true,
        _ => return false,
    };
    *target = flag;
    true
}

/// Sets `target` to yes or no; says whether it did.
fn set_choice(target: &mut Option<bool>, value: &str) -> bool {
    let mut is_on = false;
    let understood = set_flag(&mut is_on, value);
    *target = Some(is_on).filter(|_| understood).or(*target);
    understood
}

/// Understands decimal digits and nothing else: no sign, no space.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Understands a number of bytes, of KiB (`K` or `KiB`), of MiB or of GiB, in capitals or not.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit: usize = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number::<usize>(count)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an environment of these variables and no others.
    fn parse(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        Settings::parse(|name| variables.iter().find(|variable| variable.0 == name).map(|variable| variable.1.into()))
    }

    /// Reads an environment that nothing is wrong with.
    fn good(variables: &[(&str, &str)]) -> Settings {
        let (settings, complaints) = parse(variables);
        assert_eq!(complaints, [""; 0], "{variables:?}");
        settings
    }

    /// Reads an environment of one variable with one mistake. The defaults must remain. Returns the complaint.
    fn bad(name: &str, value: &str) -> String {
        let (settings, mut complaints) = parse(&[(name, value)]);
        assert_eq!(settings, Settings::default(), "{name}={value:?}");
        assert_eq!(complaints.len(), 1, "{name}={value:?}: {complaints:?}");
        let complaint = complaints.remove(0);
        assert!(complaint.starts_with(&format!("pirn: {name}: ")), "{complaint}");
        assert!(!complaint.contains(char::is_control), "{complaint:?}");
        complaint
    }

    #[test]
    fn an_empty_environment_asks_for_nothing() {
        let nothing = Settings {
            procs: None,
            stack_bytes: None,
            schedtrace_ms: None,
            detail: false,
            format: Format::Go,
            out: None,
            dumps_on_exit: false,
            dumps_on_signal: false,
            stall_secs: None,
            names_blockers: false,
            partial_deadlocks: None,
            leaves_room: false,
            hooks: None,
            width: None,
        };
        assert_eq!(good(&[]), nothing);
    }

    #[test]
    fn all_variables_at_once() {
        let debug = "schedfmt=compact,schedtrace=100,scheddetail=1,schedout=a b/c=d,dumponexit,dumponsignal=1,blockers=1,partialdeadlock=0,libraryroom=1,hook=0,stall=30,width=2";
        let settings = good(&[("PIRN_MAXPROCS", "3"), ("PIRN_STACK", "2M"), ("PIRN_DEBUG", debug)]);
        let expected = Settings {
            procs: Some(3),
            stack_bytes: Some(2 << 20),
            schedtrace_ms: Some(100),
            detail: true,
            format: Format::Compact,
            out: Some("a b/c=d".into()),
            dumps_on_exit: true,
            dumps_on_signal: true,
            stall_secs: Some(30),
            names_blockers: true,
            partial_deadlocks: Some(false),
            leaves_room: true,
            hooks: Some(false),
            width: Some(2),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn all_mistakes_are_named_and_the_rest_is_applied() {
        let (settings, complaints) = parse(&[
            ("PIRN_MAXPROCS", "many"),
            ("PIRN_STACK", "2T"),
            ("PIRN_DEBUG", "foo=1,schedtrace=7,schedfmt=xml"),
        ]);
        assert_eq!(settings, Settings { schedtrace_ms: Some(7), ..Settings::default() });
        let keys = accepted_keys();
        assert!(keys.starts_with("schedtrace=MILLISECONDS, scheddetail=0|1, schedfmt=go|compact|json, "), "{keys}");
        assert_eq!(
            complaints,
            [
                r#"pirn: PIRN_MAXPROCS: bad value "many"; accepted: 1..=1024"#.to_owned(),
                r#"pirn: PIRN_STACK: bad value "2T"; accepted: 64K..1G, in bytes or with K, M, G, KiB, MiB, GiB"#
                    .to_owned(),
                format!(r#"pirn: PIRN_DEBUG: unknown key "foo"; accepted: {keys}"#),
                format!(r#"pirn: PIRN_DEBUG: bad value "schedfmt=xml"; accepted: {keys}"#),
            ]
        );
    }

    #[test]
    fn procs_are_1_to_1024() {
        for (text, procs) in [("1", 1), ("2", 2), ("1024", 1024), ("0008", 8)] {
            assert_eq!(good(&[("PIRN_MAXPROCS", text)]).procs, Some(procs));
        }
        let wrong = ["0", "1025", "-1", "+1", "1.5", "0x2", "1e2", "1_0", "two", "99999999999999999999999", "٣", "1K"];
        for text in wrong {
            assert!(bad("PIRN_MAXPROCS", text).contains(&format!("bad value {text:?}")), "{text}");
        }
    }

    #[test]
    fn what_the_complaint_accepts_is_what_is_accepted() {
        assert_eq!(VARIABLES[0].accepted, format!("1..={MAX_PROCS}"));
        assert!(VARIABLES[1].accepted.starts_with("64K..1G,"));
        assert_eq!((bytes("64K"), bytes("1G")), (Some(STACK_BYTES_MIN), Some(STACK_BYTES_MAX)));
        let choices = KEYS.iter().filter(|key| key.accepted.contains('|'));
        for (key, value) in choices.flat_map(|key| key.accepted.split('|').map(|value| (key.name, value))) {
            good(&[("PIRN_DEBUG", &format!("{key}={value}"))]);
        }
    }

    #[test]
    fn flags_are_yes_or_no() {
        for key in ["scheddetail", "dumponexit", "dumponsignal", "blockers", "partialdeadlock", "libraryroom", "hook"] {
            for text in ["2", "yes", "true", "-1", "01"] {
                let item = format!("{key}={text}");
                assert!(bad("PIRN_DEBUG", &item).contains(&format!("bad value {item:?}")), "{item}");
            }
        }
        assert!(good(&[("PIRN_DEBUG", "dumponexit")]).dumps_on_exit);
        assert!(!good(&[("PIRN_DEBUG", "dumponexit,dumponexit=0")]).dumps_on_exit);
        assert!(bad("PIRN_DEBUG", "schedout=").contains("bad value"));
    }

    #[test]
    fn names_are_unique() {
        let names = VARIABLES.iter().chain(&KEYS).map(|setting| setting.name).chain([DEBUG_VARIABLE]);
        let unique: std::collections::BTreeSet<_> = names.clone().collect();
        assert_eq!(unique.len(), names.count());
    }

    #[test]
    fn stack_limits_have_units() {
        let good_ones = [
            ("65536", 64 << 10),
            ("65537", 65537),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("64KiB", 64 << 10),
            ("64kib", 64 << 10),
            ("100KIB", 100 << 10),
            ("1M", 1 << 20),
            ("1m", 1 << 20),
            ("16MiB", 16 << 20),
            ("1G", 1 << 30),
            ("1gib", 1 << 30),
            ("1024M", 1 << 30),
            ("1073741824", 1 << 30),
        ];
        for (text, stack_bytes) in good_ones {
            assert_eq!(good(&[("PIRN_STACK", text)]).stack_bytes, Some(stack_bytes), "{text}");
        }
    }

    #[test]
    fn stack_limits_out_of_range_or_without_sense() {
        let out_of_range = ["0", "1", "65535", "63K", "2G", "1025M", "1073741825", "18446744073709551616"];
        let overflowing = ["18014398509481985K", "17592186044417M", "17179869185G"];
        let senseless = ["K", "KiB", "1.5M", "-1M", "+1M", "64 K", "64KK", "64Ki", "64KB", "64B", "1T", "64Kİ"];
        for text in out_of_range.iter().chain(&overflowing).chain(&senseless) {
            assert!(bad("PIRN_STACK", text).contains(&format!("bad value {text:?}; accepted: 64K..1G")), "{text}");
        }
    }

    #[test]
    fn schedtrace_is_milliseconds_and_0_is_off() {
        for (text, ms) in [("1", Some(1)), ("100", Some(100)), ("2147483647", Some(2147483647)), ("0", None)] {
            assert_eq!(good(&[("PIRN_DEBUG", &format!("schedtrace={text}"))]).schedtrace_ms, ms);
        }
        for text in ["-1", "+1", "1.5", "100ms", "on", "2147483648", "18446744073709551616", "1=1"] {
            let item = format!("schedtrace={text}");
            assert!(bad("PIRN_DEBUG", &item).contains(&format!("bad value {item:?}")), "{text}");
        }
    }

    #[test]
    fn stall_is_seconds_up_to_a_day_and_0_is_never() {
        for (text, secs) in [("0", 0), ("1", 1), ("86400", 86_400)] {
            assert_eq!(good(&[("PIRN_DEBUG", &format!("stall={text}"))]).stall_secs, Some(secs));
        }
        for text in ["", "-1", "0.5", "5s", "86401"] {
            assert!(bad("PIRN_DEBUG", &format!("stall={text}")).contains("bad value"), "{text}");
        }
    }

    #[test]
    fn formats_are_go_compact_and_json() {
        assert_eq!(good(&[("PIRN_DEBUG", "schedfmt=go")]).format, Format::Go);
        assert_eq!(good(&[("PIRN_DEBUG", "schedfmt=compact")]).format, Format::Compact);
        assert_eq!(good(&[("PIRN_DEBUG", "schedfmt=json")]).format, Format::Json);
        for text in ["Json", "Go", "GO", "compact2", "go|compact"] {
            assert!(bad("PIRN_DEBUG", &format!("schedfmt={text}")).contains("bad value"), "{text}");
        }
    }

    #[test]
    fn keys_that_are_written_otherwise_are_unknown() {
        let items = ["foo", "foo=1", "=1", "=", "Schedtrace=1", "SCHEDTRACE=1", "schedtrace:1", "schedtrace;1"];
        for item in items {
            let name = item.split('=').next().unwrap_or_default();
            let expected = format!("unknown key {name:?}; accepted: {}", accepted_keys());
            assert!(bad("PIRN_DEBUG", item).ends_with(&expected), "{item}");
        }
    }

    #[test]
    fn no_value_is_a_bad_value() {
        for (name, value) in [("PIRN_MAXPROCS", ""), ("PIRN_STACK", "")] {
            assert!(bad(name, value).contains(r#"bad value """#));
        }
        for item in ["schedtrace", "schedtrace=", "schedfmt", "schedfmt="] {
            assert!(bad("PIRN_DEBUG", item).contains(&format!("bad value {item:?}")));
        }
    }

    #[test]
    fn an_empty_list_or_item_says_nothing() {
        for list in ["", ",", ",,,"] {
            assert_eq!(good(&[("PIRN_DEBUG", list)]), Settings::default());
        }
        let settings = good(&[("PIRN_DEBUG", ",schedtrace=5,,schedfmt=compact,")]);
        assert_eq!((settings.schedtrace_ms, settings.format), (Some(5), Format::Compact));
    }

    #[test]
    fn white_space_is_not_ignored() {
        for text in [" 2", "2 ", "2\n", "\t2", " ", "2 2"] {
            assert!(bad("PIRN_MAXPROCS", text).contains(&format!("bad value {text:?}")), "{text:?}");
        }
        for text in [" 64K", "64K ", "64K\n", "64\u{a0}K"] {
            assert!(bad("PIRN_STACK", text).contains(&format!("bad value {text:?}")), "{text:?}");
        }
        assert!(bad("PIRN_DEBUG", " schedtrace=1").contains(r#"unknown key " schedtrace""#));
        assert!(bad("PIRN_DEBUG", "schedtrace =1").contains(r#"unknown key "schedtrace ""#));
        assert!(bad("PIRN_DEBUG", "schedtrace= 1").contains(r#"bad value "schedtrace= 1""#));
        assert!(bad("PIRN_DEBUG", "schedtrace=1\n").contains(r#"bad value "schedtrace=1\n""#));
        assert!(bad("PIRN_DEBUG", "schedfmt=go ").contains(r#"bad value "schedfmt=go ""#));
        assert!(bad("PIRN_DEBUG", " ").contains(r#"unknown key " ""#));
    }

    #[test]
    fn of_duplicates_the_last_good_one_wins() {
        assert_eq!(good(&[("PIRN_DEBUG", "schedtrace=1,schedtrace=2")]).schedtrace_ms, Some(2));
        assert_eq!(good(&[("PIRN_DEBUG", "schedtrace=1,schedtrace=0")]).schedtrace_ms, None);
        assert_eq!(good(&[("PIRN_DEBUG", "schedfmt=compact,schedfmt=go")]).format, Format::Go);
        let (settings, complaints) = parse(&[("PIRN_DEBUG", "schedtrace=1,schedtrace=x,schedtrace=9999999999")]);
        assert_eq!((settings.schedtrace_ms, complaints.len()), (Some(1), 2));
    }

    #[test]
    fn every_mistake_in_a_list_is_named() {
        let (settings, complaints) = parse(&[("PIRN_DEBUG", "a=1,b=2,schedtrace=3,a=1")]);
        assert_eq!(settings.schedtrace_ms, Some(3));
        assert_eq!(complaints.len(), 3);
        for (complaint, key) in complaints.iter().zip(["a", "b", "a"]) {
            assert!(complaint.contains(&format!("unknown key {key:?}")), "{complaint}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf_8_is_a_mistake() {
        use std::os::unix::ffi::OsStringExt;
        let parse = |name: &'static str, value: &'static [u8]| {
            Settings::parse(move |asked| (asked == name).then(|| OsString::from_vec(value.to_vec())))
        };
        for (name, value) in [("PIRN_MAXPROCS", &b"2\xff"[..]), ("PIRN_STACK", b"64K\xc3"), ("PIRN_STACK", b"\xff")] {
            let (settings, complaints) = parse(name, value);
            assert_eq!((settings, complaints.len()), (Settings::default(), 1));
            assert!(complaints[0].starts_with(&format!("pirn: {name}: bad value ")), "{complaints:?}");
        }
        // The other items of the list are applied.
        let (settings, complaints) = parse("PIRN_DEBUG", b"schedtrace=4,fo\xffo=1,schedfmt=g\xfe");
        assert_eq!((settings.schedtrace_ms, complaints.len()), (Some(4), 2));
        assert!(complaints[0].contains("unknown key \"fo\u{fffd}o\"; accepted: "), "{complaints:?}");
        assert!(complaints[1].contains("bad value \"schedfmt=g\u{fffd}\"; accepted: "), "{complaints:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test of the only reader of the environment")]
    fn the_environment_of_the_process_is_read() {
        // It is read in the same way, whatever it is set to.
        assert_eq!(Settings::read(), Settings::parse(|name| std::env::var_os(name)));
    }
}
