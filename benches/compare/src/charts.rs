//! The charts, as SVG written by hand: each has its own card for a background, light or dark as the reader's system is.

use crate::figures::{BYTES, Place};
use crate::peers::{ISOLATED, PEERS, SHARED};
use crate::summary::{Line, Standing};
use crate::table::{share, short};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The colour of each of [`PEERS`]; to be seen on both cards.
const COLOURS: [&str; 7] = ["#3b82f6", "#8b5cf6", "#d6336c", "#868e96", "#d97706", "#e05252", "#0d9f8c"];

/// Text and lines for both cards.
const STYLE: &str = "\
.card { fill: #ffffff; stroke: #d0d7de; }
text { fill: #1f2328; font: 12px system-ui, sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.one { stroke: #57606a; stroke-width: 1.5; }
.trace { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; stroke: #3d444d; }
text { fill: #e6edf3; }
.grid { stroke: #3d444d; }
.one { stroke: #9198a1; }
}
";

/// An SVG that is being written.
struct Svg {
    text: String,
    height: f64,
    width: f64,
}

impl Svg {
    fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Svg {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n",
            escaped(title)
        );
        let (card_width, card_height) = (width - 1.0, height - 1.0);
        text += &format!(
            "<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{card_width}\" height=\"{card_height}\" rx=\"8\"/>\n"
        );
        let mut svg = Svg { text, height, width };
        svg.label((16.0, 26.0), "start", "title", title);
        svg.label((16.0, 44.0), "start", "small", subtitle);
        svg
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.text.write_fmt(element).expect("a String takes everything");
        self.text.push('\n');
    }

    fn label(&mut self, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"));
    }

    fn done(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }
}

/// `text` as it may stand in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn colour(peer: &str) -> &'static str {
    PEERS.iter().position(|name| *name == peer).map_or("#868e96", |at| COLOURS[at])
}

/// A logarithmic scale: values between two limits, on the way from one coordinate to another.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }

    /// Round numbers in between: 1, and if there is room 2 and 5, of each power of ten.
    fn ticks(self) -> Vec<f64> {
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let steps: &[f64] = if self.high / self.low > 3e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        all.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
    }
}

/// The ratio of both modes to the best other, line by line: bars to the left of 1 are better, to the right worse.
pub(crate) fn ratios(lines: &[Line]) -> Option<String> {
    const ROW: f64 = 30.0;
    const TOP: f64 = 84.0;
    let lines: Vec<&Line> = lines
        .iter()
        .filter(|line| line.place != Place::Mixed && both(line).iter().any(|(_, s)| s.best.is_some()))
        .collect();
    let all: Vec<f64> =
        lines.iter().flat_map(|line| both(line)).filter_map(|(_, standing)| Some(standing.best?.0)).collect();
    let low = all.iter().copied().reduce(f64::min)?.min(0.5) / 1.1;
    let high = all.iter().copied().reduce(f64::max)?.max(2.0) * 1.1;
    let bottom = TOP + ROW * lines.len() as f64;
    let title = "pirn to the best of the others";
    let mut svg =
        Svg::new(900.0, bottom + 40.0, title, "left of 1: pirn is better; right of 1: the other one that is named");
    let scale = Scale { low, high, from: 300.0, to: 740.0 };
    for (nth, (mode, _)) in both(lines.first()?).iter().enumerate() {
        let x = 300.0 + 120.0 * nth as f64;
        svg.add(format_args!("<rect x=\"{x}\" y=\"58\" width=\"12\" height=\"12\" fill=\"{}\"/>", colour(mode)));
        svg.label((x + 18.0, 68.0), "start", "", mode);
    }
    for tick in scale.ticks() {
        let x = scale.at(tick);
        svg.line("grid", (x, TOP - 4.0), (x, bottom));
        svg.label((x, bottom + 18.0), "middle", "small", &short(tick));
    }
    for (nth, line) in lines.iter().enumerate() {
        let y = TOP + ROW * nth as f64;
        svg.label((16.0, y + 11.0), "start", "", format!("{} {}", line.label, line.place).trim_end());
        svg.label((16.0, y + 23.0), "start", "small", line.metric);
        for (nth, (mode, standing)) in both(line).iter().enumerate() {
            let Some((ratio, who)) = standing.best else { continue };
            let y = y + 12.0 * nth as f64;
            let (from, to) = (scale.at(ratio.min(1.0)), scale.at(ratio.max(1.0)));
            let (width, fill) = ((to - from).max(1.0), colour(mode));
            svg.add(format_args!(
                "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"10\" fill=\"{fill}\"/>"
            ));
            svg.label((752.0, y + 9.0), "start", "small", &format!("{} of {who}", share(ratio)));
        }
    }
    svg.line("one", (scale.at(1.0), TOP - 4.0), (scale.at(1.0), bottom));
    Some(svg.done())
}

/// The modes of the chart: those whose tasks wait for what pirn has.
fn both(line: &Line) -> Vec<(&'static str, Standing)> {
    line.modes().filter(|(mode, _)| [ISOLATED, SHARED].contains(mode)).collect()
}

/// What one peer has, by the number of tasks.
type Trace = BTreeMap<usize, f64>;

/// The cost of a switch by the number of tasks, a line for each peer.
pub(crate) fn yields(lines: &[Line]) -> Option<String> {
    by_tasks(
        &traces(lines, "yield_n", "ns_per_yield"),
        "Cost of a switch",
        "ns per yield by the number of tasks, on one P",
    )
}

/// The memory of a parked task by their number, a line for each peer.
pub(crate) fn parked(lines: &[Line]) -> Option<String> {
    let subtitle = "bytes per parked task by their number: resident, page tables, kernel stacks";
    by_tasks(&traces(lines, "parked_mem", BYTES), "Memory of a parked task", subtitle)
}

fn traces(lines: &[Line], workload: &str, metric: &str) -> Vec<(&'static str, Trace)> {
    let mut traces: Vec<(&'static str, Trace)> = Vec::new();
    for line in lines.iter().filter(|line| line.workload == workload && line.metric == metric) {
        for (peer, size, cell) in &line.cells {
            let Some(median) = cell.median().filter(|median| *median > 0.0) else { continue };
            let at = traces.iter().position(|(name, _)| name == peer).unwrap_or_else(|| {
                traces.push((peer, Trace::new()));
                traces.len() - 1
            });
            traces[at].1.insert(*size, median);
        }
    }
    traces
}

/// A chart with a line for each trace, both scales logarithmic.
fn by_tasks(traces: &[(&'static str, Trace)], title: &str, subtitle: &str) -> Option<String> {
    let sizes = || traces.iter().flat_map(|(_, trace)| trace.keys().map(|size| *size as f64));
    let values = || traces.iter().flat_map(|(_, trace)| trace.values().copied());
    let (left, right) = (sizes().reduce(f64::min)?, sizes().reduce(f64::max)?);
    let (low, high) = (values().reduce(f64::min)? / 1.5, values().reduce(f64::max)? * 1.5);
    let mut svg = Svg::new(760.0, 440.0, title, subtitle);
    let right = if right > left { right } else { left * 10.0 };
    let x = Scale { low: left, high: right, from: 76.0, to: svg.width - 140.0 };
    let y = Scale { low, high, from: svg.height - 48.0, to: 64.0 };
    for tick in x.ticks().into_iter().filter(|tick| tick.log10().fract().abs() < 1e-6) {
        svg.line("grid", (x.at(tick), y.from), (x.at(tick), y.to));
        svg.label((x.at(tick), y.from + 20.0), "middle", "small", &count(tick));
    }
    for tick in y.ticks() {
        svg.line("grid", (x.from, y.at(tick)), (x.to, y.at(tick)));
        svg.label((x.from - 8.0, y.at(tick) + 4.0), "end", "small", &short(tick));
    }
    let mut names = Vec::new();
    for (peer, trace) in traces {
        let points: Vec<(f64, f64)> = trace.iter().map(|(size, value)| (x.at(*size as f64), y.at(*value))).collect();
        let colour = colour(peer);
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        svg.add(format_args!("<polyline class=\"trace\" stroke=\"{colour}\" points=\"{}\"/>", path.join(" ")));
        for (x, y) in &points {
            svg.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"));
        }
        names.extend(points.last().map(|(_, y)| (*y, *peer)));
    }
    for (y, peer) in apart(names) {
        svg.add(format_args!("<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{}\"/>", x.to + 14.0, colour(peer)));
        svg.label((x.to + 22.0, y + 4.0), "start", "", peer);
    }
    Some(svg.done())
}

/// Names beside the last points of their lines, moved down where they would stand on each other.
fn apart(mut names: Vec<(f64, &str)>) -> Vec<(f64, &str)> {
    const HEIGHT: f64 = 15.0;
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = f64::NEG_INFINITY;
    for (y, _) in &mut names {
        *y = y.max(least);
        least = *y + HEIGHT;
    }
    names
}

/// A power of ten: `100`, `10k`, `1M`.
fn count(value: f64) -> String {
    match value {
        large if large >= 1e6 => format!("{:.0}M", large / 1e6),
        middle if middle >= 1e4 => format!("{:.0}k", middle / 1e3),
        small => format!("{small:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::recorded;

    /// The chart's texts, if it is XML.
    fn texts(svg: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
        let texts = document.descendants().filter(|node| node.has_tag_name("text"));
        texts.filter_map(|node| Some(node.text()?.to_owned())).collect()
    }

    /// A run in which everybody has `metric` in `row`.
    fn all(row: &str, workload: &str, procs: usize, metric: &str, first: f64) -> String {
        let line = |(nth, peer): (usize, &&str)| {
            let value = first * (nth + 1) as f64;
            format!("{row} near {workload} {peer} {procs} {metric} {value} ns\n")
        };
        PEERS.iter().enumerate().map(line).collect()
    }

    #[test]
    fn ratios_name_the_modes_and_the_best_other() {
        let mut text = all("spawn_join", "spawn_join", 1, "ns_per_task", 10.0);
        text += "ring near ring pirn 1 ns_per_hop 200 ns\nring near ring go 1 ns_per_hop 100 ns\n";
        text += "spsc128 mixed spsc128 pirn 2 ns_per_msg 15 ns\nspsc128 mixed spsc128 go 2 ns_per_msg 15 ns\n";
        let texts = texts(&ratios(&recorded::lines(&text)).unwrap());
        for text in ["pirn", "pirn-shared", "spawn_join/1", "0.25 of threads", "0.5 of threads", "2.00 of go"] {
            assert!(texts.iter().any(|other| other == text), "{text}: {texts:?}");
        }
        assert!(!texts.iter().any(|text| text.contains("spsc128")), "a mixed figure is no ratio");
    }

    #[test]
    fn each_peer_has_its_line() {
        let mut text = all("yield_n_1", "yield_n", 1, "ns_per_yield", 4.0);
        text += &all("yield_n_100000", "yield_n", 1, "ns_per_yield", 80.0);
        text += &all("parked_mem_10000", "parked_mem", 2, "rss_bytes_per_task", 400.0);
        text += &all("parked_mem", "parked_mem", 2, "rss_bytes_per_task", 440.0);
        let lines = recorded::lines(&text);
        for svg in [yields(&lines).unwrap(), parked(&lines).unwrap()] {
            let texts = texts(&svg);
            for peer in PEERS {
                assert!(texts.iter().any(|text| text == peer), "{peer}: {texts:?}");
                assert!(svg.contains(&format!("stroke=\"{}\"", colour(peer))));
            }
            assert_eq!(svg.matches("<polyline").count(), PEERS.len());
        }
        assert!(texts(&yields(&lines).unwrap()).iter().any(|text| text == "100k"));
    }

    #[test]
    fn nothing_to_draw() {
        assert!(ratios(&[]).is_none() && yields(&[]).is_none() && parked(&[]).is_none());
        let alone = recorded::lines("yield_n_1 - yield_n go 1 ns_per_yield 88 ns");
        assert!(ratios(&alone).is_none());
        texts(&yields(&alone).unwrap());
    }

    #[test]
    fn names_do_not_stand_on_each_other() {
        let names = apart(vec![(50.0, "b"), (48.0, "a"), (90.0, "d"), (51.0, "c")]);
        assert_eq!(names, [(48.0, "a"), (63.0, "b"), (78.0, "c"), (93.0, "d")]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
