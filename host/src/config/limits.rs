//! The limits, with their defaults.

use std::time::Duration;

use super::ConfigError;
use super::section::Section;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a request, a guest and a server may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `memory`: all memories and tables of an instance together. 256 MiB.
    pub memory: usize,
    /// `cpu`: CPU time of one call. 1 s.
    pub cpu: Duration,
    /// `deadline`: the whole request, the provider's time included. 120 s.
    pub deadline: Duration,
    /// `fetches`: HTTP exchanges for one request. 8.
    pub fetches: u32,
    /// `retries`: further attempts at an exchange that failed in passing. 2.
    pub retries: u32,
    /// `state`: what a guest has the host remember. 1 MiB.
    pub state: usize,
    /// `requestBody`: the body that goes to the provider. 32 MiB.
    pub request_body: usize,
    /// `responseBody`: the body that the provider answers with. 32 MiB.
    pub response_body: usize,
    /// `instances`: instances of one plugin at once, a provider plugin's share of the pool at most; further calls wait for their turn. 256.
    pub instances: u32,
    /// `logLines`: lines of a guest's output that are kept of one call. 100.
    pub log_lines: u32,
    /// `component`: the size of a component's file. 64 MiB.
    pub component: usize,
    /// `compile`: what compiling a component may take.
    pub compile: Compile,
    /// `samplingRequest`: the parameters of a sampling request. 24 MiB.
    pub sampling_request: usize,
    /// `messages`: the messages of a sampling request. 1,024.
    pub messages: u32,
    /// `media`: one image, sound or embedded resource in it, in base64. 16 MiB.
    pub media: usize,
    /// `samplingTotal`: the parameters of all sampling requests of one server that run or wait. 256 MiB.
    pub sampling_total: usize,
    /// `concurrent`: sampling requests of one server that run at once. 256.
    pub concurrent: u32,
    /// `waiting`: sampling requests of one server that wait for their turn. 4,096.
    pub waiting: u32,
    /// `line`: one message between client and server. 256 MiB.
    pub line: usize,
    /// `bodiesTotal`: the bodies of all requests at `understudy serve`, until their messages are with the server. 512 MiB.
    pub bodies_total: usize,
    /// `shutdown`: how long a server may take to end once its input has ended. Then it gets SIGTERM, and as long again after that SIGKILL. 5 s.
    pub shutdown: Duration,
}

/// What compiling a component may take. A component is compiled once, and kept in the user's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compile {
    /// `compile.time`: time by the clock, which other programs take their part of. 5 min.
    pub time: Duration,
    /// `compile.cpu`: CPU time of all its threads, counted in whole seconds. 2 min.
    pub cpu: Duration,
    /// `compile.memory`: memory, on Linux. 2 GiB.
    pub memory: usize,
}

impl Default for Compile {
    fn default() -> Self {
        Self { time: Duration::from_mins(5), cpu: Duration::from_mins(2), memory: 2048 * MIB }
    }
}

impl Compile {
    /// These limits with what the config's `compile` says instead.
    fn with(self, mut section: Section) -> Result<Self, ConfigError> {
        let compile = Self {
            time: section.duration("time")?.unwrap_or(self.time),
            cpu: section.duration("cpu")?.unwrap_or(self.cpu),
            memory: section.size("memory")?.unwrap_or(self.memory),
        };
        section.finish()?;
        Ok(compile)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 * MIB,
            cpu: Duration::from_secs(1),
            deadline: Duration::from_mins(2),
            fetches: 8,
            retries: 2,
            state: MIB,
            request_body: 32 * MIB,
            response_body: 32 * MIB,
            instances: 256,
            log_lines: 100,
            component: 64 * MIB,
            compile: Compile::default(),
            sampling_request: 24 * MIB,
            messages: 1024,
            media: 16 * MIB,
            sampling_total: 256 * MIB,
            concurrent: 256,
            waiting: 4096,
            line: 256 * MIB,
            bodies_total: 512 * MIB,
            shutdown: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// These limits with what the config's `limits` says instead.
    pub(super) fn with(self, mut section: Section) -> Result<Self, ConfigError> {
        let limits = Self {
            sampling_request: section.size("samplingRequest")?.unwrap_or(self.sampling_request),
            messages: section.count("messages")?.unwrap_or(self.messages),
            media: section.size("media")?.unwrap_or(self.media),
            sampling_total: section.size("samplingTotal")?.unwrap_or(self.sampling_total),
            concurrent: section.count("concurrent")?.unwrap_or(self.concurrent),
            waiting: section.count("waiting")?.unwrap_or(self.waiting),
            line: section.size("line")?.unwrap_or(self.line),
            bodies_total: section.size("bodiesTotal")?.unwrap_or(self.bodies_total),
            shutdown: section.duration("shutdown")?.unwrap_or(self.shutdown),
            ..self.of_a_plugin(&mut section)?
        };
        section.finish()?;
        Ok(limits)
    }

    /// These limits with what a plugin's `limits` says instead.
    pub(super) fn with_plugin(self, mut section: Section) -> Result<Self, ConfigError> {
        let limits = self.of_a_plugin(&mut section)?;
        section.finish()?;
        Ok(limits)
    }

    fn of_a_plugin(&self, section: &mut Section) -> Result<Self, ConfigError> {
        Ok(Self {
            memory: section.size("memory")?.unwrap_or(self.memory),
            cpu: section.duration("cpu")?.unwrap_or(self.cpu),
            deadline: section.duration("deadline")?.unwrap_or(self.deadline),
            fetches: section.count("fetches")?.unwrap_or(self.fetches),
            retries: section.number("retries")?.unwrap_or(self.retries),
            state: section.size("state")?.unwrap_or(self.state),
            request_body: section.size("requestBody")?.unwrap_or(self.request_body),
            response_body: section.size("responseBody")?.unwrap_or(self.response_body),
            instances: section.count("instances")?.unwrap_or(self.instances),
            log_lines: section.number("logLines")?.unwrap_or(self.log_lines),
            component: section.size("component")?.unwrap_or(self.component),
            compile: match section.section("compile")? {
                Some(section) => self.compile.with(section)?,
                None => self.compile,
            },
            ..self.clone()
        })
    }
}
