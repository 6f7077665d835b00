//! A process that outlives us for a moment, to kill a server's group when we have been killed ourselves.
//!
//! The kernel can do that for the server alone (and on Linux does), not for what the server started: `npx` is not the server
//! that it runs. The guard's environment is empty: unlike ours, it can be read by the user's other processes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::Pid;

use understudy::children;

/// The guard: a shell that waits for a line or the end of its input. The end means that we are gone.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// A guard over a process group; none if there is no shell.
    pub(super) fn over(group: Pid) -> Option<Self> {
        let mut command = children::bare("/bin/sh");
        command.args(["-c", "read line || kill -s KILL -- \"-$0\"", &group.as_raw_nonzero().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Whatever kills our group must not kill the guard. It holds no folder in use either.
        command.process_group(0).current_dir("/");
        let shell = command.spawn().inspect_err(|e| tracing::debug!("no guard over the server: {e}")).ok()?;
        Some(Self { shell })
    }

    /// The server has ended, or its group has been killed: there is nothing to guard any more.
    pub(super) fn stand_down(mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            // It may have been killed; then it kills nobody.
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.shell.wait();
    }
}
