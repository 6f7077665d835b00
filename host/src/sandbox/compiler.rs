//! The compiler, and where it runs.
//!
//! Cranelift's time and memory grow faster than the size of its input, and Wasmtime promises no bound for either. So a component that isn't
//! built in is compiled in a child process that runs this very program, is limited in time and memory (`limits.compile`), and can be killed: a
//! component that exceeds the limits costs an error.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `parent` | starting the child and reading its result |
//! | `child` | what the child does |
//! | `cancel` | cancelling work on another thread |
//! | `threads` | the threads that compile, and their priority |
//!
//! | what is compiled | by whom | where |
//! | --- | --- | --- |
//! | a built-in plugin | anyone | on threads of this process: its bytes are a part of it |
//! | any other component | the program (`Engine::compile_in_children`) | in a child |
//! | any other component | a library's user without such a program, or where a child can't be started | on threads of this process, and only if `complexity` finds at most half of what it allows a child |

mod cancel;
mod child;
mod parent;
mod threads;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

pub(super) use cancel::{CancelFlag, CancelOnDrop};
pub use child::{COMPILE, compile_for_parent};
use parent::CompileOutcome;

use super::complexity::{self, CompileSite, ComplexityError};
use crate::config::Compile;
use crate::error::{CompileLimit, LoadError};
use crate::text::one_line;
pub(super) use threads::CompilePriority;
use threads::CompilerThreads;

/// A component to compile.
pub(super) struct CompileJob<'a> {
    /// The plugin's name.
    pub(super) name: &'a str,
    /// The component.
    pub(super) bytes: &'a [u8],
    /// Whether it is a built-in plugin.
    pub(super) is_built_in: bool,
    /// Its limits.
    pub(super) limits: &'a Compile,
    /// Set when nothing waits for the result any more.
    pub(super) cancel: &'a CancelFlag,
}

#[derive(Default)]
pub(super) struct Compiler {
    threads: CompilerThreads,
    /// Whether requests are being answered while it compiles.
    in_background: AtomicBool,
    /// The program that compiles components which aren't built in.
    program: OnceLock<PathBuf>,
    /// Held while a child compiles: several children could use `limits.compile.memory` each.
    one_at_a_time: Mutex<()>,
}

impl Compiler {
    /// Compiles at a low priority from now on.
    pub(super) fn use_background(&self) {
        self.in_background.store(true, Ordering::Relaxed);
    }

    pub(super) fn priority(&self) -> CompilePriority {
        if self.in_background.load(Ordering::Relaxed) { CompilePriority::Low } else { CompilePriority::Normal }
    }

    /// Compiles in children from now on, which run this program.
    pub(super) fn use_children(&self, program: PathBuf) {
        // The first one stays.
        let _ = self.program.set(program);
    }

    /// The component's machine code.
    pub(super) fn compile(&self, engine: &wasmtime::Engine, job: &CompileJob) -> Result<Vec<u8>, LoadError> {
        if job.is_built_in {
            return self.compile_here(engine, job);
        }
        let Some(program) = self.program.get() else {
            self.check(job, CompileSite::Here)?;
            return self.compile_here(engine, job);
        };
        self.check(job, CompileSite::Child)?;
        let outcome = {
            let _turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
            parent::compile(program, job, self.priority())
        };
        let limit = |limit| Err(LoadError::CompileLimit { name: job.name.to_owned(), limit });
        let failed = |reason: &str| LoadError::Compiler { name: job.name.to_owned(), reason: one_line(reason, 500) };
        match outcome {
            Ok(CompileOutcome::Compiled(artefact)) => Ok(artefact),
            Ok(CompileOutcome::Refused(reason)) => Err(not_a_component(job, &reason)),
            Ok(CompileOutcome::Time) => limit(CompileLimit::Time(job.limits.time)),
            Ok(CompileOutcome::Cpu) => limit(CompileLimit::Cpu(job.limits.cpu)),
            Ok(CompileOutcome::Memory) => limit(CompileLimit::Memory(job.limits.memory)),
            Ok(CompileOutcome::Cancelled) => Err(failed("another version of it has come meanwhile")),
            Ok(CompileOutcome::Died(how)) => Err(failed(&how)),
            Err(cause) => {
                tracing::warn!(
                    "components are compiled in this process, without `limits.compile`, for no other can be started: {cause}"
                );
                self.check(job, CompileSite::Here)?;
                self.compile_here(engine, job)
            }
        }
    }

    fn check(&self, job: &CompileJob, site: CompileSite) -> Result<(), LoadError> {
        // It reads every instruction.
        self.run(job, || complexity::check(job.bytes, site))?.map_err(|found| match found {
            ComplexityError::TooMuch(reason) => LoadError::TooComplex { name: job.name.to_owned(), reason },
            ComplexityError::Broken(reason) => not_a_component(job, &reason),
        })
    }

    fn compile_here(&self, engine: &wasmtime::Engine, job: &CompileJob) -> Result<Vec<u8>, LoadError> {
        let compiled = self.run(job, || engine.precompile_component(job.bytes))?;
        compiled.map_err(|e| not_a_component(job, &format!("{e:#}")))
    }

    /// Runs this on the threads that compile.
    fn run<T: Send>(&self, job: &CompileJob, work: impl FnOnce() -> T + Send) -> Result<T, LoadError> {
        let threads = self.threads.of(self.priority()).map_err(|e| LoadError::Compiler {
            name: job.name.to_owned(),
            reason: format!("its threads can't be started: {e}"),
        })?;
        Ok(threads.install(work))
    }
}

fn not_a_component(job: &CompileJob, reason: &str) -> LoadError {
    LoadError::NotAComponent { name: job.name.to_owned(), reason: one_line(reason, 500) }
}
