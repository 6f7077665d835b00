//! Counting the instructions of each part, with valgrind's callgrind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The parts that are counted: what each request costs. What they are compared with is others' code; *there and back* compiles its component in
/// each run, which takes more instructions than it does, and not always as many.
const COUNTED: [(&str, u32); 7] = [
    ("sandboxed, an instance a call, 1 KB", 100),
    ("sandboxed, an instance a call, 100 KB", 20),
    ("`describe` of `echo`", 400),
    ("parse and validate, 1 KB", 400),
    ("parse and validate, 100 KB", 20),
    ("the scan, 1 KB", 2000),
    ("relaying, 1 KB", 2000),
];

/// How much more than recorded is too much, in percent.
const TOLERANCE: u64 = 10;

/// Instructions, by the part.
type Counts = BTreeMap<String, u64>;

/// Counts, and compares with what is recorded.
pub(crate) fn check() -> ExitCode {
    let text = fs::read_to_string(record_file()).expect("the recorded counts");
    let recorded: Counts = serde_json::from_str(&text).expect("the recorded counts are JSON");
    println!("instructions of each part: now, recorded, and how much more than that");
    let mut too_many = 0;
    for (name, now) in count_all() {
        let Some(then) = recorded.get(&name).copied() else {
            println!("  {name:44} {now:12} and none recorded: `make bench-record`");
            too_many += 1;
            continue;
        };
        let is_too_much = now * 100 > then * (100 + TOLERANCE);
        too_many += i32::from(is_too_much);
        #[expect(clippy::cast_precision_loss, reason = "it is far from 2^53")]
        let more = (now as f64 / then as f64 - 1.0) * 100.0;
        println!("  {name:44} {now:12} {then:12} {more:+6.1} %{}", if is_too_much { "  TOO MUCH" } else { "" });
    }
    if too_many == 0 {
        println!("nothing costs {TOLERANCE} % more than recorded");
        return ExitCode::SUCCESS;
    }
    println!(
        "{too_many} of them cost more than {TOLERANCE} % more: mend it, or record what it is worth with `make bench-record`"
    );
    ExitCode::FAILURE
}

/// Counts, and records.
pub(crate) fn record() -> ExitCode {
    let counts: Counts = count_all().collect();
    let text = serde_json::to_string_pretty(&counts).expect("JSON");
    fs::write(record_file(), text + "\n").expect("the counts are written");
    for (name, count) in counts {
        println!("  {name:44} {count:12}");
    }
    ExitCode::SUCCESS
}

fn record_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/parts/counts.json")
}

fn count_all() -> impl Iterator<Item = (String, u64)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The first run compiles the plugins.
    instructions(COUNTED[0].0, 0, folder.path());
    COUNTED.into_iter().map(move |(name, times)| {
        // What it takes to begin is in both.
        let [few, many] = [times / 10, times].map(|times| instructions(name, times, folder.path()));
        (name.to_owned(), many.saturating_sub(few) / u64::from(times - times / 10))
    })
}

/// The instructions of a run of this program in which a part is run so many times.
fn instructions(part: &str, times: u32, folder: &Path) -> u64 {
    let own = std::env::current_exe().expect("this program's path");
    let mut valgrind = Command::new("valgrind");
    // The compiled plugins are kept for the next run: not those of other runs, since the processor that valgrind plays is another.
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(own);
    valgrind.args(["parts", "run", part, &times.to_string()]).arg(folder);
    let output = valgrind.output().unwrap_or_else(|e| panic!("valgrind, a Debian package, can't be run: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).expect("what valgrind counted").1;
    collected.trim().parse().expect("a number")
}
