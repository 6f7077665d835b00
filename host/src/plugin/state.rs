//! What a store holds: the guest's limits, and an inert WASI.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::http::Hooks;
use super::ticker::Running;
use super::turns::Turns;
use super::usage::{Usage, Used};
use crate::config::Limits;
use crate::error::Limit;
use crate::text::one_line;

/// A store's data.
pub(super) struct State {
    memory: Memory,
    /// Made when the guest first uses it: a converter never does.
    wasi: Option<Wasi>,
    written: Written,
    turns: Turns,
    http: Hooks,
    /// Where it is told what the call used.
    account: Option<(&'static str, Usage)>,
    _running: Running,
}

struct Wasi {
    ctx: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

/// What a guest may have the host keep for it at once: streams, headers, requests.
const MOST_RESOURCES: usize = 1024;

impl State {
    pub(super) fn new(limits: &Limits, running: Running) -> Self {
        Self {
            memory: Memory { most: limits.memory, used: 0 },
            wasi: None,
            written: Written::new(limits.log_lines),
            turns: Turns::default(),
            http: Hooks::default(),
            account: None,
            _running: running,
        }
    }

    /// How long the guest has run.
    pub(super) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Lets the guest make HTTP requests.
    pub(super) fn let_out(&mut self, http: Hooks) {
        self.http = http;
    }

    /// Has it told what the call used, when it is over.
    pub(super) fn account(&mut self, call: &'static str, usage: Usage) {
        self.account = Some((call, usage));
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// What the guest writes to stdout and stderr.
    pub(super) fn written(&self) -> Written {
        self.written.clone()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((call, usage)) = &self.account {
            usage.record(call, Used { cpu: self.turns.spent(), memory: self.memory.used });
        }
    }
}

impl Wasi {
    fn inert(written: &Written) -> Self {
        // No files, no environment, no arguments, no network: what isn't given isn't there.
        let mut ctx = WasiCtx::builder();
        ctx.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        ctx.stdout(written.clone()).stderr(written.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Self { ctx: ctx.build(), http: WasiHttpCtx::new(), table }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::inert(&self.written));
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::inert(&self.written));
        WasiHttpCtxView { hooks: &mut self.http, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}

/// A limit as the error that ends the guest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LimitHit(pub(super) Limit);

/// All memories and tables of the store's instances together.
struct Memory {
    most: usize,
    used: usize,
}

impl Memory {
    /// The sum comes first: what is beyond it ends the guest, and names the limit. What a module or the pool bounds only fails to grow.
    fn grow(&mut self, by: usize, allowed: bool) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(by);
        if used > self.most {
            return Err(LimitHit(Limit::Memory(self.most)).into());
        }
        if allowed {
            self.used = used;
        }
        Ok(allowed)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current), maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let by = desired.saturating_sub(current).saturating_mul(size_of::<usize>());
        self.grow(by, maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// The longest line that is kept, in characters.
const LONGEST_LINE: usize = 1000;

/// The guest's stdout and stderr.
#[derive(Clone)]
pub(super) struct Written(Arc<Mutex<Output>>);

struct Output {
    bytes: Vec<u8>,
    /// `limits.logLines`
    lines: usize,
    dropped: usize,
}

impl Output {
    /// Keeps what there is room for: so many lines, and of each so much.
    fn keep(&mut self, mut bytes: &[u8]) {
        let written = memchr::memchr_iter(b'\n', &self.bytes).count();
        let mut left = self.lines.saturating_sub(written);
        let most = self.lines.saturating_mul(LONGEST_LINE);
        while left > 0 && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            let (line, rest) = bytes.split_at(end);
            if self.bytes.len() + line.len() > most {
                break;
            }
            self.bytes.extend_from_slice(line);
            left -= 1;
            bytes = rest;
        }
        self.dropped += bytes.len();
    }
}

impl Written {
    fn new(lines: u32) -> Self {
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        Self(Arc::new(Mutex::new(Output { bytes: Vec::new(), lines, dropped: 0 })))
    }

    /// The lines so far.
    pub(super) fn take(&self) -> Vec<String> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut output.bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> =
            text.lines().map(|line| one_line(line, LONGEST_LINE)).filter(|line| !line.is_empty()).collect();
        if output.dropped > 0 {
            lines.push(format!("(and {} bytes more, beyond `limits.logLines`)", output.dropped));
        }
        lines
    }
}

impl IsTerminal for Written {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Written {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Written {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
