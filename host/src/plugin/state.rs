//! What a store holds: the guest's limits, and an inert WASI.

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::http::Hooks;
use super::ticker::Running;
use super::turns::Turns;
use super::usage::{Usage, Used};
use super::written::Written;
use crate::config::Limits;
use crate::error::Limit;

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

/// The most random bytes of one call. A guest that asks for more is at an end.
const MOST_RANDOM: u64 = 1 << 20;

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
        // One call is one piece of work: neither the deadline nor the CPU's clock is looked at within it.
        ctx.max_random_size(MOST_RANDOM);
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
