//! The report as one page that needs nothing else: tables and plots, no script, nothing to load. It is well-formed XML as
//! well as HTML.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::Report;
use super::plot::{Axis, Plot};
use crate::scenarios::Interval;
use crate::stats::Latency;

/// All runs on one page.
pub(crate) fn page(reports: &[Report]) -> String {
    let mut page = String::from(HEAD);
    for report in reports {
        section(&mut page, report);
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(page, "<footer>wampline-loadgen {version}</footer>\n</body>\n</html>\n");
    page
}

/// Text as it may stand between tags and in attributes. Characters that XML does not know are replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">
<head>
<meta charset=\"utf-8\"/>
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>
<title>wampline-loadgen</title>
<style>
:root { color-scheme: light dark; --a: #2563eb; --b: #d97706; --c: #db2777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } h2 .failed { color: #dc2626; } h2 .passed { color: #16a34a; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td { font-variant-numeric: tabular-nums; }
svg { width: 100%; max-width: 720px; height: auto; display: block; margin: 1.5rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; } svg .title { font-weight: 600; }
svg .grid { stroke: currentColor; stroke-opacity: .15; } svg polyline { fill: none; stroke-width: 1.5; }
svg .line0 { stroke: var(--a); } svg .line1 { stroke: var(--b); } svg .line2 { stroke: var(--c); }
svg .name0 { fill: var(--a); } svg .name1 { fill: var(--b); } svg .name2 { fill: var(--c); }
footer { margin: 3rem 0 1rem; opacity: .6; }
</style>
</head>
<body>
<h1>Load on a WAMP router</h1>
";

fn section(page: &mut String, report: &Report) {
    let verdict = if report.passed() { "passed" } else { "failed" };
    let title = escape(report.title());
    let _ = writeln!(page, "<section>\n<h2>{title} <span class=\"{verdict}\">{verdict}</span></h2>");
    if let Some(began) = report.began {
        let _ = writeln!(page, "<p>{}</p>", utc(began.duration_since(UNIX_EPOCH).unwrap_or_default()));
    }
    let settings = report.settings.iter().map(|(name, value)| {
        (name.replace('_', "-"), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    let kind = ("scenario".to_owned(), report.kind.to_owned());
    table(page, "Parameters", std::iter::once(kind).chain(settings));
    table(page, "Result", report.lines().into_iter());
    if let Some(limit) = &report.limit {
        let steps = limit.steps.iter().map(|step| {
            let p99 = step.step_p99_us.map_or_else(String::new, |p99| format!("p99 {p99:.1} us"));
            let problem = step.problem.as_deref().unwrap_or("held");
            (format!("{:.0}/s", step.rate), format!("{p99} {problem}"))
        });
        table(page, "Steps", steps);
    }
    percentiles(page, report);
    if report.intervals.len() > 1 {
        throughput(page, report);
        latency_over_time(page, &report.intervals);
    }
    page.push_str("</section>\n");
}

fn table(page: &mut String, heading: &str, rows: impl Iterator<Item = (String, String)>) {
    let _ = writeln!(page, "<h3>{}</h3>\n<table>", escape(heading));
    for (name, text) in rows {
        let _ = writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(&name), escape(&text));
    }
    page.push_str("</table>\n");
}

/// Latency by percentile; each step to the right has a tenth of the operations beyond it.
fn percentiles(page: &mut String, report: &Report) {
    let Some(latencies) = report.latencies.as_ref().filter(|latencies| !latencies.is_empty()) else { return };
    let nines = (latencies.len() as f64).log10().clamp(1.0, 7.0);
    let points: Vec<(f64, f64)> = (0..=POINTS)
        .map(|point| {
            let x = nines * f64::from(point) / f64::from(POINTS);
            let nanos = latencies.value_at_quantile(1.0 - 10_f64.powf(-x));
            (x, (nanos.max(1) as f64 / 1e3).log10())
        })
        .collect();
    let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"];
    let ticks = names.iter().enumerate().map(|(nine, name)| (nine as f64, (*name).to_owned()));
    let plot = Plot {
        title: "Latency by percentile",
        x_label: "percentile",
        y_label: "us",
        x: Axis { from: 0.0, to: nines, ticks: ticks.filter(|(nine, _)| *nine <= nines).collect() },
        y: Axis::logarithmic(latencies.min() as f64 / 1e3, latencies.max() as f64 / 1e3),
        lines: vec![("", points)],
    };
    page.push_str(&plot.to_svg());
}

fn throughput(page: &mut String, report: &Report) {
    let rates: Vec<(f64, f64)> = report
        .intervals
        .iter()
        .map(|interval| (middle(interval), interval.latencies.len() as f64 / interval.seconds))
        .collect();
    let plot = Plot {
        title: "Throughput over time",
        x_label: "seconds",
        y_label: &format!("{} per second", report.operation),
        x: Axis::linear(end(&report.intervals)),
        y: Axis::linear(rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max)),
        lines: vec![("", rates)],
    };
    page.push_str(&plot.to_svg());
}

fn latency_over_time(page: &mut String, intervals: &[Interval]) {
    let at = |pick: fn(Latency) -> f64| -> Vec<(f64, f64)> {
        let latency = |interval: &Interval| Some((middle(interval), pick(Latency::of(&interval.latencies)?)));
        intervals.iter().filter_map(latency).map(|(x, micros)| (x, micros.max(1e-3).log10())).collect()
    };
    let all = intervals.iter().filter_map(|interval| Latency::of(&interval.latencies));
    let (least, most) = all
        .fold((f64::MAX, 0.0_f64), |(least, most), latency| (least.min(latency.p50), most.max(latency.max)));
    if least > most {
        return;
    }
    let plot = Plot {
        title: "Latency over time",
        x_label: "seconds",
        y_label: "us",
        x: Axis::linear(end(intervals)),
        y: Axis::logarithmic(least, most),
        lines: vec![("p50", at(|it| it.p50)), ("p99", at(|it| it.p99)), ("max", at(|it| it.max))],
    };
    page.push_str(&plot.to_svg());
}

fn middle(interval: &Interval) -> f64 {
    interval.start + interval.seconds / 2.0
}

fn end(intervals: &[Interval]) -> f64 {
    intervals.last().map_or(1.0, |last| last.start + last.seconds)
}

/// Date and time of a moment after 1970, in UTC.
fn utc(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days are counted in eras of 400 years that begin on the 1st of March, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

const POINTS: u32 = 240;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::report;
    use super::*;

    fn parse(page: &str) -> roxmltree::Document<'_> {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        roxmltree::Document::parse_with_options(page, options).unwrap()
    }

    #[test]
    fn the_page_is_whole_and_well_formed() {
        let page = page(&[report(), report()]);
        let document = parse(&page);
        let count = |name| document.descendants().filter(|node| node.has_tag_name(name)).count();
        let svg = ("http://www.w3.org/2000/svg", "svg");
        assert_eq!(document.descendants().filter(|node| node.has_tag_name(svg)).count(), 6);
        let html = |name| count(("http://www.w3.org/1999/xhtml", name));
        assert_eq!(
            (html("section"), html("table"), html("script"), html("link"), html("img")),
            (2, 4, 0, 0, 0)
        );
        let cells: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
        for text in ["in-flight", "64", "500 calls/s (1000 in 2.00 s)", "2023-11-14 22:13:20 UTC"] {
            assert!(cells.contains(&text), "{text}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = page(&[report()]);
        let document = parse(&page);
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            for attribute in node.attributes() {
                assert!(!["src", "href", "srcset", "data"].contains(&attribute.name()), "{attribute:?}");
            }
        }
        assert!(!page.contains("url(") && !page.contains("@import"));
    }

    #[test]
    fn whatever_comes_from_outside_is_text() {
        let evil = "<script>alert(1)</script>&\"'\u{0}\u{1b}";
        let mut hostile = Report { name: Some(evil.to_owned()), ..report() };
        hostile.setting("url", evil);
        hostile.fail(evil.to_owned());
        let page = page(&[hostile]);
        let document = parse(&page);
        assert_eq!(document.descendants().filter(|node| node.tag_name().name() == "script").count(), 0);
        let shown = evil.replace(['\u{0}', '\u{1b}'], "\u{fffd}");
        let cells = document.descendants().filter(|node| node.is_text());
        assert_eq!(cells.filter(|node| node.text().unwrap().trim_end() == shown).count(), 3);
    }

    #[test]
    fn a_report_without_figures_has_a_page() {
        let page = page(&[Report::bare("connect", "joins")]);
        parse(&page);
    }

    #[test]
    fn dates() {
        let at = |seconds| utc(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(at(1_772_323_199), "2026-02-28 23:59:59 UTC");
        assert_eq!(at(1_772_323_200), "2026-03-01 00:00:00 UTC");
        assert_eq!(at(4_107_542_399), "2100-02-28 23:59:59 UTC");
    }
}
