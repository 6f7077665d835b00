//! The table: a row for each work, a column for each contestant, medians and ratios.

use std::collections::BTreeMap;
use std::fmt;

use crate::contestants::Who;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    PerSecond,
    Bytes,
    Count,
}

/// What was measured of one work.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    unit: Unit,
    noted: BTreeMap<Who, Vec<f64>>,
}

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Unit {
    pub(crate) fn shown(self, value: f64) -> String {
        let of = |value: f64, unit: &str| {
            let digits = usize::from(value < 100.0);
            format!("{value:.digits$} {unit}")
        };
        match self {
            Self::Seconds if value < 1e-3 => of(value * 1e6, "µs"),
            Self::Seconds if value < 1.0 => of(value * 1e3, "ms"),
            Self::Seconds => of(value, "s"),
            Self::PerSecond => format!("{value:.0}"),
            Self::Count => grouped(value),
            Self::Bytes if value < 1e6 => of(value / 1e3, "kB"),
            Self::Bytes if value < 1e9 => of(value / 1e6, "MB"),
            Self::Bytes => of(value / 1e9, "GB"),
        }
    }
}

impl Row {
    pub(crate) fn new(title: &'static str, unit: Unit) -> Self {
        Self { title, unit, noted: BTreeMap::new() }
    }

    /// Notes what a round came to.
    pub(crate) fn note(&mut self, who: Who, value: f64) {
        self.noted.entry(who).or_default().push(value);
    }

    pub(crate) fn median(&self, who: Who) -> Option<f64> {
        let mut values = self.noted.get(&who)?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    pub(crate) fn shown(&self, who: Who) -> Option<String> {
        self.median(who).map(|median| self.unit.shown(median))
    }

    /// The median, and as a multiple of the native proxy's.
    fn cell(&self, who: Who) -> String {
        let Some(median) = self.median(who) else { return "–".to_owned() };
        let shown = self.unit.shown(median);
        match self.median(Who::Native) {
            Some(native) => format!("{shown} ({} ×)", ratio(median / native)),
            None => shown,
        }
    }
}

/// A whole number with a comma before each three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let (first, rest) = digits.split_at_checked(first).unwrap_or(("", digits.as_str()));
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let all: Vec<String> = Some(first.to_owned()).filter(|first| !first.is_empty()).into_iter().chain(groups).collect();
    all.join(",")
}

/// A ratio with three digits or so.
pub(crate) fn ratio(ratio: f64) -> String {
    let digits = if ratio >= 10.0 { 0 } else { 2 };
    if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.digits$}") }
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {:60} {}", row.title, row.cell(Who::Understudy));
        self.rows.push(row);
    }

    pub(crate) fn add_all(&mut self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.add(row));
    }

    pub(crate) fn row(&self, title: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.title == title)
    }
}

/// Markdown, padded to be read as it is.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading =
            std::iter::once("median (× native proxy)".to_owned()).chain(Who::ALL.map(|who| who.name().to_owned()));
        let row = |row: &Row| std::iter::once(row.title.to_owned()).chain(Who::ALL.map(|who| row.cell(who))).collect();
        let lines: Vec<Vec<String>> = std::iter::once(heading.collect()).chain(self.rows.iter().map(row)).collect();
        write_markdown(f, &lines)
    }
}

pub(crate) fn write_markdown(f: &mut impl fmt::Write, lines: &[Vec<String>]) -> fmt::Result {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            write!(f, "| {cell:width$} ")?;
        }
        writeln!(f, "|")?;
        if number == 0 {
            for width in &widths {
                write!(f, "| {} ", "-".repeat(*width))?;
            }
            writeln!(f, "|")?;
        }
    }
    Ok(())
}
