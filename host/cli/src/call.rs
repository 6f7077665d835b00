//! `understudy call`: a tool, called, its sampling requests answered.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::args::{ClientArgs, GlobalArgs, UsageError};
use super::output::{Outcome, note, out};
use super::setup;
use crate::client::tool_name;
use understudy::text::{did_you_mean, list, one_line};

/// Arguments of `call`.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The tool's name
    #[arg(value_name = "TOOL")]
    tool: String,
    /// The tool's arguments: `key=value` (typed by the tool's schema), `key:=JSON`, or one JSON object
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
    /// Write the whole result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &GlobalArgs, args: CallArgs) -> Result<Outcome> {
    let (tool, arguments) = (args.tool.as_str(), args.arguments.as_slice());
    let call = async |client: &mut crate::client::Client, sampling: bool| {
        let tools = client.tools().await?;
        let Some(found) = tools.iter().find(|candidate| tool_name(candidate) == tool) else {
            bail!("{}", unknown(tool, tools.iter().map(tool_name).collect(), sampling));
        };
        let arguments = typed(arguments, found.get("inputSchema"))?;
        client.call(tool, &arguments).await
    };
    let result = setup::with_client(global, &args.client, call).await?;
    let failed = result.get("isError").and_then(Value::as_bool).unwrap_or_default();
    if args.json {
        out(&format!("{result:#}"))?;
    } else {
        let text = in_words(&result);
        if failed { note(&format!("understudy: the tool `{tool}` failed: {text}")) } else { out(&text)? }
    }
    Ok(if failed { Outcome::Failed } else { Outcome::Done })
}

fn unknown(tool: &str, names: Vec<&str>, sampling: bool) -> String {
    let hint = did_you_mean(tool, names.iter().copied());
    let missing = if sampling {
        ""
    } else {
        "; no plugin answers sampling requests here, and servers hide tools that need one: try `--plugin NAME`"
    };
    let names: Vec<String> = names.into_iter().map(|name| one_line(name, 80)).collect();
    format!("the server offers no tool `{tool}`{hint}{missing}; it offers {}", list(names.iter().map(String::as_str)))
}

/// The arguments as an object, each of the type that the schema wants.
fn typed(arguments: &[String], schema: Option<&Value>) -> Result<Value> {
    if let [one] = arguments
        && one.trim_start().starts_with('{')
    {
        return serde_json::from_str(one).context("the arguments are not a JSON object");
    }
    let mut object = Map::new();
    for argument in arguments {
        let usage = || UsageError(format!("the argument `{argument}` has neither the form key=value nor key:=JSON"));
        let (key, value) = argument.split_once('=').ok_or_else(usage)?;
        let (key, value) = match key.strip_suffix(':') {
            Some(key) => {
                let json = serde_json::from_str(value);
                (key, json.map_err(|e| UsageError(format!("the argument `{argument}` holds no JSON: {e}")))?)
            }
            None => (key, of_schema(key, value, schema)?),
        };
        object.insert(key.to_owned(), value);
    }
    Ok(Value::Object(object))
}

fn of_schema(key: &str, text: &str, schema: Option<&Value>) -> Result<Value> {
    let kind = schema.and_then(|schema| schema.get("properties")?.get(key)?.get("type"));
    let is = |wanted: &str| match kind {
        Some(Value::String(kind)) => kind == wanted,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    };
    let plain = || Value::String(text.to_owned());
    let parsed = serde_json::from_str::<Value>(text).ok();
    match (kind, parsed) {
        (None, parsed) => Ok(parsed.unwrap_or_else(plain)),
        (Some(_), _) if is("string") => Ok(plain()),
        (Some(_), Some(value)) => Ok(value),
        (Some(kind), None) => Err(UsageError(format!("the tool wants `{key}` as {kind}, and `{text}` is none")).into()),
    }
}

/// A result's blocks, one below the other.
fn in_words(result: &Value) -> String {
    let blocks = result.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |block: &Value| {
        let word = |key: &str| block.get(key).and_then(Value::as_str);
        let size = word("data").map(|data| format!(" of {} bytes", data.len() / 4 * 3)).unwrap_or_default();
        let words = [word("type"), word("mimeType"), word("uri")].map(Option::unwrap_or_default);
        word("text").map_or_else(|| format!("[{}{size}]", words.join(" ").trim_end()), str::to_owned)
    };
    let lines: Vec<String> = blocks.iter().map(text).collect();
    match result.get("structuredContent") {
        Some(structured) if lines.is_empty() => format!("{structured:#}"),
        _ => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_take_the_type_that_the_schema_wants() {
        let schema = json!({"properties": {"n": {"type": "integer"}, "s": {"type": "string"}, "m": {"type": ["string", "null"]}}});
        let arguments = ["n=3", "s=4", "m=5", "x=6", "y=seven", "z:=[8]"].map(str::to_owned);
        assert_eq!(
            typed(&arguments, Some(&schema)).unwrap(),
            json!({"n": 3, "s": "4", "m": "5", "x": 6, "y": "seven", "z": [8]})
        );
        assert_eq!(typed(&["{\"a\": 1}".to_owned()], None).unwrap(), json!({"a": 1}));
        assert!(
            typed(&["n=x".to_owned()], Some(&schema)).unwrap_err().to_string().contains("wants `n` as \"integer\"")
        );
        assert!(typed(&["n".to_owned()], None).is_err());
        assert!(typed(&["n:=x".to_owned()], None).is_err());
    }
}
