//! How a server ends: its process, and then its output.
//!
//! The process may be a launcher (`server &` in a shell, a wrapper that forks): the server goes on with the pipes, as it does without us. Where
//! nobody says anything to it any more, it has a little time to end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long the output of a process that has ended may take to end, its input having ended too: before it is asked to, and after that.
const GRACE: Duration = Duration::from_secs(2);

/// How long before it is said that it goes on.
const UNSAID: Duration = Duration::from_secs(1);

/// The end of a server.
#[derive(Debug)]
pub(super) struct Ending {
    process: Process,
    /// Cancelled when nothing is written to it any more.
    input: CancellationToken,
    /// Cancelled when nothing is read of it any more.
    output: CancellationToken,
    told: bool,
}

#[derive(Debug)]
enum Process {
    Runs(oneshot::Receiver<io::Result<ExitStatus>>),
    Ended(ExitStatus),
}

/// Waits for the end of a process, and leaves it to be reaped.
pub(super) fn wait_for(process: Option<Pid>) -> io::Result<ExitStatus> {
    let process = process.ok_or_else(|| io::Error::other("the process has no number"))?;
    loop {
        match waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(status)) => {
                // As `wait` of POSIX has it.
                let by = status.terminating_signal().unwrap_or_default();
                let code = status.exit_status().unwrap_or_default() & 0xff;
                let dumped = if status.dumped() { 0x80 } else { 0 };
                return Ok(ExitStatus::from_raw((code << 8) | by | dumped));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Ending {
    pub(super) fn new(
        process: oneshot::Receiver<io::Result<ExitStatus>>,
        input: CancellationToken,
        output: CancellationToken,
    ) -> Self {
        Self { process: Process::Runs(process), input, output, told: false }
    }

    /// Waits for all of it. It may be dropped and begun again.
    pub(super) async fn wait(&mut self, signal: impl Fn(Signal)) -> io::Result<ExitStatus> {
        let status = match &mut self.process {
            Process::Ended(status) => *status,
            Process::Runs(ended) => ended.await.map_err(io::Error::other)??,
        };
        self.process = Process::Ended(status);
        let overdue = async {
            self.input.cancelled().await;
            sleep(GRACE).await;
            signal(Signal::TERM);
            sleep(GRACE).await;
        };
        let tell = async {
            sleep(UNSAID).await;
            if !std::mem::replace(&mut self.told, true) && !self.input.is_cancelled() {
                tracing::warn!(
                    "the server's process has ended ({status}), and what it started still has its stdin and stdout: that is the server now"
                );
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = self.output.cancelled() => {}
            () = overdue => {}
            () = tell => {}
        }
        Ok(status)
    }
}
