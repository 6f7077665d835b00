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

/// Expands `${VAR}`, `${env:VAR}` and `${VAR:-default}`; `$` alone is itself.
fn string(key: &str, text: &str, env: &impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            return Err(wrong(key, "has a `${` without its `}`"));
        };
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let variable = name.strip_prefix("env:").unwrap_or(name);
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
