//! Which plugin and which model to ask. Pure.
//!
//! The server's hints come first, in order: each is looked for in the catalogues of all plugins of the chain, so a hint may
//! choose the plugin. With no match the first plugin of the chain decides: by the config's thresholds, else by weighing the three
//! priorities, else by its default. The other plugins stay in the chain behind it, each with its own choice.
//!
//! A server's wishes spend the user's money, so they choose no model that costs more than the plugin's default, unless the config says which
//! models may be used (`allowedModels`, `models`) or what a hint stands for (`aliases`, `hints`).

use crate::config::{self, Comparison, Models, Priority, Threshold};
use crate::wit::understudy::plugin::types as wit;

/// A plugin's models and how one is chosen.
#[derive(Debug, Clone)]
pub struct Catalogue {
    models: Vec<CatalogueModel>,
    default: Option<String>,
    rules: Models,
    /// What a model may cost that a server's wishes choose.
    ceiling: f64,
    /// The plugin's name in the config.
    plugin: String,
}

#[derive(Debug, Clone)]
struct CatalogueModel {
    name: String,
    families: Vec<String>,
    cost: f64,
    speed: f64,
    intelligence: f64,
}

/// A plugin of the chain, the model to ask, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The plugin's place in the chain.
    pub plugin: usize,
    /// The model; empty if neither config nor plugin names any.
    pub model: String,
    /// The reason, in words.
    pub why: String,
    /// A dearer model that the server wished for and doesn't get, in words.
    pub dearer: Option<String>,
}

/// What a hint finds.
enum HintMatch {
    /// A model, and why.
    Model(String, String),
    /// Only models that cost too much; the first of them.
    Dearer(String),
    Nothing,
}

