//! What a component returns, as the canonical ABI has it: numbers, pointers, lengths, lists that lie on one another, text that is none.

mod image;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use tokio::runtime::Runtime;
use understudy::config::{self, Config};
use understudy::error::Error;
use understudy::outbound::{Http, ProviderClient};
use understudy::sampling::{ConfiguredPlugin, Costs};
use understudy::sandbox::{Engine, Plugin};
use understudy::select::{Catalogue, choose};
use understudy::wit::streaming::exports::understudy::plugin::streaming::{Event, StreamingStep};
use understudy::wit::understudy::plugin::types::{Completion, Fetch, HttpResponse, ModelHint, ModelPreferences, Step};

use crate::{sampling, seed};

/// The built-in plugin whose component is taken: one that streams.
static SHELL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let ollama = understudy_plugins::find("ollama").unwrap_or_else(|| panic!("there is no built-in plugin `ollama`"));
    ollama.component()
});

/// Where nobody listens: no user may bind this port, and nothing does.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Where the guest's memory holds what it returns.
const BASE: u32 = 1024;

/// A byte of the input: which function returns the rest.
const NEXT: u8 = 0x01;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(crate::runtime);
static MODULE: LazyLock<Vec<u8>> =
    LazyLock::new(|| wat::parse_str(include_str!("guest.wat")).unwrap_or_else(|e| panic!("{e}")));
static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| Engine::new(None).unwrap_or_else(|e| panic!("{e}")));
static GUEST: LazyLock<ConfiguredPlugin> = LazyLock::new(|| {
    let config = configured();
    understudy(load(&MODULE, &config).unwrap_or_else(|e| panic!("{e}")), &config)
});
static HTTP: LazyLock<Http> = LazyLock::new(Http::default);

/// What the config says of the guest: limits that keep an input short.
fn configured() -> config::PluginConfig {
    let component = std::env::temp_dir().join(format!("understudy-fuzz-{}.wasm", std::process::id()));
    let limits =
        serde_json::json!({ "memory": "4 MiB", "state": "8 KiB", "requestBody": "8 KiB", "responseBody": "8 KiB" });
    let plugin = serde_json::json!({ "component": component, "endpoint": NOWHERE, "endpoints": { "a": NOWHERE }, "limits": limits });
    let config = serde_json::json!({ "plugins": { "guest": plugin } });
    let config = Config::parse(&config.to_string(), Path::new("understudy.json"));
    let plugin = config.and_then(|config| config.plugin("guest", |_| None));
    plugin.unwrap_or_else(|e| panic!("{e}"))
}

/// Loads a component: the shell with this module in it.
fn load(module: &[u8], config: &config::PluginConfig) -> Result<Plugin, understudy::error::LoadError> {
    std::fs::write(&config.component, image::with_module(&SHELL, module)).unwrap_or_else(|e| panic!("{e}"));
    let plugin = RUNTIME.block_on(Plugin::load(Arc::clone(&ENGINE), config));
    // What is left behind is in the temporary folder.
    let _ = std::fs::remove_file(&config.component);
    plugin
}

/// The plugin with all that belongs to it.
fn understudy(plugin: Plugin, config: &config::PluginConfig) -> ConfiguredPlugin {
    let provider_client = ProviderClient::new(config, &plugin.description, |_| None).unwrap_or_else(|e| panic!("{e}"));
    let catalogue = Catalogue::new(config, &plugin.description);
    ConfiguredPlugin { plugin, provider_client, catalogue, costs: Costs::default(), settings: "{}".to_owned() }
}

/// Returns the input as the result of `resume` or `next`, and does with it what the host does.
pub fn returned(input: &[u8]) {
    let [how, status, image @ ..] = input else { return };
    let plugin = &GUEST.plugin;
    RUNTIME.block_on(async {
        let outcome = if how & NEXT == 0 {
            let response = HttpResponse {
                status: u16::from(*status),
                headers: Vec::new(),
                body: Vec::new(),
                extensions: String::new(),
            };
            match plugin.resume(&Bytes::copy_from_slice(image), response).await {
                Ok(Step::Done(completion)) => answered(completion),
                Ok(Step::Fetch(fetch)) => fetched(fetch).await,
                Err(error) => Err(error),
            }
        } else {
            match plugin.next(Bytes::copy_from_slice(image), vec![Event::Closed]).await {
                Ok(StreamingStep::More(_)) => Ok(()),
                Ok(StreamingStep::Done(completion)) => answered(completion),
                Ok(StreamingStep::Fetch(fetch)) => fetched(fetch).await,
                Err(error) => Err(error),
            }
        };
        if let Err(error) = outcome {
            crate::check_words(&error.to_string());
            assert!(error.code() < 0);
        }
    });
}

/// What the server would get, with tools and without.
fn answered(completion: Completion) -> Result<(), Error> {
    let tools = ["look".to_owned()];
    let with_tools = GUEST.finish(completion.clone(), Some(&tools)).map(|result| sampling::check(&result, true));
    let without = GUEST.finish(completion, None).map(|result| sampling::check(&result, false));
    if let Err(error) = &with_tools {
        crate::check_words(&error.to_string());
    }
    without
}

/// What the guest wants to be sent goes nowhere, or to the endpoint that it has.
async fn fetched(mut fetch: Fetch) -> Result<(), Error> {
    let ConfiguredPlugin { plugin, provider_client, .. } = &*GUEST;
    plugin.check(&fetch)?;
    let body = Bytes::from(std::mem::take(&mut fetch.request.body));
    let error = match provider_client.exchange(&HTTP, &fetch, body).await {
        Ok(answer) => panic!("somebody answered {:?}: {answer:?}", fetch.request),
        Err(error) => error,
    };
    match &error {
        Error::Refused { .. } => {}
        Error::Unreachable { origin, .. } => assert_eq!(origin, NOWHERE),
        other => panic!("{other:?}"),
    }
    Err(error)
}

/// Returns the input as the result of `describe`, and does with it what the host does.
pub fn described(image: &[u8]) {
    let config = configured();
    let plugin = match load(&image::with_data(&MODULE, 512, image), &config) {
        Ok(plugin) => plugin,
        Err(error) => return crate::check_words(&error.to_string()),
    };
    let link = understudy(plugin, &config);
    let _ = link.troubles();
    let hint = |name: &str| ModelHint { name: Some(name.to_owned()), extensions: None };
    let preferences = ModelPreferences {
        hints: vec![hint("a"), hint("\u{df}")],
        cost_priority: Some(0.5),
        speed_priority: Some(1.0),
        intelligence_priority: None,
        extensions: None,
    };
    for preferences in [None, Some(&preferences)] {
        assert_eq!(choose(&[&link.catalogue], preferences).len(), 1);
    }
    // Whatever the component suggests, the config's endpoint is the one, and it gets no credential.
    assert_eq!(link.provider_client.endpoint(), Ok(format!("{NOWHERE}/")));
    assert!(link.provider_client.credential().is_none());
}

/// Seeds: an answer of each kind of block, an exchange, each error; and the step of a stream that goes on.
pub fn result_seeds() {
    for (name, image) in image::results(BASE) {
        seed(&format!("resume-{name}"), &[&[0, 0], image.as_slice()].concat());
        seed(&format!("next-{name}"), &[&[NEXT, 0], image::step_of_a_stream(&image).as_slice()].concat());
    }
    seed("next-more", &[&[NEXT, 0], image::more(BASE).as_slice()].concat());
}

/// Seeds: a description with models, an endpoint and a credential.
pub fn description_seeds() {
    seed("description", &image::description(512));
}
