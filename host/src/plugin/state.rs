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

use super::engine::Running;
use super::http::Hooks;
use super::turns::Turns;
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
    pub(super) fn new(memory: usize, running: Running) -> Self {
        Self {
            memory: Memory { most: memory, used: 0 },
            wasi: None,
            written: Written::default(),
            turns: Turns::default(),
            http: Hooks::default(),
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

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// The lines that the guest wrote to stdout and stderr.
    pub(super) fn written(&mut self) -> Vec<String> {
        self.written.take()
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
    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        self.used = self.used.saturating_add(by);
        if self.used > self.most {
            return Err(LimitHit(Limit::Memory(self.most)).into());
        }
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(size_of::<usize>()))
    }
}

/// The most of a call's output that is kept, in bytes.
const MOST_WRITTEN: usize = 16 * 1024;

/// The guest's stdout and stderr.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Output>>);

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Written {
    fn take(&self) -> Vec<String> {
        let output = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let text = String::from_utf8_lossy(&output.bytes);
        let mut lines: Vec<String> =
            text.lines().map(|line| one_line(line, 1000)).filter(|line| !line.is_empty()).collect();
        if output.dropped > 0 {
            lines.push(format!("(and {} bytes more)", output.dropped));
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
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_WRITTEN.saturating_sub(output.bytes.len());
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        output.bytes.extend_from_slice(kept);
        output.dropped += dropped.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
