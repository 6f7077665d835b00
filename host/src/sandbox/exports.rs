//! The functions that a provider plugin exports, found once and checked once.
//!
//! Wasmtime's generated bindings compare all types of all functions in each instance, which takes longer than making one. The types are those of
//! the component, the same in all its instances.

use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::{Result, Store};

use super::state::StoreData;
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

const PROVIDER: &str = "understudy:plugin/provider@0.1.0";
const STREAMING: &str = "understudy:plugin/streaming@0.1.0";

/// The signatures, as `wit/` has them.
type Describe = TypedFunc<(), (wit::Description,)>;
type Start<'a> = TypedFunc<(&'a wit::CreateMessageRequest, &'a wit::Options), (GuestResult<wit::Step>,)>;
type Resume<'a> = TypedFunc<(&'a [u8], &'a wit::HttpResponse), (GuestResult<wit::Step>,)>;
type Next<'a> = TypedFunc<(&'a [u8], &'a [stream::Event]), (GuestResult<stream::StreamingStep>,)>;

/// The result of a guest's function, with the guest's own error.
pub(super) type GuestResult<T> = std::result::Result<T, wit::Error>;

/// A component, ready to be instantiated, and its functions.
pub(super) struct Exports {
    pre: InstancePre<StoreData>,
    describe: ComponentExportIndex,
    start: ComponentExportIndex,
    resume: ComponentExportIndex,
    /// If it can stream.
    next: Option<ComponentExportIndex>,
    are_checked: AtomicBool,
}

impl Exports {
    /// Finds the functions of a component.
    ///
    /// # Errors
    /// If one is missing.
    pub(super) fn find(pre: InstancePre<StoreData>, streaming: bool) -> Result<Self> {
        let component = pre.component();
        let [describe, start, resume] = ["describe", "start", "resume"].map(|name| find(component, PROVIDER, name));
        let next = streaming.then(|| find(component, STREAMING, "next")).transpose()?;
        let (describe, start, resume) = (describe?, start?, resume?);
        Ok(Self { pre, describe, start, resume, next, are_checked: AtomicBool::new(false) })
    }

    /// Whether it can stream.
    pub(super) fn streams(&self) -> bool {
        self.next.is_some()
    }

    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<wit::Description> {
        let instance = self.instance(store).await?;
        let describe: Describe = self.typed(store, instance, &self.describe)?;
        Ok(describe.call_async(store, ()).await?.0)
    }

    pub(super) async fn start(
        &self,
        store: &mut Store<StoreData>,
        request: &wit::CreateMessageRequest,
        options: &wit::Options,
    ) -> Result<GuestResult<wit::Step>> {
        let instance = self.instance(store).await?;
        let start: Start<'_> = self.typed(store, instance, &self.start)?;
        Ok(start.call_async(store, (request, options)).await?.0)
    }

    pub(super) async fn resume(
        &self,
        store: &mut Store<StoreData>,
        state: &[u8],
        response: &wit::HttpResponse,
    ) -> Result<GuestResult<wit::Step>> {
        let instance = self.instance(store).await?;
        let resume: Resume<'_> = self.typed(store, instance, &self.resume)?;
        Ok(resume.call_async(store, (state, response)).await?.0)
    }

    pub(super) async fn next(
        &self,
        store: &mut Store<StoreData>,
        state: &[u8],
        events: &[stream::Event],
    ) -> Result<GuestResult<stream::StreamingStep>> {
        let instance = self.instance(store).await?;
        let index = self.next.as_ref().ok_or_else(|| wasmtime::Error::msg("it can't stream"))?;
        let next: Next<'_> = self.typed(store, instance, index)?;
        Ok(next.call_async(store, (state, events)).await?.0)
    }

    /// A fresh instance, of which the functions are known to have the right types.
    async fn instance(&self, store: &mut Store<StoreData>) -> Result<Instance> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        if !self.are_checked.load(Ordering::Acquire) {
            self.check(store, instance)?;
            self.are_checked.store(true, Ordering::Release);
        }
        Ok(instance)
    }

    fn check(&self, store: &mut Store<StoreData>, instance: Instance) -> Result<()> {
        let _: Describe = fits("describe", instance.get_typed_func(&mut *store, self.describe))?;
        let _: Start<'_> = fits("start", instance.get_typed_func(&mut *store, self.start))?;
        let _: Resume<'_> = fits("resume", instance.get_typed_func(&mut *store, self.resume))?;
        if let Some(next) = &self.next {
            let _: Next<'_> = fits("next", instance.get_typed_func(&mut *store, next))?;
        }
        Ok(())
    }

    /// A function of an instance that `instance` gave.
    fn typed<P, R>(
        &self,
        store: &mut Store<StoreData>,
        instance: Instance,
        index: &ComponentExportIndex,
    ) -> Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        debug_assert!(self.are_checked.load(Ordering::Acquire), "a function that nobody has checked");
        let function = instance.get_func(store, index).ok_or_else(|| wasmtime::Error::msg("an export has gone"))?;
        #[expect(unsafe_code, reason = "checking the types anew in each instance takes longer than making one")]
        // SAFETY: `check` has compared the same function of the same component, linked the same, to the same type: the callers above
        // name the types that it does.
        let function = unsafe { TypedFunc::new_unchecked(function) };
        Ok(function)
    }
}

/// What is wrong with a function's type, in words that name the function.
fn fits<T>(name: &str, function: Result<T>) -> Result<T> {
    function.map_err(|e| {
        let wrong = format!("its `{name}` has another type than `understudy:plugin@0.1.0` says ({})", e.root_cause());
        wasmtime::Error::msg(wrong)
    })
}

fn find(component: &Component, interface: &str, name: &str) -> Result<ComponentExportIndex> {
    let exported = component.get_export_index(None, interface);
    let function = exported.and_then(|exported| component.get_export_index(Some(&exported), name));
    function.ok_or_else(|| wasmtime::Error::msg(format!("it doesn't export `{interface}#{name}`")))
}
