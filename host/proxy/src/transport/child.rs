//! A server in the back, as a child process.
//!
//! The child has a process group of its own, so that a signal reaches it exactly once, through us. It never outlives us, nor does
//! what it started: its group is killed when its session has ended, and by a guard when we are killed. (What has left the group, as daemons do,
//! is none of it.) Its stderr is ours, and where that is a terminal, what the server writes is shown as text.
//!
//! A child may be a launcher, which ends while the server that it started goes on with its stdin and stdout. So the server's end is that of the
//! process and of its output.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `ending` | how a process ends: the process, then its output |
//! | `guard` | a process that kills the group when we have been killed |
//! | `stderr` | what a server writes to stderr |

mod ending;
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
use tokio_util::sync::CancellationToken;

use super::{Duplex, Incoming, Message, QUEUE, Splitter};
use ending::Ending;
use guard::Guard;
use stderr::Shown;
use understudy::children::{self, Withheld};

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
pub struct ChildProcess {
    /// It is reaped last of all: until then its number, which is that of its group, is nobody else's.
    child: tokio::process::Child,
    group: Option<Pid>,
    ending: Ending,
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
pub async fn start(program: Program, limit: usize) -> io::Result<(Duplex, ChildProcess)> {
    let (life, end_of_life) = std_mpsc::channel();
    let (done, started) = oneshot::channel();
    let (to_tell, ended) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // The kernel ends the child when the *thread* that started it ends, so that thread must last as long as the child.
    let hold_on = move || {
        let _guard = runtime.enter();
        let child = spawn(program);
        let id = child.as_ref().ok().and_then(group_of);
        // Nobody waits for it any more if this fails, nor if the next one does.
        let _ = done.send(child);
        let _ = to_tell.send(ending::wait_for(id));
        let _ = end_of_life.recv();
    };
    thread::Builder::new().name("server".to_owned()).stack_size(256 * 1024).spawn(hold_on)?;
    let mut child = started.await.map_err(io::Error::other)??;
    let group = group_of(&child);
    let guard = group.and_then(Guard::over);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let shown = child.stderr.take().map(Shown::start).transpose()?;
    let (to_relay, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_relay) = mpsc::channel(QUEUE);
    let (input, output) = (CancellationToken::new(), CancellationToken::new());
    let ending = Ending::new(ended, input.clone(), output.clone());
    if let (Some(stdin), Some(stdout)) = (stdin, stdout) {
        let (input, output) = (input.drop_guard(), output.drop_guard());
        tokio::spawn(async move {
            let _end = input;
            write(stdin, from_relay).await;
        });
        tokio::spawn(async move {
            let _end = output;
            read(stdout, limit, to_relay).await;
        });
    }
    Ok((Duplex { incoming, outgoing }, ChildProcess { child, group, ending, guard, shown, _life: life }))
}

/// The group that a child is the first of.
fn group_of(child: &tokio::process::Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
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
        understudy::descriptors::give_back()?;
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

impl ChildProcess {
    /// Waits for the server to end: its process, and the processes that hold its output.
    ///
    /// # Errors
    /// If the system won't tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let group = self.group;
        let status = self.ending.wait(|signal| send(group, signal)).await?;
        // Its last words, which often say why it has ended.
        if let Some(shown) = &mut self.shown {
            shown.ended().await;
        }
        Ok(status)
    }

    /// Hands a signal on to the server and whatever it started.
    pub fn signal(&self, signal: Signal) {
        send(self.group, signal);
    }
}

/// Sends a signal to a group.
fn send(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may have ended already.
        let _ = kill_process_group(group, signal);
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // A process that still runs is a server, or a server's child, that nobody will talk to again.
        self.signal(Signal::KILL);
        // What isn't reaped yet, tokio reaps.
        let _ = self.child.try_wait();
        if let Some(guard) = self.guard.take() {
            guard.stand_down();
        }
    }
}
