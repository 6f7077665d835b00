//! The child's side of compiling: it limits itself, compiles one component, and ends.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};

use super::super::engine;
use super::threads::{self, CompilePriority};

/// The argument that makes this program a compiler. It is private, and no verb.
pub const COMPILE: &str = "--compile-for-parent";

/// The prefix of machine code, which its digest follows; and the prefix of the reason why there is none.
pub(super) const COMPILED: &[u8] = b"compiled";
pub(super) const DIGEST: usize = 32;
pub(super) const REFUSED: &str = "refused: ";

/// How this process exits where it has too little memory to begin.
pub(super) const NO_MEMORY: u8 = 3;

/// Compiles the component that comes in on stdin, for a parent that has started this program with [`COMPILE`] and these arguments after it.
#[must_use]
pub fn compile_for_parent(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent reads it, if it is there.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(if error.kind() == io::ErrorKind::OutOfMemory { NO_MEMORY } else { 1 })
        }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut number = || {
        let text = arguments.next().and_then(|argument| argument.into_string().ok());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("a limit is missing"))
    };
    let (memory, seconds) = (number()?, number()?);
    let priority = arguments.next().and_then(|argument| CompilePriority::of_argument(&argument));
    let priority = priority.ok_or_else(|| io::Error::other("the priority is missing"))?;
    close_all_but_streams();
    bound(memory, seconds)?;
    priority.apply();
    let mut stdin = io::stdin();
    let mut size = [0; size_of::<u64>()];
    stdin.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    let mut component = Vec::new();
    (&mut stdin).take(size).read_to_end(&mut component)?;
    if component.len() as u64 != size {
        return Err(io::Error::other("the component ends too early"));
    }
    end_with_parent()?;
    let engine = wasmtime::Engine::new(&engine::config()).map_err(|e| io::Error::other(format!("{e:#}")))?;
    let threads = threads::start(priority).map_err(no_memory)?;
    let mut stdout = io::stdout().lock();
    match threads.install(|| engine.precompile_component(&component)) {
        Ok(artefact) => {
            let digest = Sha256::digest(&artefact);
            [COMPILED, digest.as_slice(), &artefact].into_iter().try_for_each(|part| stdout.write_all(part))?;
        }
        Err(error) => write!(stdout, "{REFUSED}{error:#}")?,
    }
    stdout.flush()
}

/// Closes what this process has inherited beside its streams: not from its parent, but perhaps from that one's.
fn close_all_but_streams() {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no library has this call")]
    // SAFETY: nothing has been opened yet, so nobody in this process has one of these.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Limits this process, for good.
fn bound(memory: u64, seconds: u64) -> io::Result<()> {
    limit(Resource::Core, 0, 0)?;
    // At the first it gets a signal that says so, a second later one that can't be caught.
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    #[cfg(target_os = "linux")]
    {
        // What it can write to. Addresses alone cost nothing, and allocators reserve many.
        limit(Resource::Data, memory, memory)?;
        // Where the machine has less, this process goes and not its parent.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
    Ok(())
}

/// Sets a limit, unless there is a lower one already.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(maximum, |already| already.min(maximum));
    Ok(setrlimit(resource, Rlimit { current: Some(current.min(maximum)), maximum: Some(maximum) })?)
}

/// Ends this process when its stdin does: the parent waits no more.
fn end_with_parent() -> io::Result<()> {
    let wait = || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    };
    thread::Builder::new().name("parent".to_owned()).spawn(wait).map(drop).map_err(no_memory)
}

/// A thread can't be started: there is no memory for its stack.
fn no_memory(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, error)
}
