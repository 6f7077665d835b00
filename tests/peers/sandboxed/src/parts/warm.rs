//! One instance of a built-in plugin that is used again and again: the least that calling into a sandbox costs, and what Understudy doesn't do,
//! because the next request would find what the last one left behind.

use understudy::wit::ProviderPlugin;
use understudy::wit::understudy::plugin::types as wit;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

pub(crate) struct Warm {
    store: Store<()>,
    instance: ProviderPlugin,
}

impl Warm {
    pub(crate) async fn new(name: &str) -> Self {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).expect("an engine");
        let built_in = understudy_plugins::find(name).expect("a built-in plugin");
        let component = Component::new(&engine, built_in.component()).expect("a component");
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let linker = Linker::new(&engine);
        let instance = ProviderPlugin::instantiate_async(&mut store, &component, &linker).await.expect("an instance");
        Self { store, instance }
    }

    pub(crate) async fn start(&mut self, request: &wit::CreateMessageRequest, options: &wit::Options) -> wit::Step {
        let provider = self.instance.understudy_plugin_provider();
        provider.call_start(&mut self.store, request, options).await.expect("no trap").expect("a step")
    }

    pub(crate) async fn resume(&mut self, state: &[u8], response: &wit::HttpResponse) -> wit::Step {
        let provider = self.instance.understudy_plugin_provider();
        provider.call_resume(&mut self.store, state, response).await.expect("no trap").expect("a step")
    }
}
