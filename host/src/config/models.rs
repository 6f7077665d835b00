//! What the config says of a plugin's models.

use serde_json::Value;

use super::ConfigError;
use super::section::{Section, wrong};

/// What a plugin's models are and how one is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Models {
    /// The catalogue: in the place of the plugin's own if it isn't empty.
    pub catalogue: Vec<ModelConfig>,
    /// Thresholds, in order: in the place of weighing priorities.
    pub thresholds: Vec<Threshold>,
    /// The only models that may be used.
    pub allowed: Option<Vec<String>>,
    /// What a hint means here: a substring of the hint, and the model.
    pub aliases: Vec<(String, String)>,
    /// Whether a hint is the model's name as it stands.
    pub verbatim: bool,
}

/// A model of the catalogue; absent values are those of the plugin's description.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// The provider's name for it.
    pub name: String,
    /// Other names by which a hint finds it.
    pub families: Vec<String>,
    /// 0 to 1.
    pub cost: Option<f64>,
    /// 0 to 1.
    pub speed: Option<f64>,
    /// 0 to 1.
    pub intelligence: Option<f64>,
}

/// `{"when": "intelligence > 0.8", "use": "large"}`
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// As it was written.
    pub text: String,
    /// The model.
    pub model: String,
}

/// One comparison of a priority.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Which.
    pub priority: Priority,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: f64,
}

/// MCP's three priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// `costPriority`
    Cost,
    /// `speedPriority`
    Speed,
    /// `intelligencePriority`
    Intelligence,
}

/// How a priority is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Models {
    /// Takes the keys `models`, `allowedModels`, `aliases` and `hints` of a plugin.
    pub(super) fn take(section: &mut Section) -> Result<Self, ConfigError> {
        let mut models = Self {
            allowed: section.strings("allowedModels")?,
            aliases: section.texts("aliases")?,
            verbatim: match section.string("hints")?.as_deref() {
                None | Some("catalogue") => false,
                Some("verbatim") => true,
                Some(_) => return Err(section.wrong("hints", "must be `catalogue` (the default) or `verbatim`")),
            },
            ..Self::default()
        };
        let path = section.key("models");
        let items = match section.take("models") {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong(&path, "must be an array of names, models and thresholds")),
        };
        for (i, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{i}]");
            match item {
                Value::String(name) => models.catalogue.push(ModelConfig { name, ..ModelConfig::default() }),
                item => models.add(Section::of(&path, item)?)?,
            }
        }
        Ok(models)
    }

    fn add(&mut self, mut section: Section) -> Result<(), ConfigError> {
        let (name, when, model) = (section.string("name")?, section.string("when")?, section.string("use")?);
        match (name, when, model) {
            (Some(name), None, None) => {
                let families = section.strings("families")?.unwrap_or_default();
                let (cost, speed) = (section.share("cost")?, section.share("speed")?);
                let intelligence = section.share("intelligence")?;
                self.catalogue.push(ModelConfig { name, families, cost, speed, intelligence });
            }
            (None, Some(text), Some(model)) => {
                let when = text.split(" and ").map(condition).collect::<Option<_>>().ok_or_else(|| {
                    section.wrong(
                        "when",
                        "must compare `cost`, `speed` or `intelligence`, as in `intelligence > 0.8 and speed <= 0.5`",
                    )
                })?;
                self.thresholds.push(Threshold { when, text, model });
            }
            _ => {
                return Err(section.wrong(
                    "name",
                    "is missing: an entry is a model with `name`, or a threshold with `when` and `use`",
                ));
            }
        }
        section.finish()
    }
}

fn condition(text: &str) -> Option<Condition> {
    let mut words = text.split_whitespace();
    let priority = match words.next()? {
        "cost" => Priority::Cost,
        "speed" => Priority::Speed,
        "intelligence" => Priority::Intelligence,
        _ => return None,
    };
    let comparison = match words.next()? {
        ">" => Comparison::Above,
        ">=" => Comparison::AtLeast,
        "<" => Comparison::Below,
        "<=" => Comparison::AtMost,
        _ => return None,
    };
    let value = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Condition { priority, comparison, value })
}
