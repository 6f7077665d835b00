//! The parent's side of compiling in a child: starts the child, writes the component to it, and waits at most `limits.compile.time`.
//!
//! The component goes to the child's stdin, which then stays open: its end tells the child that the parent no longer waits, also when the
//! parent has been killed. The machine code comes back on a pipe that is the child's stdout and stderr. Its digest precedes it, so a partial
//! write isn't taken for the whole; anything else on the pipe is an error message of the child.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::CompileJob;
use super::child::{COMPILE, COMPILED, DIGEST, NO_MEMORY, REFUSED};
use super::threads::CompilePriority;
use crate::children;
use crate::config::Compile;

/// The outcome of compiling in a child.
pub(super) enum CompileOutcome {
    Compiled(Vec<u8>),
    /// It isn't what the compiler takes.
    Refused(String),
    /// `limits.compile.time`
    Time,
    /// `limits.compile.cpu`
    Cpu,
    /// `limits.compile.memory`
    Memory,
    /// Nothing waits for it any more.
    Cancelled,
    Died(String),
}

/// Has the program's allocator, mimalloc, ask for memory as it needs it: the gigabyte that it takes beforehand, and of which it mostly uses
/// little, would count as memory that can be written to.
const NO_EAGER_COMMIT: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

enum ChildEvent {
    Ended(io::Result<Vec<u8>>),
    Cancelled,
}

/// Compiles in a child.
///
/// # Errors
/// If no child can be started.
pub(super) fn compile(program: &Path, job: &CompileJob, priority: CompilePriority) -> io::Result<CompileOutcome> {
    let (mut child, pipe) = start(command(program, job.limits, priority))?;
    let Some(stdin) = child.stdin.take() else { return Err(io::Error::other("it has no stdin")) };
    let (tell, told) = channel();
    job.cancel.on_cancel({
        let tell = tell.clone();
        move || drop(tell.send(ChildEvent::Cancelled))
    });
    let event = thread::scope(|scope| {
        let give = || give(stdin, job.bytes);
        let started = thread::Builder::new().name("to the compiler".to_owned()).spawn_scoped(scope, give);
        let started = started.and_then(|giving| {
            let most = job.limits.memory;
            let read = move || read(pipe, most, &tell);
            thread::Builder::new().name("from the compiler".to_owned()).spawn(read).map(|_| giving)
        });
        let event = started.map(|giving| (told.recv_timeout(job.limits.time), giving));
        if !matches!(event, Ok((Ok(ChildEvent::Ended(_)), _))) {
            // The threads that write to it and read from it see its end then. It may have ended already.
            let _ = child.kill();
        }
        event.map(|(event, giving)| {
            // The thread's result holds stdin open.
            drop(giving.join());
            event
        })
    });
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            let _ = child.wait();
            return Err(error);
        }
    };
    let status = child.wait()?;
    Ok(match event {
        Ok(ChildEvent::Ended(Ok(output))) => judge(&output, status, job.limits.memory),
        Ok(ChildEvent::Ended(Err(error))) => {
            CompileOutcome::Died(format!("what the compiler gave can't be read: {error}"))
        }
        Ok(ChildEvent::Cancelled) => CompileOutcome::Cancelled,
        Err(_) => CompileOutcome::Time,
    })
}

/// The child's program and arguments.
fn command(program: &Path, limits: &Compile, priority: CompilePriority) -> Command {
    let mut command = children::bare(program);
    // Part of a second is a whole one.
    let seconds = limits.cpu.as_secs().saturating_add(u64::from(limits.cpu.subsec_nanos() > 0));
    command.arg(COMPILE).args([limits.memory.to_string(), seconds.to_string()]).arg(priority.argument());
    command.env(NO_EAGER_COMMIT.0, NO_EAGER_COMMIT.1).current_dir("/");
    command
}

/// Starts the child: it inherits nothing but its three streams.
fn start(mut command: Command) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    // With the command go our own ends of the pipe.
    Ok((command.spawn()?, reader))
}

/// Writes the component to the child. The result holds its stdin open. A failed write means that the child has died, which its status tells.
fn give(mut stdin: ChildStdin, bytes: &[u8]) -> ChildStdin {
    let _ = stdin.write_all(&(bytes.len() as u64).to_le_bytes()).and_then(|()| stdin.write_all(bytes));
    stdin
}

/// Reads the child's output to its end.
fn read(pipe: PipeReader, most: usize, tell: &Sender<ChildEvent>) {
    let mut output = Vec::new();
    let outcome = pipe.take(most as u64).read_to_end(&mut output).map(|_| output);
    // The receiver may be gone.
    let _ = tell.send(ChildEvent::Ended(outcome));
}

fn judge(output: &[u8], status: ExitStatus, most: usize) -> CompileOutcome {
    if let Some((digest, artefact)) = output.strip_prefix(COMPILED).and_then(|rest| rest.split_first_chunk::<DIGEST>())
        && Sha256::digest(artefact).as_slice() == digest
    {
        return CompileOutcome::Compiled(artefact.to_vec());
    }
    let said = String::from_utf8_lossy(output);
    if let Some(reason) = said.strip_prefix(REFUSED) {
        return CompileOutcome::Refused(reason.to_owned());
    }
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    // What Rust says when there is no more memory, before it aborts; or the kernel has ended what had most of it.
    let has_too_little = status.code() == Some(i32::from(NO_MEMORY));
    if has_too_little
        || output.len() >= most
        || is(Signal::ABORT) && said.contains("memory allocation of")
        || is(Signal::KILL)
    {
        return CompileOutcome::Memory;
    }
    if is(Signal::XCPU) {
        return CompileOutcome::Cpu;
    }
    CompileOutcome::Died(format!("the compiler ended with {status}: {}", said.trim()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_child_is_told_its_limits_and_its_priority() {
        let limits = Compile { time: Duration::from_secs(9), cpu: Duration::from_millis(1_500), memory: 1 << 20 };
        for (priority, argument) in [(CompilePriority::Normal, "normal"), (CompilePriority::Low, "low")] {
            let command = command(Path::new("/program"), &limits, priority);
            assert_eq!(command.get_args().collect::<Vec<_>>(), [COMPILE, "1048576", "2", argument]);
            assert_eq!(command.get_args().last().and_then(CompilePriority::of_argument), Some(priority));
        }
    }
}
