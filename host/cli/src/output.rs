//! What a verb writes, and how it ends.

use std::io::{self, IsTerminal, Write};
use std::process::{ExitCode, ExitStatus};

use anyhow::Result;

use super::log;
use understudy::text::for_terminal;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should.
    Done,
    /// With a failure that has been reported.
    Failed,
    /// With something wrong with the config that has been reported.
    WrongConfig,
    /// By Ctrl-C.
    Interrupted,
    /// As the server did.
    AsServer(ExitStatus),
}

impl Outcome {
    /// The process's exit code. A server that died of a signal takes this process along in the same way.
    pub(super) fn exit_code(self) -> ExitCode {
        use std::os::unix::process::ExitStatusExt;
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::from(1),
            Self::WrongConfig => ExitCode::from(2),
            // As of a program that the signal has ended.
            Self::Interrupted => ExitCode::from(130),
            Self::AsServer(status) => {
                if let Some(signal) = status.signal() {
                    // Some signals can't be raised; then the shell's way of saying it must do.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                    return ExitCode::from(u8::try_from(128 + signal).unwrap_or(1));
                }
                ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
            }
        }
    }
}

/// Writes a result to stdout. A reader that has gone away wants no more of it, and that is no failure.
pub(super) fn out(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let shown = if stdout.is_terminal() { for_terminal(text) } else { text.to_owned() };
    match writeln!(stdout, "{shown}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a line for people to stderr. What comes after it on a terminal stands behind it.
pub(super) fn note(text: &str) {
    log::say(&for_terminal(text));
    log::flush();
}
