//! Variables in the config's strings.

use serde_json::Value;

use super::ConfigError;
use super::section::wrong;

/// Expands every string inside a value.
pub(super) fn value(key: &str, value: Value, env: &impl Fn(&str) -> Option<String>) -> Result<Value, ConfigError> {
    Ok(match value {
        Value::String(text) => Value::String(string(key, &text, env)?),
        Value::Array(items) => {
            let item = |(i, item)| self::value(&format!("{key}[{i}]"), item, env);
            Value::Array(items.into_iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => {
            let entry = |(name, value)| {
                let value = self::value(&format!("{key}.{name}"), value, env)?;
                Ok::<_, ConfigError>((name, value))
            };
            Value::Object(map.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        other => other,
    })
}

/// A text expanded, if its variables are set.
pub(super) fn text(text: &str, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    string("", text, &env).ok()
}

/// The variables that a text expands, each with what stands before it and behind it.
pub(super) fn variables(text: &str) -> Vec<(&str, &str, &str)> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(start) = text.get(from..).and_then(|rest| rest.find("${")).map(|start| from + start) {
        let (before, after) = (text.get(..start).unwrap_or_default(), text.get(start + 2..).unwrap_or_default());
        let Some((name, behind)) = after.split_once('}') else { break };
        found.push((before, variable(name).0, behind));
        from = text.len() - behind.len();
    }
    found
}

/// The variable that stands between the braces, and its default.
fn variable(inner: &str) -> (&str, Option<&str>) {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    (name.strip_prefix("env:").unwrap_or(name), default)
}

/// Expands `${VAR}`, `${env:VAR}` and `${VAR:-default}`; `$` alone is itself.
fn string(key: &str, text: &str, env: &impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            return Err(wrong(key, "has a `${` without its `}`"));
        };
        let (variable, default) = variable(name);
        let name = name.split_once(":-").map_or(name, |(name, _)| name);
        let home = || (name == "userHome").then(|| dirs::home_dir()?.to_str().map(str::to_owned)).flatten();
        let value = env(variable).or_else(home).or_else(|| default.map(str::to_owned));
        let Some(value) = value else {
            let reason = if name.contains(':') && !name.starts_with("env:") {
                format!(
                    "uses `${{{name}}}`, which another client asks its user for; write an environment variable instead"
                )
            } else {
                format!("uses the environment variable `{variable}`, which is not set")
            };
            return Err(wrong(key, &reason));
        };
        expanded.push_str(&value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_text_are_those_that_are_expanded() {
        let found = variables("a${A}b${env:B:-x}${C:-${D}}$E${F");
        let names: Vec<&str> = found.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(names, ["A", "B", "C"]);
        assert_eq!(found[1].0, "a${A}b");
        assert_eq!(found[0].2, "b${env:B:-x}${C:-${D}}$E${F");
    }

    fn expand(text: &str) -> Result<String, String> {
        let env = |name: &str| (name == "SET").then(|| "yes".to_owned());
        string("k", text, &env).map_err(|e| e.to_string())
    }

    #[test]
    fn variables_are_expanded_in_either_spelling() {
        assert_eq!(expand("a ${SET} ${env:SET}$ $x ${UNSET:-no}").unwrap(), "a yes yes$ $x no");
        assert_eq!(expand("${UNSET}").unwrap_err(), "`k` uses the environment variable `UNSET`, which is not set");
        assert!(expand("${input:key}").unwrap_err().contains("another client asks its user"));
        assert_eq!(expand("${SET").unwrap_err(), "`k` has a `${` without its `}`");
    }
}
