//! What is to be reached, and whether it is. Printed, never asserted: the machine is noisy.

use crate::contestants::Who;
use crate::growth;
use crate::table::{Table, Unit, ratio, write_markdown};
use crate::work::{ALONE, IDLE, LARGE, MANY, PASS_THROUGH, START};

enum Goal {
    /// Understudy's figure, at most so many times this one's.
    AtMost(f64, Who),
    /// At least so many times.
    AtLeast(f64, Who),
    /// Another's figure, at most so many times Understudy's.
    AtMostFor(Who, f64),
    /// At most so many bytes.
    Bytes(f64),
}
use Goal::{AtLeast, AtMost, AtMostFor, Bytes};

const GOALS: [(&str, Goal); 15] = [
    (ALONE, AtMostFor(Who::Ledger, 1.15)),
    (ALONE, AtMost(1.10, Who::Native)),
    (ALONE, AtMost(1.0, Who::Rmcp)),
    (MANY, AtLeast(0.85, Who::Native)),
    (MANY, AtLeast(1.0, Who::Rmcp)),
    (MANY, AtLeast(8.0, Who::TypeScript)),
    (MANY, AtLeast(50.0, Who::FastMcp)),
    (LARGE, AtMost(1.15, Who::Native)),
    (PASS_THROUGH, AtMost(1.10, Who::Native)),
    (START, AtMost(3.0, Who::Native)),
    (START, AtMost(0.01, Who::FastMcpProxy)),
    (growth::TITLE, AtMost(1.15, Who::Native)),
    (growth::IN_PYTHON, AtMost(1.15, Who::Native)),
    (IDLE, Bytes(30e6)),
    ("release binary, stripped", Bytes(30e6)),
];

/// The goals as a table.
pub(crate) fn shown(table: &Table) -> String {
    let heading = ["to reach", "goal", "Understudy", ""].map(str::to_owned).to_vec();
    let rows = GOALS.iter().filter_map(|(title, goal)| row(table, title, goal));
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let mut text = String::new();
    // Writing to a string doesn't fail.
    let _ = write_markdown(&mut text, &lines);
    text
}

fn row(table: &Table, title: &str, goal: &Goal) -> Option<Vec<String>> {
    let row = table.row(title)?;
    let own = row.median(Who::Understudy)?;
    let (wanted, got, is_reached) = match goal {
        AtMost(most, who) => {
            let times = own / row.median(*who)?;
            (format!("≤ {most} × {}", who.name()), format!("{} ×", ratio(times)), times <= *most)
        }
        AtLeast(least, who) => {
            let times = own / row.median(*who)?;
            (format!("≥ {least} × {}", who.name()), format!("{} ×", ratio(times)), times >= *least)
        }
        AtMostFor(who, most) => {
            let times = row.median(*who)? / own;
            let wanted = format!("{} ≤ {most} × Understudy", who.name());
            (wanted, format!("{} ×", ratio(times)), times <= *most)
        }
        Bytes(most) => (format!("≤ {}", Unit::Bytes.shown(*most)), row.shown(Who::Understudy)?, own <= *most),
    };
    let verdict = if is_reached { "reached" } else { "not reached" };
    Some([title, &wanted, &got, verdict].map(str::to_owned).to_vec())
}
