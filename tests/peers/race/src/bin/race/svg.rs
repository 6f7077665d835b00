//! Curves on logarithmic axes, as an SVG that can be read on white and on black.

use std::fmt::Write as _;

use crate::table::Unit;

/// One diagram.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) across: Axis,
    /// What goes up, which the title names.
    pub(crate) unit: Unit,
    pub(crate) lines: Vec<Line>,
}

/// What grows.
pub(crate) struct Axis {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// One curve: what grows, and what that comes to.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const COLUMNS: usize = 2;
/// A panel's width and height, and the margins of its diagram: left, top, right, bottom.
const PANEL: (f64, f64) = (480.0, 300.0);
const MARGINS: (f64, f64, f64, f64) = (64.0, 56.0, 64.0, 48.0);
const HEADING: f64 = 48.0;

/// Of middling lightness, for any background; each with dashes of its own, for whoever sees no colours.
const STROKES: [(&str, &str); 3] = [("#e8710a", "none"), ("#3b82f6", "7 4"), ("#7a8594", "2 3")];
const INK: &str = "#7a8594";

/// A picture of all panels, two in a row.
pub(crate) fn picture(title: &str, panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * number(COLUMNS), HEADING + PANEL.1 * number(rows));
    let mut svg = String::new();
    put(&mut svg, format_args!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}""#));
    put(
        &mut svg,
        format_args!(r#" width="{width}" height="{height}" role="img" font-family="sans-serif" font-size="12""#),
    );
    put(&mut svg, format_args!(" fill=\"{INK}\">\n<title>{title}</title>\n"));
    let middle = width / 2.0;
    put(
        &mut svg,
        format_args!(
            "<text x=\"{middle}\" y=\"30\" text-anchor=\"middle\" font-size=\"20\" font-weight=\"bold\">{title}</text>\n"
        ),
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = (PANEL.0 * number(index % COLUMNS), HEADING + PANEL.1 * number(index / COLUMNS));
        put(&mut svg, format_args!("<g transform=\"translate({x} {y})\">\n"));
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel) {
    let (left, top, right, bottom) = (MARGINS.0, MARGINS.1, PANEL.0 - MARGINS.2, PANEL.1 - MARGINS.3);
    put(
        svg,
        format_args!("<text x=\"{left}\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{}</text>\n", panel.title),
    );
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let (Some(across), Some(up)) =
        (Scale::over(points().map(|point| point.0)), Scale::over(points().map(|point| point.1)))
    else {
        put(svg, format_args!("<text x=\"{left}\" y=\"{}\">not measured on this machine</text>\n", top + 20.0));
        return;
    };
    let x = |value: f64| left + across.share(value) * (right - left);
    let y = |value: f64| bottom - up.share(value) * (bottom - top);
    for value in across.ticks() {
        let (at, label) = (x(value), tick(panel.across.unit, value));
        put(svg, format_args!("<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"{INK}\" stroke-opacity=\".25\"/>\n"));
        put(svg, format_args!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n", bottom + 18.0));
    }
    for value in up.ticks() {
        let (at, label) = (y(value), tick(panel.unit, value));
        put(svg, format_args!("<path d=\"M{left} {at:.1}H{right}\" stroke=\"{INK}\" stroke-opacity=\".25\"/>\n"));
        put(svg, format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n", left - 8.0, at + 4.0));
    }
    let middle = f64::midpoint(left, right);
    put(
        svg,
        format_args!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            bottom + 38.0,
            panel.across.name
        ),
    );
    let mut legend = left;
    for (line, (colour, dashes)) in panel.lines.iter().zip(STROKES) {
        let path: Vec<String> =
            line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let stroke = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"");
        put(svg, format_args!("<polyline points=\"{}\" {stroke}/>\n", path.join(" ")));
        for point in &line.points {
            put(
                svg,
                format_args!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>\n", x(point.0), y(point.1)),
            );
        }
        put(svg, format_args!("<path d=\"M{legend} 36h24\" {stroke}/>\n"));
        put(svg, format_args!("<text x=\"{}\" y=\"40\" fill=\"{colour}\">{}</text>\n", legend + 30.0, line.name));
        // About as wide as its letters are.
        legend += 50.0 + 6.6 * number(line.name.chars().count());
    }
    ends(svg, panel, &x, &y);
}

/// Says where the curves end, one below the other where they end close together.
fn ends(svg: &mut String, panel: &Panel, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
    let last = panel.lines.iter().zip(STROKES).filter_map(|(line, (colour, _))| Some((line.points.last()?, colour)));
    let mut last: Vec<_> = last.map(|(point, colour)| (y(point.1), x(point.0), point.1, colour)).collect();
    last.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = f64::NEG_INFINITY;
    for (y, x, value, colour) in last {
        lowest = y.max(lowest + 13.0);
        let (x, y, shown) = (x + 7.0, lowest + 4.0, panel.unit.shown(value));
        put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\" font-size=\"11\">{shown}</text>\n"));
    }
}

/// A logarithmic scale from one of the numbers 1, 2, 5, 10, 20, … to another.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    /// One that all of the values have a place on; none without values.
    fn over(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        // Nothing at all has no logarithm.
        let values = values.map(|value| value.max(1e-9));
        let (least, most) = (values.clone().min_by(f64::total_cmp)?, values.max_by(f64::total_cmp)?);
        let from = steps().take_while(|step| *step <= least * 1.001).last()?;
        let to = steps().find(|step| *step >= most * 0.999 && *step > from)?;
        Some(Self { from, to })
    }

    /// How far along a value is, of 1.
    fn share(&self, value: f64) -> f64 {
        (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
    }

    /// Where lines are drawn: at each step, or only at powers of ten where there are many.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let is_long = self.to / self.from > 101.0;
        let (from, to) = (self.from, self.to);
        let all = steps().enumerate().filter(move |(index, _)| !is_long || index % 3 == 0);
        all.map(|(_, step)| step).filter(move |step| (from * 0.999..to * 1.001).contains(step))
    }
}

/// 1, 2, 5, 10, 20, …, from a nanosecond to a hundred terabytes.
fn steps() -> impl Iterator<Item = f64> {
    (-9..=14).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
}

/// A value on an axis.
fn tick(unit: Unit, value: f64) -> String {
    let names: &[(f64, &str)] = match unit {
        Unit::Seconds => &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")],
        Unit::Bytes => &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")],
        Unit::PerSecond | Unit::Count => return unit.shown(value),
    };
    let fitting = names.iter().find(|(size, _)| value >= size * 0.999).or(names.last());
    fitting.map_or_else(String::new, |(size, name)| format!("{:.0} {name}", value / size))
}

/// Adds text to the picture.
fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string doesn't fail.
    let _ = svg.write_fmt(text);
}

/// A small number of things as a measure.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from)
}
