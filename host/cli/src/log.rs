//! The log on stderr. What peers say may be in any of its lines, so each is made fit for a terminal, wherever it goes.

mod writer;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::LazyLock;

use tracing_subscriber::EnvFilter;

use understudy::text;
use writer::Writer;

/// What begins a terminal's escape sequences.
const ESCAPE: &str = "\u{1b}[";

/// The way to stderr. Its thread begins with the first line.
static STDERR: LazyLock<Writer> = LazyLock::new(|| {
    // Not through Rust's own handle: a thread that holds it while nobody reads stderr makes the others wait.
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Writer::to(File::from(stderr)),
        Err(_) => Writer::to(io::sink()),
    }
});

/// Writes a line, behind those of the log.
pub(super) fn say(line: &str) {
    STDERR.add(format!("{line}\n").as_bytes());
}

/// Waits until all is written, as long as somebody reads it.
pub(super) fn flush() {
    if let Some(stderr) = LazyLock::get(&STDERR) {
        stderr.flush();
    }
}

/// Starts the log.
pub(super) fn start(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "understudy=info,warn",
        _ => "understudy=debug,info",
    };
    let filter = EnvFilter::try_from_env("UNDERSTUDY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lines);
    // A program that embeds this library may have a log of its own.
    let _ = log.with_ansi(io::stderr().is_terminal()).with_target(verbose > 0).without_time().try_init();
}

/// Writes events, each of which comes in one piece.
struct Lines;

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        STDERR.add(shown(&String::from_utf8_lossy(event)).as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event without hidden characters. Its colours stay: they are `tracing`'s own, which has escaped what begins such a
/// sequence in all that is logged.
fn shown(event: &str) -> String {
    let mut shown = String::with_capacity(event.len());
    let mut pieces = event.split(ESCAPE);
    text::for_log(pieces.next().unwrap_or_default(), &mut shown);
    for piece in pieces {
        let is_colour = |style: &str| style.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
        if let Some((style, rest)) = piece.split_once('m').filter(|(style, _)| is_colour(style)) {
            shown.extend([ESCAPE, style, "m"]);
            text::for_log(rest, &mut shown);
        } else {
            text::for_log(ESCAPE, &mut shown);
            text::for_log(piece, &mut shown);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_nothing_else_that_a_terminal_obeys() {
        assert_eq!(shown("\u{1b}[33m WARN\u{1b}[0m a\u{200b}b\n"), "\u{1b}[33m WARN\u{1b}[0m a\\u{200b}b\n");
        assert_eq!(shown("\u{1b}[2J\u{1b}]0;t\u{7}"), "\\u{1b}[2J\\u{1b}]0;t\\u{7}");
        assert_eq!(shown("a\u{e0041}\u{200d}b"), "a\\u{e0041}\\u{200d}b");
    }
}
