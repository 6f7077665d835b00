//! The data of a store: the limits of a guest, and its inert WASI.

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::epoch::EpochGuard;
use super::guest_stdio::GuestOutput;
use super::usage::{PeakUsage, UsageRecorder};
use super::wasi_http::HttpHooks;
use crate::config::Limits;
use crate::error::Limit;
use crate::scheduling::cpu_time::CpuMeter;

/// A store's data.
pub(super) struct StoreData {
    memory: MemoryLimiter,
    /// Made when the guest first uses it, which a converter never does.
    wasi: Option<Wasi>,
    output: GuestOutput,
    cpu_meter: CpuMeter,
    http: HttpHooks,
    /// Where the usage of the call is recorded when the store is dropped.
    recorder: Option<(&'static str, UsageRecorder)>,
    _running: EpochGuard,
}

struct Wasi {
    ctx: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

/// The most host resources of a guest at a time: streams, headers, requests.
const MOST_RESOURCES: usize = 1024;

/// The most random bytes of one call of `wasi:random`; a guest that asks for more traps.
const MOST_RANDOM: u64 = 1 << 20;

impl StoreData {
    pub(super) fn new(limits: &Limits, running: EpochGuard) -> Self {
        Self {
            memory: MemoryLimiter { most: limits.memory, used: 0 },
            wasi: None,
            output: GuestOutput::new(limits.log_lines),
            cpu_meter: CpuMeter::default(),
            http: HttpHooks::default(),
            recorder: None,
            _running: running,
        }
    }

    /// The meter of the guest's CPU time.
    pub(super) fn cpu_meter(&self) -> CpuMeter {
        self.cpu_meter.clone()
    }

    /// Allows the guest to make HTTP requests.
    pub(super) fn allow_http(&mut self, http: HttpHooks) {
        self.http = http;
    }

    /// Records the usage of the call when the store is dropped.
    pub(super) fn record_usage(&mut self, call: &'static str, recorder: UsageRecorder) {
        self.recorder = Some((call, recorder));
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// The guest's stdout and stderr.
    pub(super) fn output(&self) -> GuestOutput {
        self.output.clone()
    }
}

impl Drop for StoreData {
    fn drop(&mut self) {
        if let Some((call, recorder)) = &self.recorder {
            recorder.record(call, PeakUsage { cpu: self.cpu_meter.spent(), memory: self.memory.used });
        }
    }
}

impl Wasi {
    fn inert(output: &GuestOutput) -> Self {
        // No files, environment, arguments or network: the builder starts with none.
        let mut ctx = WasiCtx::builder();
        ctx.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        // Neither the deadline nor the CPU time is checked within a host call.
        ctx.max_random_size(MOST_RANDOM);
        ctx.stdout(output.clone()).stderr(output.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Self { ctx: ctx.build(), http: WasiHttpCtx::new(), table }
    }
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::inert(&self.output));
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl WasiHttpView for StoreData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::inert(&self.output));
        WasiHttpCtxView { hooks: &mut self.http, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}

/// The error that ends a guest at a limit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LimitExceeded(pub(super) Limit);

/// The size of all memories and tables of the store's instances together.
struct MemoryLimiter {
    most: usize,
    used: usize,
}

impl MemoryLimiter {
    /// Beyond the limit of the sum the guest ends, with an error that names the limit. At a bound of the module or the pool, growing only fails.
    fn grow(&mut self, by: usize, allowed: bool) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(by);
        if used > self.most {
            return Err(LimitExceeded(Limit::Memory(self.most)).into());
        }
        if allowed {
            self.used = used;
        }
        Ok(allowed)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current), maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let by = desired.saturating_sub(current).saturating_mul(size_of::<usize>());
        self.grow(by, maximum.is_none_or(|maximum| desired <= maximum))
    }
}