impl Catalogue {
    /// The catalogue by the config: its `models`; else only its `model`, if it names one; else the plugin's own. Less what
    /// `allowedModels` doesn't allow.
    #[must_use]
    pub fn new(config: &config::PluginConfig, description: &wit::Description) -> Self {
        let rules = config.models.clone();
        let described = |name: &str| description.models.iter().find(|model| model.name == name);
        let mut models: Vec<CatalogueModel> = match (&rules.catalogue, &config.model) {
            (own, _) if !own.is_empty() => {
                own.iter().map(|own| CatalogueModel::new(own, described(&own.name))).collect()
            }
            (_, Some(only)) if rules == Models::default() => {
                let only = config::ModelConfig { name: only.clone(), ..config::ModelConfig::default() };
                vec![CatalogueModel::new(&only, described(&only.name))]
            }
            _ => description.models.iter().map(CatalogueModel::described).collect(),
        };
        let allowed = |name: &str| rules.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|a| a == name));
        models.retain(|model| allowed(&model.name));
        let default = config.model.clone().or_else(|| description.default_model.clone());
        let known = |name: &String| rules.catalogue.is_empty() || models.iter().any(|model| model.name == *name);
        let default = default.filter(|name| allowed(name) && (config.model.is_some() || known(name)));
        let default = default.or_else(|| Some(models.first()?.name.clone())).or_else(|| rules.allowed.clone()?.pop());
        let ceiling = ceiling(&rules, &models, default.as_deref());
        Self { models, default, rules, ceiling, plugin: config.name.clone() }
    }

    /// The names of the models.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| model.name.as_str())
    }

    fn allows(&self, name: &str) -> bool {
        self.rules.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|a| a == name))
    }

    fn by_hint(&self, hint: &str) -> HintMatch {
        let lower = hint.to_lowercase();
        let alias = self.rules.aliases.iter().find(|(from, _)| lower.contains(&from.to_lowercase()));
        if let Some((from, model)) = alias.filter(|(_, model)| self.allows(model)) {
            return HintMatch::Model(model.clone(), format!("the hint `{hint}` fits the alias `{from}`"));
        }
        if self.rules.verbatim && self.allows(hint) {
            return HintMatch::Model(hint.to_owned(), format!("the hint `{hint}` is taken verbatim"));
        }
        let fits = |name: &str| name.to_lowercase().contains(&lower);
        let mut dearer = None;
        for model in &self.models {
            let why = if fits(&model.name) {
                format!("the hint `{hint}` is part of its name")
            } else if let Some(family) = model.families.iter().find(|family| fits(family)) {
                format!("the hint `{hint}` is part of its family `{family}`")
            } else {
                continue;
            };
            if model.cost <= self.ceiling {
                return HintMatch::Model(model.name.clone(), why);
            }
            dearer.get_or_insert(&model.name);
        }
        dearer.map_or(HintMatch::Nothing, |name| HintMatch::Dearer(self.in_words(&format!("the hint `{hint}`"), name)))
    }

    /// Why a dearer model isn't chosen.
    fn in_words(&self, wish: &str, model: &str) -> String {
        let (wish, plugin) = (crate::text::one_line(wish, 120), &self.plugin);
        format!(
            "{wish} would choose `{model}`, which costs more than the default; `plugins.{plugin}.allowedModels` allows it"
        )
    }

    /// The model, why, and the dearer one that it would be otherwise.
    fn without_hint(&self, preferences: Option<&wit::ModelPreferences>) -> (String, String, Option<String>) {
        let priority = |which: Priority| {
            preferences.and_then(|p| match which {
                Priority::Cost => p.cost_priority,
                Priority::Speed => p.speed_priority,
                Priority::Intelligence => p.intelligence_priority,
            })
        };
        let threshold = self.rules.thresholds.iter().find(|t| holds(t, &priority) && self.allows(&t.model));
        if let Some(threshold) = threshold {
            return (threshold.model.clone(), format!("`{}` holds", threshold.text), None);
        }
        let [cost, speed, intelligence] =
            [Priority::Cost, Priority::Speed, Priority::Intelligence].map(|which| priority(which).unwrap_or_default());
        if self.rules.thresholds.is_empty() && cost + speed + intelligence > 0.0 {
            let score = |m: &CatalogueModel| cost * (1.0 - m.cost) + speed * m.speed + intelligence * m.intelligence;
            // Of equals the first.
            let best = |most: f64| {
                let affordable = self.models.iter().rev().filter(|model| model.cost <= most);
                affordable.max_by(|a, b| score(a).total_cmp(&score(b)))
            };
            if let Some(best) = best(self.ceiling) {
                let first = self.models.iter().rev().max_by(|a, b| score(a).total_cmp(&score(b)));
                let wish = "the server's priorities";
                let dearer =
                    first.filter(|first| first.cost > self.ceiling).map(|first| self.in_words(wish, &first.name));
                let why = format!(
                    "it scores best, {:.2}, by cost {cost}, speed {speed}, intelligence {intelligence}",
                    score(best)
                );
                return (best.name.clone(), why, dearer);
            }
        }
        match &self.default {
            Some(default) => (default.clone(), "it is the default".to_owned(), None),
            None => (String::new(), "neither the config nor the plugin names a model".to_owned(), None),
        }
    }
}

/// What a model may cost that a server's wishes choose: as much as the default, unless the config says which there are. Of a default that nobody
/// describes the cost isn't known: then as much as the cheapest.
fn ceiling(rules: &Models, models: &[CatalogueModel], default: Option<&str>) -> f64 {
    if rules.allowed.is_some() || !rules.catalogue.is_empty() {
        return f64::INFINITY;
    }
    let of_default = models.iter().find(|model| default == Some(model.name.as_str())).map(|model| model.cost);
    let cheapest = || models.iter().map(|model| model.cost).min_by(f64::total_cmp);
    of_default.or_else(cheapest).unwrap_or_default()
}

impl CatalogueModel {
    fn described(model: &wit::Model) -> Self {
        Self {
            name: model.name.clone(),
            families: model.families.clone(),
            cost: model.cost,
            speed: model.speed,
            intelligence: model.intelligence,
        }
    }

