//! What Understudy costs as it grows, far beyond what one user needs: tables, and their curves as a picture.
//!
//! | module | what grows |
//! | --- | --- |
//! | `flight` | sampling requests in flight |
//! | `plugins` | plugins in the config |
//! | `servers` | servers behind `serve` |
//! | `messages` | one message that passes through |

mod flight;
mod messages;
mod plugins;
mod servers;

use std::fmt::Write as _;

use crate::place::{Place, kept};
use crate::svg::{Panel, picture};
use crate::table::{Unit, write_markdown};

/// What selects it.
pub(crate) const NAME: &str = "growth";

/// One thing that grows.
struct Part {
    title: &'static str,
    /// The table, its heading first.
    lines: Vec<Vec<String>>,
    /// What must be known to read the table.
    note: String,
    /// Its curves.
    panels: [Panel; 2],
}

/// Measures all of it and draws the curves; the tables.
pub(crate) fn run(place: &Place) -> String {
    let parts = [flight::run, plugins::run, servers::run, messages::run].map(|part| {
        let part = part(place);
        eprintln!("  {}: {} sizes", part.title, part.lines.len().saturating_sub(1));
        part
    });
    let mut text = String::new();
    for part in &parts {
        // Writing to a string doesn't fail.
        let _ = write_part(&mut text, part);
    }
    let path = kept("growth.svg");
    let panels: Vec<Panel> = parts.into_iter().flat_map(|part| part.panels).collect();
    std::fs::write(&path, picture("Understudy's cost as it grows (logarithmic axes)", &panels))
        .expect("the picture is written");
    text + &format!("The curves are in `{}`.", path.display())
}

fn write_part(text: &mut String, part: &Part) -> std::fmt::Result {
    writeln!(text, "{}\n", part.title)?;
    write_markdown(text, &part.lines)?;
    writeln!(text, "\n{}\n", part.note)
}

/// A line of a table.
fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A number of things.
fn count(number: u32) -> String {
    Unit::Count.shown(f64::from(number))
}

/// Open files, where the system tells.
fn opened(descriptors: Option<u32>) -> String {
    descriptors.map_or_else(|| "–".to_owned(), count)
}

/// What one in a hundred times exceeds, in seconds, and the median.
fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    (at(99), at(50))
}
