//! The parent's side: starts the child, gives it the component, and waits no longer than it may take.
//!
//! The component goes in by the child's stdin, which then stays open: its end tells the child that nobody waits any more, also when this process
//! has been killed. The machine code comes back by a pipe that is stdout and stderr, after its digest, so that what was written
//! half isn't taken for whole; anything else in the pipe is what the child said while it died.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::Job;
use super::child::{COMPILE, COMPILED, DIGEST, NO_MEMORY, REFUSED};
use crate::children;

/// What came of it.
pub(super) enum Outcome {
    Compiled(Vec<u8>),
    /// It isn't what the compiler takes.
    Refused(String),
    /// `limits.compile.time`
    Time,
    /// `limits.compile.cpu`
    Cpu,
    /// `limits.compile.memory`
    Memory,
    /// Nobody waits for it any more.
    Abandoned,
    Died(String),
}

/// Has the program's allocator, mimalloc, ask for memory as it needs it: the gigabyte that it takes beforehand, and of which it mostly uses
/// little, would count as memory that can be written to.
const NO_EAGER_COMMIT: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

enum Event {
    Ended(io::Result<Vec<u8>>),
    Abandoned,
}

/// Compiles in a child. An error says why there is none.
pub(super) fn compile(program: &Path, job: &Job) -> io::Result<Outcome> {
    let (mut child, pipe) = start(program, job)?;
    let Some(stdin) = child.stdin.take() else { return Err(io::Error::other("it has no stdin")) };
    let (tell, told) = channel();
    job.abandon.then({
        let tell = tell.clone();
        move || drop(tell.send(Event::Abandoned))
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
        if !matches!(event, Ok((Ok(Event::Ended(_)), _))) {
            // Whoever writes to it or reads from it has its end now. It may be gone already.
            let _ = child.kill();
        }
        event.map(|(event, giving)| {
            // It held stdin open.
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
        Ok(Event::Ended(Ok(output))) => judge(&output, status, job.limits.memory),
        Ok(Event::Ended(Err(error))) => Outcome::Died(format!("what the compiler gave can't be read: {error}")),
        Ok(Event::Abandoned) => Outcome::Abandoned,
        Err(_) => Outcome::Time,
    })
}

/// Starts the child: it inherits nothing but its three streams.
fn start(program: &Path, job: &Job) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let mut command = children::bare(program);
    // Part of a second is a whole one.
    let seconds = job.limits.cpu.as_secs().saturating_add(u64::from(job.limits.cpu.subsec_nanos() > 0));
    command.arg(COMPILE).args([job.limits.memory.to_string(), seconds.to_string()]);
    command.env(NO_EAGER_COMMIT.0, NO_EAGER_COMMIT.1).current_dir("/");
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    // With the command go our own ends of the pipe.
    Ok((command.spawn()?, reader))
}

/// Gives the child the component; what is given back holds its stdin open. If it doesn't read it, it has died, and that is seen elsewhere.
fn give(mut stdin: ChildStdin, bytes: &[u8]) -> ChildStdin {
    let _ = stdin.write_all(&(bytes.len() as u64).to_le_bytes()).and_then(|()| stdin.write_all(bytes));
    stdin
}

/// Reads what the child gives, to its end.
fn read(pipe: PipeReader, most: usize, tell: &Sender<Event>) {
    let mut output = Vec::new();
    let outcome = pipe.take(most as u64).read_to_end(&mut output).map(|_| output);
    // Nobody waits for it, perhaps.
    let _ = tell.send(Event::Ended(outcome));
}

fn judge(output: &[u8], status: ExitStatus, most: usize) -> Outcome {
    if let Some((digest, artefact)) = output.strip_prefix(COMPILED).and_then(|rest| rest.split_first_chunk::<DIGEST>())
        && Sha256::digest(artefact).as_slice() == digest
    {
        return Outcome::Compiled(artefact.to_vec());
    }
    let said = String::from_utf8_lossy(output);
    if let Some(reason) = said.strip_prefix(REFUSED) {
        return Outcome::Refused(reason.to_owned());
    }
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    // What Rust says when there is no more memory, before it aborts; or the kernel has ended what had most of it.
    let has_too_little = status.code() == Some(i32::from(NO_MEMORY));
    if has_too_little
        || output.len() >= most
        || is(Signal::ABORT) && said.contains("memory allocation of")
        || is(Signal::KILL)
    {
        return Outcome::Memory;
    }
    if is(Signal::XCPU) {
        return Outcome::Cpu;
    }
    Outcome::Died(format!("the compiler ended with {status}: {}", said.trim()))
}
