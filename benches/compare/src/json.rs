//! Everything as JSON: the raw figures, the failures, and the table.

use crate::figures::{Outcome, Run};
use crate::summary::{Cell, Line, Standing};
use crate::table::Report;
use serde_json::{Value, json};

/// The whole run.
pub(crate) fn json(report: &Report, runs: &[Run]) -> Value {
    let mut value = record(report);
    value["raw"] = runs.iter().map(raw).collect();
    value
}

/// What the table is made of, without the raw figures.
pub(crate) fn record(report: &Report) -> Value {
    let failure = |(what, times): &(String, usize)| json!({ "what": what, "times": times });
    json!({
        "about": report.head,
        "failures": report.failures.iter().map(failure).collect::<Vec<_>>(),
        "summary": report.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

/// One run of one program.
fn raw(run: &Run) -> Value {
    let mut value = json!({
        "row": run.row,
        "procs": run.procs,
        "peer": run.peer,
        "round": run.round,
        "place": run.place().name(),
        "probe_before_ns": run.before,
        "probe_after_ns": run.after,
        "stolen": run.stolen,
        "wall_s": run.wall.as_secs_f64(),
    });
    match &run.outcome {
        Outcome::Figures(figures) => {
            let figure = |figure: &crate::figures::Figure| {
                json!({
                    "metric": figure.metric,
                    "tag": figure.tag,
                    "value": figure.value,
                    "unit": figure.unit,
                })
            };
            value["figures"] = figures.iter().map(figure).collect();
        }
        Outcome::None => value["none"] = json!("no such workload"),
        Outcome::Failed { how, last_line, .. } => value["failed"] = json!({ "how": how, "last_line": last_line }),
    }
    value
}

/// One line of the table.
fn line(line: &Line) -> Value {
    let peers = line.cells.iter().map(|(peer, size, cell)| {
        let value = match cell {
            Cell::Nothing => Value::Null,
            Cell::Failed => json!("failed"),
            Cell::Figures(variants) => {
                let variant = |variant: &crate::summary::Variant| {
                    let spread = variant.spread;
                    json!({
                        "tag": variant.tag,
                        "median": spread.median,
                        "min": spread.min,
                        "max": spread.max,
                        "rounds": spread.count,
                    })
                };
                json!({ "size": size, "variants": variants.iter().map(variant).collect::<Vec<_>>() })
            }
        };
        ((*peer).to_owned(), value)
    });
    let mut value = json!({
        "row": line.label,
        "procs": line.procs,
        "metric": line.metric,
        "unit": line.unit,
        "place": line.place.name(),
        "stolen": line.stolen,
        "peers": peers.collect::<serde_json::Map<_, _>>(),
    });
    line.modes().for_each(|(mode, one)| value[mode.replace('-', "_")] = standing(one));
    value
}

/// How one mode of pirn stands.
fn standing(standing: Standing) -> Value {
    let target = standing.verdict.map(
        |verdict| json!({ "is": verdict.is, "limit": verdict.limit, "of": verdict.of, "reached": verdict.reached() }),
    );
    let best = standing.best.map(|(ratio, who)| json!({ "ratio": ratio, "peer": who }));
    json!({ "to_best": best, "target": target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::recorded;

    #[test]
    fn raw_figures_and_summary() {
        let text = "yield1 - yield1 pirn 1 ns_per_yield 4 ns\n\
                    yield1 - yield1 may 1 ns_per_yield 80 ns\n\
                    yield1 - yield1 go 1 FAILED exit code 101";
        let report = Report { lines: recorded::lines(text), ..Report::default() };
        let value = json(&report, &recorded::runs(text));
        assert_eq!(value["raw"][1]["figures"][0]["value"], 80.0);
        assert_eq!(value["raw"][2]["failed"]["how"], "exit code 101");
        let line = &value["summary"][0];
        assert_eq!((&line["row"], &line["peers"]["go"]), (&json!("yield1/1"), &json!("failed")));
        assert_eq!(line["peers"]["may"]["variants"][0]["median"], 80.0);
        assert_eq!(line["pirn"]["to_best"], json!({ "ratio": 0.05, "peer": "may" }));
        assert_eq!(line["pirn"]["target"]["reached"], true);
        assert_eq!(line["pirn_shared"]["target"], Value::Null);
    }
}
