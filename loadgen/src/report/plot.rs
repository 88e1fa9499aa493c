//! Line plots as SVG, to stand in a page.

use std::fmt::Write as _;

use super::page::escape;

/// Lines over one pair of axes. Points are in the units of the axes; whoever wants a logarithmic axis takes the
/// logarithms and names the ticks.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Name and points.
    pub(super) lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

/// From where to where, and what is written at which place.
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero, with about six round ticks.
    pub(super) fn linear(to: f64) -> Axis {
        let to = if to.is_finite() && to > 0.0 { to } else { 1.0 };
        let power = 10_f64.powf((to / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| to / step <= 6.0).unwrap_or(to);
        let count = (to / step).ceil() as u32;
        let ticks = (0..=count).map(|tick| (f64::from(tick) * step, short(f64::from(tick) * step))).collect();
        Axis { from: 0.0, to: f64::from(count) * step, ticks }
    }

    /// Decades that hold `from` to `to`, both above zero: the axis of their logarithms.
    pub(super) fn logarithmic(from: f64, to: f64) -> Axis {
        let first = from.max(1e-3).log10().floor() as i32;
        let last = (to.max(1e-3).log10().ceil() as i32).max(first + 1);
        let mut ticks = Vec::new();
        for decade in first..=last {
            let digits: &[f64] = if last - first <= 2 && decade < last { &[1.0, 2.0, 5.0] } else { &[1.0] };
            ticks.extend(digits.iter().map(|digit| {
                let value = digit * 10_f64.powi(decade);
                (value.log10(), short(value))
            }));
        }
        Axis { from: f64::from(first), to: f64::from(last), ticks }
    }

    fn place(&self, value: f64, length: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0) * length
    }
}

impl Plot<'_> {
    /// The plot as an SVG element.
    pub(super) fn to_svg(&self) -> String {
        let (total_width, total_height) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
        let mut svg = format!(
            "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {total_width} {total_height}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n<text class=\"title\" x=\"{LEFT}\" y=\"18\">{}</text>\n",
            escape(self.title),
            escape(self.title)
        );
        for (value, name) in &self.x.ticks {
            let x = LEFT + self.x.place(*value, WIDTH);
            let (top, bottom, text) = (TOP, TOP + HEIGHT, TOP + HEIGHT + 18.0);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
                 <text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{text}\">{}</text>",
                escape(name)
            );
        }
        for (value, name) in &self.y.ticks {
            let y = TOP + HEIGHT - self.y.place(*value, HEIGHT);
            let (left, right, text) = (LEFT, LEFT + WIDTH, LEFT - 8.0);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text text-anchor=\"end\" x=\"{text}\" y=\"{:.1}\">{}</text>",
                y + 4.0,
                escape(name)
            );
        }
        let (middle, below) = (LEFT + WIDTH / 2.0, TOP + HEIGHT + 40.0);
        let _ = writeln!(
            svg,
            "<text text-anchor=\"middle\" x=\"{middle}\" y=\"{below}\">{}</text>\
             <text x=\"4\" y=\"{}\">{}</text>",
            escape(self.x_label),
            TOP - 10.0,
            escape(self.y_label)
        );
        for (index, (name, points)) in self.lines.iter().enumerate() {
            self.line(&mut svg, index, name, points);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn line(&self, svg: &mut String, index: usize, name: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let (x, y) = (LEFT + self.x.place(*x, WIDTH), TOP + HEIGHT - self.y.place(*y, HEIGHT));
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        let _ = writeln!(
            svg,
            "<polyline class=\"line{index}\" points=\"{}\"/>\
             <text class=\"name{index}\" text-anchor=\"end\" x=\"{}\" y=\"18\">{}</text>",
            path.trim_end(),
            LEFT + WIDTH - 70.0 * index as f64,
            escape(name)
        );
    }
}

/// A number in few characters.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(names(&Axis::linear(97.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(names(&Axis::linear(250_000.0)), ["0", "50k", "100k", "150k", "200k", "250k"]);
        assert_eq!(names(&Axis::linear(0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(names(&Axis::linear(f64::NAN)).len(), 6);
        assert_eq!(names(&Axis::logarithmic(30.0, 700.0)), ["10", "20", "50", "100", "200", "500", "1000"]);
        assert_eq!(names(&Axis::logarithmic(1.0, 1e6)), ["1", "10", "100", "1000", "10k", "100k", "1M"]);
        assert_eq!(Axis::logarithmic(5.0, 5.0).ticks.len(), 4);
    }

    #[test]
    fn points_stay_within_the_axes() {
        let plot = Plot {
            title: "t",
            x_label: "x",
            y_label: "y",
            x: Axis::linear(1.0),
            y: Axis::linear(1.0),
            lines: vec![("l", vec![(0.0, 0.0), (1.0, 1.0), (9.0, -9.0), (f64::NAN, 1.0)])],
        };
        assert!(plot.to_svg().contains("points=\"64.0,304.0 704.0,44.0 704.0,304.0\""));
    }
}
