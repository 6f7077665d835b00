//! Which model to ask. Pure.

use crate::plugin::bindings::understudy::plugin::types as wit;

/// The model: the one that the config names; else the first of the server's hints, in order, that is a substring of the name or a
/// family of a model in the plugin's catalogue; else the plugin's default; else none.
#[must_use]
pub fn model(
    configured: Option<&str>,
    description: &wit::Description,
    preferences: Option<&wit::ModelPreferences>,
) -> String {
    if let Some(model) = configured {
        return model.to_owned();
    }
    let hints = preferences.iter().flat_map(|p| &p.hints).filter_map(|hint| hint.name.as_deref());
    for hint in hints.map(str::to_lowercase).filter(|hint| !hint.is_empty()) {
        let fits = |name: &String| name.to_lowercase().contains(&hint);
        let found = description.models.iter().find(|model| fits(&model.name) || model.families.iter().any(fits));
        if let Some(model) = found {
            return model.name.clone();
        }
    }
    description.default_model.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(models: &[(&str, &[&str])]) -> wit::Description {
        let models = models.iter().map(|(name, families)| wit::Model {
            name: (*name).to_owned(),
            families: families.iter().map(ToString::to_string).collect(),
            cost: 0.5,
            speed: 0.5,
            intelligence: 0.5,
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
            default_model: Some("middle".to_owned()),
            endpoint: None,
            credential: None,
            settings_schema: String::new(),
            extensions: String::new(),
        }
    }

    fn hints(names: &[&str]) -> wit::ModelPreferences {
        let hint = |name: &&str| wit::ModelHint { name: Some((*name).to_owned()), extensions: None };
        wit::ModelPreferences {
            hints: names.iter().map(hint).collect(),
            cost_priority: None,
            speed_priority: None,
            intelligence_priority: None,
            extensions: None,
        }
    }

    #[test]
    fn hints_are_tried_in_order_as_substrings_of_names_and_families() {
        let catalogue = description(&[("large-1", &["big"]), ("small-1", &[])]);
        let chosen = |names: &[&str]| model(None, &catalogue, Some(&hints(names)));
        assert_eq!(chosen(&["unknown", "SMALL", "large"]), "small-1");
        assert_eq!(chosen(&["big"]), "large-1");
        assert_eq!(chosen(&["unknown", ""]), "middle");
        assert_eq!(model(None, &catalogue, None), "middle");
        assert_eq!(model(Some("mine"), &catalogue, Some(&hints(&["large"]))), "mine");
    }
}
