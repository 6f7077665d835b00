//! The compiler, and where it runs.
//!
//! Cranelift's time and memory grow faster than what it compiles, and Wasmtime promises no bound for either. So a component that isn't ours is
//! compiled in a process of its own (`apart`), a child that runs this very program (`child`), has limits of time and memory (`limits.compile`), and
//! can be killed: a component that exceeds them costs an error.
//!
//! | what is compiled | by whom | where |
//! | --- | --- | --- |
//! | a built-in plugin | anyone | on threads of this process: its bytes are a part of it |
//! | any other component | the program (`Engine::compile_apart`) | in a child |
//! | any other component | a library's user without such a program, or where a child can't be started | on threads of this process, and only if `complexity` finds at most half of what it allows a child |

mod abandon;
mod apart;
mod child;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use rayon::ThreadPool;

pub(super) use abandon::{Abandon, AbandonOnDrop};
use apart::Outcome;
pub use child::{COMPILE, compile_for_parent};

use super::complexity::{self, Found, Room};
use super::giving_way::{self, Share};
use crate::config::Compile;
use crate::error::{CompileLimit, LoadError};
use crate::text::one_line;

/// What is to be compiled.
pub(super) struct Job<'a> {
    /// The plugin's name.
    pub(super) name: &'a str,
    /// The component.
    pub(super) bytes: &'a [u8],
    /// Whether it is a built-in plugin.
    pub(super) is_built_in: bool,
    /// What it may take.
    pub(super) limits: &'a Compile,
    /// Whether anybody still waits for it.
    pub(super) abandon: &'a Abandon,
}

pub(super) struct Compiler {
    threads: ThreadPool,
    /// The program to start for a component that isn't ours.
    program: OnceLock<PathBuf>,
    /// Held while a child compiles. Several would have `limits.compile.memory` each.
    one_at_a_time: Mutex<()>,
}

impl Compiler {
    pub(super) fn new() -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self { threads: threads()?, program: OnceLock::new(), one_at_a_time: Mutex::default() })
    }

    /// Compiles in children from now on, which run this program.
    pub(super) fn apart(&self, program: PathBuf) {
        // The first one stays.
        let _ = self.program.set(program);
    }

    /// The component's machine code.
    pub(super) fn compile(&self, engine: &wasmtime::Engine, job: &Job) -> Result<Vec<u8>, LoadError> {
        if job.is_built_in {
            return self.here(engine, job);
        }
        let Some(program) = self.program.get() else {
            self.check(job, Room::Here)?;
            return self.here(engine, job);
        };
        self.check(job, Room::Child)?;
        let outcome = {
            let _turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
            apart::compile(program, job)
        };
        let limit = |limit| Err(LoadError::CompileLimit { name: job.name.to_owned(), limit });
        let failed = |reason: &str| LoadError::Compiler { name: job.name.to_owned(), reason: one_line(reason, 500) };
        match outcome {
            Ok(Outcome::Compiled(artefact)) => Ok(artefact),
            Ok(Outcome::Refused(reason)) => Err(not_a_component(job, &reason)),
            Ok(Outcome::Time) => limit(CompileLimit::Time(job.limits.time)),
            Ok(Outcome::Cpu) => limit(CompileLimit::Cpu(job.limits.cpu)),
            Ok(Outcome::Memory) => limit(CompileLimit::Memory(job.limits.memory)),
            Ok(Outcome::Abandoned) => Err(failed("another version of it has come meanwhile")),
            Ok(Outcome::Died(how)) => Err(failed(&how)),
            Err(cause) => {
                tracing::warn!(
                    "components are compiled in this process, without `limits.compile`, for no other can be started: {cause}"
                );
                self.check(job, Room::Here)?;
                self.here(engine, job)
            }
        }
    }

    fn check(&self, job: &Job, room: Room) -> Result<(), LoadError> {
        // It reads every instruction.
        self.threads.install(|| complexity::check(job.bytes, room)).map_err(|found| match found {
            Found::TooMuch(reason) => LoadError::TooComplex { name: job.name.to_owned(), reason },
            Found::Broken(reason) => not_a_component(job, &reason),
        })
    }

    fn here(&self, engine: &wasmtime::Engine, job: &Job) -> Result<Vec<u8>, LoadError> {
        let compiled = self.threads.install(|| engine.precompile_component(job.bytes));
        compiled.map_err(|e| not_a_component(job, &format!("{e:#}")))
    }
}

fn not_a_component(job: &Job, reason: &str) -> LoadError {
    LoadError::NotAComponent { name: job.name.to_owned(), reason: one_line(reason, 500) }
}

/// The threads that compile: never all that there are, and they let others go first.
fn threads() -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get().saturating_sub(1).max(1));
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.thread_name(|_| "compiler".to_owned()).start_handler(|_| giving_way::step_back(Share::Compilers)).build()
}