    /// As the config says, else as the plugin describes it, else in the middle.
    fn new(own: &config::ModelConfig, described: Option<&wit::Model>) -> Self {
        let middle = |own: Option<f64>, described: Option<f64>| own.or(described).unwrap_or(0.5);
        let families = own.families.iter().chain(described.iter().flat_map(|model| &model.families)).cloned();
        Self {
            name: own.name.clone(),
            families: families.collect(),
            cost: middle(own.cost, described.map(|model| model.cost)),
            speed: middle(own.speed, described.map(|model| model.speed)),
            intelligence: middle(own.intelligence, described.map(|model| model.intelligence)),
        }
    }
}

fn holds(threshold: &Threshold, priority: &impl Fn(Priority) -> Option<f64>) -> bool {
    threshold.when.iter().all(|condition| {
        let Some(value) = priority(condition.priority) else { return false };
        match condition.comparison {
            Comparison::Above => value > condition.value,
            Comparison::AtLeast => value >= condition.value,
            Comparison::Below => value < condition.value,
            Comparison::AtMost => value <= condition.value,
        }
    })
}

/// The chain in the order in which to ask, each with its model.
#[must_use]
pub fn choose(chain: &[&Catalogue], preferences: Option<&wit::ModelPreferences>) -> Vec<Choice> {
    let hints: Vec<&str> = preferences
        .iter()
        .flat_map(|p| &p.hints)
        .filter_map(|hint| hint.name.as_deref())
        .filter(|hint| !hint.trim().is_empty())
        .collect();
    let of_one = |plugin: usize, catalogue: &Catalogue| {
        let mut passed = None;
        for hint in &hints {
            match catalogue.by_hint(hint) {
                HintMatch::Model(model, why) => return Choice { plugin, model, why, dearer: passed },
                HintMatch::Dearer(words) => passed = passed.or(Some(words)),
                HintMatch::Nothing => {}
            }
        }
        let (model, why, dearer) = catalogue.without_hint(preferences);
        Choice { plugin, model, why, dearer: passed.or(dearer) }
    };
    let mut choices: Vec<Choice> =
        chain.iter().enumerate().map(|(plugin, catalogue)| of_one(plugin, catalogue)).collect();
    let finds = |catalogue: &&Catalogue, hint: &str| matches!(catalogue.by_hint(hint), HintMatch::Model(..));
    let hinted = hints.iter().find_map(|hint| chain.iter().position(|catalogue| finds(catalogue, hint)));
    if let Some(first) = hinted {
        let chosen = choices.remove(first);
        choices.insert(0, chosen);
    }
    choices
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn description(models: &[(&str, &[&str], [f64; 3])], default: Option<&str>) -> wit::Description {
        let models = models.iter().map(|(name, families, [cost, speed, intelligence])| wit::Model {
            name: (*name).to_owned(),
            families: families.iter().map(ToString::to_string).collect(),
            cost: *cost,
            speed: *speed,
            intelligence: *intelligence,
            context_tokens: None,
            max_output_tokens: None,
            extensions: String::new(),
        });
        wit::Description {
            name: String::new(),
            version: String::new(),
            summary: String::new(),
            accepts: Vec::new(),
            models: models.collect(),
            default_model: default.map(str::to_owned),
            endpoint: None,
            credential: None,
            settings_schema: String::new(),
            extensions: String::new(),
        }
    }

    /// Two plugins' worth of models.
    fn claude() -> wit::Description {
        let models: [(&str, &[&str], [f64; 3]); 2] =
            [("claude-large-1", &["opus"], [0.9, 0.3, 0.9]), ("claude-small-1", &["haiku"], [0.1, 0.9, 0.4])];
        description(&models, Some("claude-small-1"))
    }

    fn gpt() -> wit::Description {
        description(&[("gpt-big", &[], [0.8, 0.4, 0.8]), ("gpt-mini", &[], [0.1, 0.8, 0.5])], Some("gpt-mini"))
    }

    fn catalogue(extra: &str, description: &wit::Description) -> Catalogue {
        let text = format!(r#"{{"plugins": {{"p": {{"component": "builtin:echo"{extra}}}}}}}"#);
        let config = Config::parse(&text, Path::new("c")).unwrap();
        Catalogue::new(&config.plugin("p", |_| None).unwrap(), description)
    }

    fn preferences(hints: &[&str], [cost, speed, intelligence]: [Option<f64>; 3]) -> wit::ModelPreferences {
        let hint = |name: &&str| wit::ModelHint { name: Some((*name).to_owned()), extensions: None };
        wit::ModelPreferences {
            hints: hints.iter().map(hint).collect(),
            cost_priority: cost,
            speed_priority: speed,
            intelligence_priority: intelligence,
            extensions: None,
        }
    }

    fn hinted(hints: &[&str]) -> wit::ModelPreferences {
        preferences(hints, [None; 3])
    }

    fn first(chain: &[&Catalogue], preferences: &wit::ModelPreferences) -> (usize, String) {
        let choice = choose(chain, Some(preferences)).remove(0);
        (choice.plugin, choice.model)
    }

    #[test]
    fn hints_are_tried_in_order_over_the_whole_chain_and_may_choose_the_plugin() {
        let (gpt, claude) = (catalogue("", &gpt()), catalogue("", &claude()));
        let chain = [&gpt, &claude];
        // Of two that fit, the one that costs no more than the default.
        assert_eq!(first(&chain, &hinted(&["unknown", "Claude", "gpt"])), (1, "claude-small-1".to_owned()));
        assert_eq!(first(&chain, &hinted(&["HAIKU"])), (1, "claude-small-1".to_owned()));
        assert_eq!(first(&chain, &hinted(&["unknown", " "])), (0, "gpt-mini".to_owned()));
        // The others stay behind the chosen one, each with its own choice.
        let all = choose(&chain, Some(&hinted(&["haiku"])));
        assert_eq!(
            all.iter().map(|c| (c.plugin, c.model.as_str())).collect::<Vec<_>>(),
            [(1, "claude-small-1"), (0, "gpt-mini")]
        );
        assert_eq!(choose(&chain, None)[0].why, "it is the default");
    }

    #[test]
    fn no_wish_of_a_servers_chooses_a_dearer_model_than_the_default_unless_the_config_says_so() {
        let opus = || preferences(&["opus"], [None, None, Some(1.0)]);
        let plain = catalogue("", &claude());
        let choice = choose(&[&plain], Some(&opus())).remove(0);
        assert_eq!(choice.model, "claude-small-1");
        let dearer = choice.dearer.unwrap();
        assert!(
            dearer.contains("the hint `opus` would choose `claude-large-1`")
                && dearer.contains("`plugins.p.allowedModels`")
        );
        let prefers = preferences(&[], [None, None, Some(1.0)]);
        let choice = choose(&[&plain], Some(&prefers)).remove(0);
        assert_eq!(choice.model, "claude-small-1");
        assert!(choice.dearer.unwrap().contains("priorities would choose `claude-large-1`"));
        // The next hint is as good.
        assert_eq!(first(&[&plain], &hinted(&["opus", "haiku"])).1, "claude-small-1");
        for config in [
            r#", "allowedModels": ["claude-small-1", "claude-large-1"]"#,
            r#", "models": ["claude-small-1", "claude-large-1"]"#,
            r#", "aliases": {"opus": "claude-large-1"}"#,
            r#", "model": "claude-large-1", "hints": "catalogue""#,
        ] {
            assert_eq!(first(&[&catalogue(config, &claude())], &hinted(&["opus"])).1, "claude-large-1", "{config}");
        }
        // A hint doesn't lead to a plugin of the chain for the sake of a model that it doesn't get.
        let gpt = catalogue("", &gpt());
        assert_eq!(first(&[&gpt, &plain], &hinted(&["opus"])), (0, "gpt-mini".to_owned()));
        // Of a default that nobody describes the cost isn't known.
        let unknown = catalogue(r#", "model": "new", "aliases": {"x": "new"}"#, &claude());
        assert_eq!(first(&[&unknown], &hinted(&["opus"])).1, "new");
        assert_eq!(first(&[&unknown], &hinted(&["haiku"])).1, "claude-small-1");
    }

    #[test]
    fn priorities_weigh_the_first_plugins_models() {
        let allowed = |names: &str| format!(r#", "allowedModels": [{names}]"#);
        let gpt = catalogue(&allowed(r#""gpt-big", "gpt-mini""#), &gpt());
        let claude = catalogue("", &claude());
        let chain = [&gpt, &claude];
        let weighed = |priorities| first(&chain, &preferences(&[], priorities)).1;
        assert_eq!(weighed([None, None, Some(1.0)]), "gpt-big");
        assert_eq!(weighed([Some(1.0), None, Some(0.2)]), "gpt-mini");
        assert_eq!(weighed([None, Some(1.0), None]), "gpt-mini");
        assert_eq!(weighed([Some(0.0); 3]), "gpt-mini");
    }

    #[test]
    fn the_configs_model_is_the_only_one_unless_it_lists_more() {
        let only = catalogue(r#", "model": "claude-large-1""#, &claude());
        assert_eq!(first(&[&only], &hinted(&["haiku"])).1, "claude-large-1");
        // Its families are known, so a hint still finds the plugin.
        assert_eq!(first(&[&catalogue("", &gpt()), &only], &hinted(&["opus"])), (1, "claude-large-1".to_owned()));
        let listed =
            catalogue(r#", "model": "b", "models": ["a", {"name": "b", "families": ["x"], "speed": 1}]"#, &claude());
        assert_eq!(listed.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(first(&[&listed], &hinted(&["none"])).1, "b");
        assert_eq!(first(&[&listed], &hinted(&["x", "a"])).1, "b");
    }

    #[test]
    fn aliases_map_a_hint_to_an_equivalent() {
        let claude = catalogue(r#", "aliases": {"gpt-4": "claude-large-1"}"#, &claude());
        assert_eq!(first(&[&claude], &hinted(&["GPT-4o"])).1, "claude-large-1");
    }

    #[test]
    fn only_allowed_models_are_used() {
        let claude = catalogue(r#", "allowedModels": ["claude-large-1"], "hints": "verbatim""#, &claude());
        for hints in [vec!["haiku"], vec!["something-else"], vec![]] {
            assert_eq!(first(&[&claude], &hinted(&hints)).1, "claude-large-1", "{hints:?}");
        }
    }

    /// The callback in mcp-use's documentation: the first hint as it stands; else intelligence over 0.8, else speed over 0.8; else
    /// the default.
    #[test]
    fn the_callback_of_mcp_uses_documentation_can_be_written_down() {
        let config = r#", "model": "default-model", "hints": "verbatim", "models": [
            {"when": "intelligence > 0.8", "use": "gpt-4"}, {"when": "speed > 0.8", "use": "gpt-5.5-mini"}]"#;
        let gpt = catalogue(config, &gpt());
        let chosen = |hints: &[&str], priorities| first(&[&gpt], &preferences(hints, priorities)).1;
        assert_eq!(chosen(&["my-model", "other"], [None, None, Some(0.9)]), "my-model");
        assert_eq!(chosen(&[], [None, Some(0.9), Some(0.9)]), "gpt-4");
        assert_eq!(chosen(&[], [None, Some(0.9), Some(0.8)]), "gpt-5.5-mini");
        assert_eq!(chosen(&[], [Some(1.0), Some(0.8), Some(0.8)]), "default-model");
        assert_eq!(chosen(&[], [None; 3]), "default-model");
    }
}
