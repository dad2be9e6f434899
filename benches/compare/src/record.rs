//! A table that was written as JSON, read again.
//!
//! Ratios and verdicts are taken as they stand there, and are not made anew: the figures may be rounded.

use crate::figures::{Place, Spread, more_is_better};
use crate::peers::{MODES, PEERS};
use crate::plan::{Row, Wish, plan};
use crate::summary::{Cell, Line, Standing, Variant};
use crate::table::Report;
use crate::targets::{Verdict, target};
use serde_json::Value;

/// The report of which `text` is the JSON.
///
/// # Errors
/// Says what is missing or unknown.
pub(crate) fn report(text: &str) -> Result<Report, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let plans = [false, true].map(|scaling| plan(&Wish { scaling, ..Wish::default() }));
    let head = list(&value, "about")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let failures = list(&value, "failures")?.iter().map(failure).collect::<Result<_, _>>()?;
    let lines = list(&value, "summary")?.iter().map(|value| line(value, &plans)).collect::<Result<_, _>>()?;
    Ok(Report { head, lines, failures })
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    value[key].as_array().ok_or_else(|| format!("no list {key:?}"))
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("no text {key:?} in {value}"))
}

fn number(value: &Value, key: &str) -> Result<f64, String> {
    value[key].as_f64().ok_or_else(|| format!("no number {key:?} in {value}"))
}

fn failure(value: &Value) -> Result<(String, usize), String> {
    Ok((text(value, "what")?.to_owned(), number(value, "times")? as usize))
}

/// A line, of a row of one of the plans.
fn line(value: &Value, plans: &[Vec<Row>]) -> Result<Line, String> {
    let label = text(value, "row")?;
    let row = plans.iter().flatten().find(|row| row.label() == label).ok_or_else(|| format!("no row {label:?}"))?;
    let metric = text(value, "metric")?;
    let metric = row
        .shown
        .iter()
        .copied()
        .find(|shown| *shown == metric)
        .ok_or_else(|| format!("{label} shows no {metric:?}"))?;
    let place = text(value, "place")?;
    let peers = value["peers"].as_object().ok_or_else(|| format!("no peers in {label}"))?;
    let known = PEERS.into_iter().filter(|peer| peers.contains_key(*peer));
    let cells = known.map(|peer| Ok((peer, row.size(peer), cell(&peers[peer])?))).collect::<Result<_, String>>()?;
    let target = target(&row.name, row.procs, metric);
    let mut standings = [Standing::default(); MODES.len()];
    for (one, mode) in standings.iter_mut().zip(MODES) {
        *one = standing(metric, &value[mode.replace('-', "_")])?;
        one.has_target = target.is_some_and(|target| target.is_for(mode));
    }
    Ok(Line {
        label: label.to_owned(),
        workload: row.workload,
        procs: row.procs,
        metric,
        unit: text(value, "unit")?.to_owned(),
        place: Place::named(place).ok_or_else(|| format!("no place is called {place:?}"))?,
        stolen: value["stolen"].as_f64(),
        cells,
        standings,
    })
}

fn cell(value: &Value) -> Result<Cell, String> {
    match value {
        Value::Null => Ok(Cell::Nothing),
        Value::String(_) => Ok(Cell::Failed),
        _ => Ok(Cell::Figures(list(value, "variants")?.iter().map(variant).collect::<Result<_, _>>()?)),
    }
}

fn variant(value: &Value) -> Result<Variant, String> {
    let [median, min, max] = ["median", "min", "max"].map(|key| number(value, key));
    // Where it was not kept there was more than one.
    let count = value["rounds"].as_u64().unwrap_or(2) as usize;
    let spread = Spread { median: median?, min: min?, max: max?, count };
    Ok(Variant { tag: text(value, "tag")?.to_owned(), spread })
}

/// How a mode stands, but for whether it has a target.
fn standing(metric: &str, value: &Value) -> Result<Standing, String> {
    let known = |value: &Value| PEERS.into_iter().find(|peer| value == *peer);
    let (best, target) = (&value["to_best"], &value["target"]);
    let best = match known(&best["peer"]) {
        Some(peer) => Some((number(best, "ratio")?, peer)),
        None => None,
    };
    let verdict = match target {
        Value::Null => None,
        _ => Some(Verdict {
            limit: number(target, "limit")?,
            is: number(target, "is")?,
            of: known(&target["of"]),
            at_least: more_is_better(metric),
        }),
    };
    Ok(Standing { has_target: false, best, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::summary::{failures, recorded};

    #[test]
    fn a_report_that_was_written_is_the_same_when_it_is_read() {
        let recorded = include_str!("golden/recorded.txt");
        let lines = recorded::lines(recorded);
        let report =
            Report { head: vec!["a machine".to_owned()], lines, failures: failures(&recorded::runs(recorded)) };
        let again = super::report(&json::record(&report).to_string()).unwrap();
        assert_eq!((again.markdown(), again.text()), (report.markdown(), report.text()));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(report("{").is_err());
        assert!(report("{}").unwrap_err().contains("about"));
        let unknown = r#"{ "about": [], "failures": [], "summary": [{ "row": "spawn/9" }] }"#;
        assert!(report(unknown).unwrap_err().contains("spawn/9"));
    }
}
