//! What a plugin's provider counts and charges.

use std::sync::OnceLock;

use serde_json::Value;

use crate::builtins::PRICES;
use crate::config::{self, PluginConfig};
use crate::ledger::Charge;
use crate::outbound::ProviderClient;
use crate::outbound::origin;
use crate::price::{Price, Tokens};
use crate::wit::understudy::plugin::types as wit;

/// The name that stands for any model.
const ANY: &str = "*";

/// What a plugin's provider counts and charges.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// The config's prices, by model.
    configured: Vec<(String, Price)>,
    /// The built-in that it is, at its provider's own endpoint: its prices are known.
    built_in: Option<String>,
    /// Those prices, read when they are needed first.
    known: OnceLock<Vec<(String, Price)>>,
    /// Whether it asks nobody.
    is_free: bool,
    /// Where in a usage's details the parts of the counts are (JSON pointers).
    parts: Parts,
}

/// `usage` in the extensions of a plugin's description.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parts {
    cache_read: Vec<String>,
    cache_write: Vec<String>,
    reasoning: Vec<String>,
}

impl Costs {
    /// Those of a plugin with this configuration. `makes_requests`: it is a handler, and asks by itself.
    pub(super) fn new(
        config: &PluginConfig,
        description: &wit::Description,
        client: &ProviderClient,
        makes_requests: bool,
    ) -> Self {
        let suggested = description.endpoint.as_ref().and_then(|endpoint| origin::of_url(&endpoint.url));
        let is_at_home = suggested.is_some() && suggested.as_deref() == client.origin();
        let built_in = config.built_in().filter(|_| is_at_home).map(str::to_owned);
        let extensions: Value = serde_json::from_str(&description.extensions).unwrap_or_default();
        let parts = extensions.get("usage").and_then(|parts| serde_json::from_value(parts.clone()).ok());
        let is_free = !makes_requests && description.endpoint.is_none() && client.origin().is_none();
        let configured = config.prices.clone();
        Self { configured, built_in, known: OnceLock::new(), is_free, parts: parts.unwrap_or_default() }
    }

    /// The price of a model, if it is known.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<Price> {
        let known = self.known.get_or_init(|| self.built_in.as_deref().map(known).unwrap_or_default());
        let of = |name: &str| self.configured.iter().chain(known).find(|(own, _)| own == name).map(|(_, price)| *price);
        of(model).or_else(|| of(ANY)).or_else(|| self.is_free.then_some(Price::FREE))
    }

    /// What a plugin's exchanges have cost: what its answer says, if there is one. `may_have_cost`: its provider was asked, and hasn't refused.
    pub(super) fn charge(&self, answer: Option<&wit::Completion>, may_have_cost: bool) -> Charge {
        match answer.and_then(|answer| self.tokens(answer.usage.as_ref()?)) {
            Some(tokens) => Charge::Counted(tokens),
            None if may_have_cost => Charge::Unknown,
            None => Charge::Nothing,
        }
    }

    /// The tokens of a usage; `None` if the provider hasn't counted both input and output.
    #[must_use]
    pub fn tokens(&self, usage: &wit::Usage) -> Option<Tokens> {
        let (input, output) = (usage.input_tokens?, usage.output_tokens?);
        let details: Value = serde_json::from_str(&usage.details).unwrap_or_default();
        let part = |pointers: &[String]| {
            pointers.iter().find_map(|pointer| details.pointer(pointer)?.as_u64()).unwrap_or_default()
        };
        let Parts { cache_read, cache_write, reasoning } = &self.parts;
        Some(Tokens {
            input,
            cache_read: part(cache_read),
            cache_write: part(cache_write),
            output,
            reasoning: part(reasoning),
        })
    }
}

/// The known prices of a built-in's models.
fn known(built_in: &str) -> Vec<(String, Price)> {
    let table: Value = serde_json::from_str(PRICES).unwrap_or_default();
    let models = table.get("models").and_then(|models| models.get(built_in)).and_then(Value::as_object);
    let read = |(model, price): (&String, &Value)| Some((model.clone(), config::price(model, price.clone()).ok()?));
    models.into_iter().flatten().filter_map(read).collect()
}

#[cfg(all(test, feature = "builtins"))]
mod tests {
    use super::*;

    #[test]
    fn every_known_price_can_be_read() {
        let table: Value = serde_json::from_str(PRICES).unwrap();
        for (plugin, models) in table["models"].as_object().unwrap() {
            assert_eq!(known(plugin).len(), models.as_object().unwrap().len(), "{plugin}");
            assert!(table["sources"][plugin].is_string(), "{plugin}");
        }
    }

    #[test]
    fn the_config_is_asked_first_and_a_star_last() {
        let free = Price::FREE;
        let dear = config::price("p", serde_json::json!({"input": "$1", "output": "$1"})).unwrap();
        let costs = Costs {
            configured: vec![("a".to_owned(), dear), (ANY.to_owned(), free)],
            known: vec![("a".to_owned(), free), ("c".to_owned(), dear)].into(),
            ..Costs::default()
        };
        assert_eq!([costs.price("a"), costs.price("b"), costs.price("c")], [Some(dear), Some(free), Some(dear)]);
        assert_eq!(Costs::default().price("a"), None);
        assert_eq!(Costs { is_free: true, ..Costs::default() }.price("a"), Some(free));
    }

    #[test]
    fn parts_of_the_counts_are_where_the_plugin_says() {
        let parts = Parts { cache_read: vec!["/x".to_owned(), "/a/b".to_owned()], ..Parts::default() };
        let costs = Costs { parts, ..Costs::default() };
        let usage = |input, details: &str| wit::Usage {
            input_tokens: input,
            output_tokens: Some(2),
            details: details.to_owned(),
        };
        let tokens = costs.tokens(&usage(Some(10), r#"{"a":{"b":7}}"#)).unwrap();
        assert_eq!((tokens.input, tokens.cache_read, tokens.output), (10, 7, 2));
        assert_eq!(costs.tokens(&usage(Some(10), "nonsense")).unwrap().cache_read, 0);
        assert_eq!(costs.tokens(&usage(None, "{}")), None);
    }
}
