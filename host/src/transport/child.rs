//! A server in the back, as a child process.
//!
//! The child has a process group of its own, so that a signal reaches it exactly once, through us. It never outlives us, nor does
//! what it started: its group is killed when we end in an orderly way, and by a guard when we are killed. Its stderr is ours, and where
//! that is a terminal, what the server writes is shown as text.

mod guard;
mod stderr;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc as std_mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use super::{Incoming, Message, QUEUE, Side, Splitter};
use crate::children::{self, Withheld};
use guard::Guard;
use stderr::Shown;

/// The most that is gathered before it goes to a server.
const PIECE: usize = 16 * 1024;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to its environment.
    pub env: Vec<(String, String)>,
    /// Variables of ours that it doesn't inherit, unless `env` names them.
    pub withheld: Withheld,
    /// Its working folder; ours if absent.
    pub cwd: Option<std::path::PathBuf>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: tokio::process::Child,
    group: Option<Pid>,
    guard: Option<Guard>,
    /// What it writes to stderr, where that is shown by us.
    shown: Option<Shown>,
    /// Ends the thread that the child hangs on.
    _life: std_mpsc::Sender<()>,
}

/// Starts a server.
///
/// # Errors
/// If it can't be started.
pub async fn start(program: Program, limit: usize) -> io::Result<(Side, Server)> {
    let (life, end_of_life) = std_mpsc::channel();
    let (done, started) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // The kernel ends the child when the *thread* that started it ends, so that thread must last as long as the child.
    let hold_on = move || {
        let _guard = runtime.enter();
        // Nobody waits for it any more if this fails.
        let _ = done.send(spawn(program));
        let _ = end_of_life.recv();
    };
    thread::Builder::new().name("server".to_owned()).stack_size(256 * 1024).spawn(hold_on)?;
    let mut child = started.await.map_err(io::Error::other)??;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let guard = group.and_then(Guard::over);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let shown = child.stderr.take().map(Shown::start).transpose()?;
    let (to_relay, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_relay) = mpsc::channel(QUEUE);
    if let (Some(stdin), Some(stdout)) = (stdin, stdout) {
        tokio::spawn(write(stdin, from_relay));
        tokio::spawn(read(stdout, limit, to_relay));
    }
    Ok((Side { incoming, outgoing }, Server { child, group, guard, shown, _life: life }))
}

fn spawn(program: Program) -> io::Result<tokio::process::Child> {
    let mut command = children::command(&program.command, &program.withheld);
    command.args(&program.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr::of_child());
    command.envs(program.env);
    if let Some(cwd) = program.cwd {
        command.current_dir(cwd);
    }
    command.process_group(0);
    #[cfg(target_os = "linux")]
    die_with_us(&mut command);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).spawn()
}

/// Has the kernel kill the child when we die, and the child inherit no descriptor: wasmtime opens one in each forked process
/// (`/proc/self/pagemap`) that would survive.
#[cfg(target_os = "linux")]
fn die_with_us(command: &mut std::process::Command) {
    let parent = rustix::process::getpid();
    let in_child = move || {
        crate::descriptors::give_back()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have died before that took effect.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        #[expect(unsafe_code, reason = "the system call has no safe wrapper")]
        // SAFETY: it closes nothing before the exec. Kernels before 5.11 don't know it, and refuse.
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "code between fork and exec must be async-signal-safe")]
    // SAFETY: a few system calls, and no allocation.
    unsafe {
        command.pre_exec(in_child);
    }
}

/// What waits goes out in one piece: a system call for each message, and the server woken for each, costs more than the messages do.
async fn write(stdin: ChildStdin, mut from_relay: mpsc::Receiver<Message>) {
    let (mut stdin, mut waiting) = (BufWriter::with_capacity(PIECE, stdin), Vec::with_capacity(QUEUE));
    // Whether the last line has no end: the client was cut off within it.
    let mut is_open = false;
    while from_relay.recv_many(&mut waiting, QUEUE).await > 0 {
        let written = async {
            for message in waiting.drain(..) {
                if is_open {
                    stdin.write_all(b"\n").await?;
                }
                stdin.write_all(&message.line).await?;
                is_open = !message.line.ends_with(b"\n");
            }
            stdin.flush().await
        };
        if let Err(error) = written.await {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::warn!("writing to the server: {error}");
            }
            return;
        }
    }
}

async fn read(mut stdout: ChildStdout, limit: usize, to_relay: mpsc::Sender<Incoming>) {
    let mut splitter = Splitter::new(limit);
    loop {
        match stdout.read_buf(splitter.buffer()).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!("reading from the server: {error}");
                break;
            }
        }
        while let Some(line) = splitter.next_line() {
            if to_relay.send(line).await.is_err() {
                return;
            }
        }
    }
    if let Some(rest) = splitter.rest() {
        // Nobody reads any more if this fails.
        let _ = to_relay.send(rest).await;
    }
}

impl Server {
    /// Waits for the server to end.
    ///
    /// # Errors
    /// If the system won't tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // Its last words, which often say why it has ended.
        if let Some(shown) = &mut self.shown {
            shown.ended().await;
        }
        Ok(status)
    }

    /// Hands a signal on to the server and whatever it started.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever still runs is a server, or a server's child, that nobody will talk to again.
        if self.child.try_wait().ok().flatten().is_none() {
            self.signal(Signal::KILL);
        }
        if let Some(guard) = self.guard.take() {
            guard.stand_down();
        }
    }
}
