//! The known prices, beside those of Pydantic's package `genai-prices`.

use understudy_tests::peers::{installed, script, workspace};
use understudy_tests::program::run;

/// Models that the package doesn't know; their prices are from their provider's page alone.
const UNKNOWN_THERE: [&str; 2] = ["gemini-4-hydrogen", "gemini-4-neon"];

/// Of this one the table has the price of audio, the dearer of two: a provider's usage doesn't always say how much of it was which.
const BY_AUDIO: &str = "gpt-audio-1.5";

#[test]
fn each_known_price_is_that_of_genai_prices() {
    let mut command = std::process::Command::new(installed("agents/bin/python"));
    command.arg(script("prices.py")).arg(workspace().join("plugins/bundle/prices.json"));
    // A day on which no promotion of the table's date is left.
    command.arg("2026-12-02");
    let said = run(command, "").ok().stdout;
    let lines = said.lines().filter(|line| !line.starts_with(&format!("differs: {BY_AUDIO} ")));
    let expected = UNKNOWN_THERE.iter().map(|model| format!("unknown: {model}")).chain(["compared: 14".to_owned()]);
    assert_eq!(lines.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
