//! A server's entry in a client's config: what it runs, and the edits that put Understudy in front of it and take it away again.

use super::document::{ConfigDocument, ConfigNode, NodeMember, NodeValue, TextEdit};

/// How a client names the parts of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryShape {
    /// The key of the program.
    pub(super) command: &'static str,
    /// The keys of a URL; the first is the one that is written where nothing says which it was.
    pub(super) urls: &'static [&'static str],
    /// What `type` says of a server that is a command.
    pub(super) local: &'static str,
    /// What `type` says of a server at a URL, where nothing says what it was.
    pub(super) remote: &'static str,
    /// Whether the command is a list, its arguments among it.
    pub(super) is_list: bool,
}

/// The usual one.
pub(super) const USUAL: EntryShape =
    EntryShape { command: "command", urls: &["url"], local: "stdio", remote: "http", is_list: false };

/// The keys that say which transport it is.
const KINDS: [&str; 2] = ["type", "transport"];

/// The keys of an entry at a URL that a command has as well. With any other one the entry is left: it says how to log in there, or a client wouldn't
/// take it beside a command.
const NEUTRAL: [&str; 24] = [
    "name",
    "title",
    "description",
    "display_name",
    "enabled",
    "disabled",
    "timeout",
    "tools",
    "trust",
    "autoApprove",
    "alwaysAllow",
    "disabledTools",
    "includeTools",
    "excludeTools",
    "type",
    "transport",
    "gallery",
    "version",
    "env",
    "envs",
    "environment",
    "available_tools",
    "bundled",
    "source",
];

/// What an entry starts.
#[derive(Debug, Clone)]
pub(super) enum EntryTarget<'a> {
    /// A program, and the list of its arguments.
    Program { table: &'a ConfigNode, program: &'a NodeMember, args: Option<&'a NodeMember> },
    /// A program and its arguments in one list.
    Words { list: &'a ConfigNode },
    /// A URL.
    Url { member: &'a NodeMember },
    /// Something of the client's own, or nothing.
    Other,
}

/// One server's entry.
#[derive(Debug, Clone)]
pub(super) struct ServerEntry<'a> {
    pub(super) name: String,
    /// Where it stands, such as `mcpServers.code`.
    pub(super) place: String,
    pub(super) node: &'a ConfigNode,
    /// What it starts, or why that can't be told.
    pub(super) target: Result<EntryTarget<'a>, String>,
}

impl<'a> ServerEntry<'a> {
    pub(super) fn new(name: String, place: String, node: &'a ConfigNode, shape: &EntryShape) -> Self {
        Self { target: target(node, shape), name, place, node }
    }

    /// The program and its arguments; empty for a server at a URL.
    pub(super) fn words(&self) -> Vec<String> {
        let texts = |node: &ConfigNode| -> Vec<String> {
            node.texts().unwrap_or_default().into_iter().map(str::to_owned).collect()
        };
        match &self.target {
            Ok(EntryTarget::Program { program, args, .. }) => {
                let program = program.node.text().unwrap_or_default().to_owned();
                [vec![program], args.map(|args| texts(&args.node)).unwrap_or_default()].concat()
            }
            Ok(EntryTarget::Words { list }) => texts(list),
            _ => Vec::new(),
        }
    }

    /// Its URL.
    pub(super) fn url(&self) -> Option<&str> {
        if let Ok(EntryTarget::Url { member }) = &self.target { member.node.text() } else { None }
    }

    /// Whether the client leaves it out.
    pub(super) fn is_off(&self) -> bool {
        let is = |key: &str, value: bool| {
            self.node
                .get(key)
                .ok()
                .flatten()
                .is_some_and(|member| matches!(member.node.value, NodeValue::Bool(is) if is == value))
        };
        is("disabled", true) || is("enabled", false)
    }

    /// The names of the variables that it sets.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let blocks = SECRET_BLOCKS.iter().filter_map(|key| self.node.get(key).ok().flatten());
        blocks.filter_map(|member| member.node.members()).flatten().map(|member| member.key.as_str())
    }

    /// Puts a program with these arguments in front.
    pub(super) fn wrapped(
        &self,
        document: &ConfigDocument,
        shape: &EntryShape,
        program: &str,
        front: &[String],
    ) -> Result<Vec<TextEdit>, String> {
        let quoted = |words: &[String]| words.iter().map(|word| document.quoted(word)).collect::<Vec<_>>();
        match self.target.clone()? {
            EntryTarget::Program { table, program: old, args } => {
                let items = [quoted(front), vec![document.movable(&old.node)]].concat();
                let edit = match args {
                    Some(args) if matches!(args.node.value, NodeValue::List(_)) => {
                        document.prepend(&args.node, &items)?
                    }
                    Some(args) => document.set_source(&args.node, &ConfigDocument::list(&items)),
                    None => document.add(table, old, "args", &ConfigDocument::list(&items))?,
                };
                Ok(vec![document.set_text(&old.node, program), edit])
            }
            EntryTarget::Words { list } => {
                let items = [vec![document.quoted(program)], quoted(front)].concat();
                Ok(vec![document.prepend(list, &items)?])
            }
            EntryTarget::Url { member } => {
                let mut edits = vec![document.set_key(member, shape.command)];
                if shape.is_list {
                    let items = [vec![document.quoted(program)], quoted(front)].concat();
                    edits.push(document.set_source(&member.node, &ConfigDocument::list(&items)));
                } else {
                    edits.push(document.set_text(&member.node, program));
                    edits.push(document.add(self.node, member, "args", &ConfigDocument::list(&quoted(front)))?);
                }
                edits.extend(self.kind().map(|kind| document.set_text(kind, shape.local)));
                Ok(edits)
            }
            EntryTarget::Other => Err("it is neither a command nor a URL".to_owned()),
        }
    }

    /// Takes the program and as many arguments away as are Understudy's. `before` is the entry as it was, as far as that is known.
    pub(super) fn unwrapped(
        &self,
        document: &ConfigDocument,
        shape: &EntryShape,
        server: &WrappedServer,
        before: Option<(&ConfigDocument, &ServerEntry<'_>)>,
    ) -> Result<Vec<TextEdit>, String> {
        let unusual = || "it isn't written as `wrap` writes it: edit it by hand".to_owned();
        match (self.target.clone()?, server) {
            (EntryTarget::Words { list }, WrappedServer::Command(count)) => Ok(vec![document.cut(list, count + 1)?]),
            (EntryTarget::Program { table, program, args }, WrappedServer::Command(count)) => {
                let args = &args.ok_or_else(unusual)?.node;
                let items = args.items().unwrap_or_default();
                let old = items.get(*count).ok_or_else(unusual)?;
                let had_none = before.is_some_and(|(_, before)| {
                    matches!(before.target, Ok(EntryTarget::Program { args: None, .. })) && items.len() == count + 1
                });
                let edit = if had_none { document.remove(table, "args")? } else { document.cut(args, count + 1)? };
                let known = before.and_then(|(document, before)| match before.target {
                    Ok(EntryTarget::Program { program, .. }) if program.node.text() == old.text() => {
                        Some(document.slice(program.node.span.clone()).to_owned())
                    }
                    _ => None,
                });
                let source = known.unwrap_or_else(|| document.movable(old));
                Ok(vec![TextEdit { at: program.node.span.clone(), text: source }, edit])
            }
            (target, WrappedServer::Url(url)) => {
                let old = before.and_then(|(document, before)| match &before.target {
                    Ok(EntryTarget::Url { member }) => Some((document, before, *member)),
                    _ => None,
                });
                let key = old.map_or(shape.urls.first().copied().unwrap_or("url"), |(_, _, member)| &member.key);
                let mut edits = match target {
                    EntryTarget::Program { table, program, .. } => {
                        let source = old.map_or_else(
                            || document.quoted(url),
                            |(old, _, member)| old.slice(member.node.span.clone()).to_owned(),
                        );
                        vec![
                            document.set_key(program, key),
                            TextEdit { at: program.node.span.clone(), text: source },
                            document.remove(table, "args")?,
                        ]
                    }
                    EntryTarget::Words { list } => {
                        let member = self.node.get(shape.command)?.ok_or_else(unusual)?;
                        vec![document.set_key(member, key), document.set_source(list, &document.quoted(url))]
                    }
                    _ => return Err(unusual()),
                };
                if let Some(kind) = self.kind() {
                    let before =
                        old.and_then(|(document, before, _)| Some(document.slice(before.kind()?.span.clone())));
                    edits.push(match before {
                        Some(source) => TextEdit { at: kind.span.clone(), text: source.to_owned() },
                        None => document.set_text(kind, shape.remote),
                    });
                }
                Ok(edits)
            }
            _ => Err(unusual()),
        }
    }

    /// The value that says which transport it is.
    fn kind(&self) -> Option<&'a ConfigNode> {
        let found = KINDS.iter().find_map(|key| self.node.get(key).ok().flatten());
        found.map(|member| &member.node).filter(|node| node.text().is_some())
    }
}

/// The server behind Understudy, in an entry that is wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WrappedServer {
    /// A command: so many words stand between Understudy's program and it.
    Command(usize),
    Url(String),
    /// A server of Understudy's own config.
    Configured(String),
}

/// The members of an entry whose values may be secret.
pub(super) const SECRET_BLOCKS: [&str; 8] =
    ["env", "envs", "environment", "headers", "http_headers", "requestOptions", "oauth", "auth"];

fn target<'a>(node: &'a ConfigNode, shape: &EntryShape) -> Result<EntryTarget<'a>, String> {
    if node.is_shared || node.get("<<")?.is_some() {
        return Err(
            "other parts of the file refer to it, or it to them (an anchor, an alias or a tag): edit it by hand"
                .to_owned(),
        );
    }
    let Some(_) = node.members() else { return Err("it is no table of keys".to_owned()) };
    let url = shape.urls.iter().find_map(|key| node.get(key).transpose()).transpose()?;
    let url = url.filter(|member| member.node.text().is_some_and(|url| !url.is_empty()));
    let command = node.get(shape.command)?;
    let command =
        command.filter(|member| member.node.text() != Some("") && !matches!(member.node.value, NodeValue::Null));
    match (command, url) {
        (Some(_), Some(_)) => Err("it has a command and a URL: remove one of them".to_owned()),
        (Some(command), None) => program(node, command),
        (None, Some(url)) => at_url(node, url, shape.is_list),
        (None, None) => Ok(EntryTarget::Other),
    }
}

/// An entry with a program.
fn program<'a>(node: &'a ConfigNode, command: &'a NodeMember) -> Result<EntryTarget<'a>, String> {
    let is_shared = command.node.is_shared;
    match &command.node.value {
        _ if is_shared => Err(format!("`{}` refers to another part of the file: edit it by hand", command.key)),
        NodeValue::Text(_) => {
            let args = node.get("args")?;
            check_args(args)?;
            Ok(EntryTarget::Program { table: node, program: command, args })
        }
        NodeValue::List(words) if command.node.texts().is_some() && !words.is_empty() => {
            Ok(EntryTarget::Words { list: &command.node })
        }
        // Zed's, of an earlier form.
        NodeValue::Table(_) => match command.node.get("path")? {
            Some(path) if path.node.text().is_some_and(|path| !path.is_empty()) => {
                let args = command.node.get("args")?;
                check_args(args)?;
                Ok(EntryTarget::Program { table: &command.node, program: path, args })
            }
            _ => Err(format!("`{}` has no `path`", command.key)),
        },
        _ => Err(format!("`{}` is neither a text nor a list of texts", command.key)),
    }
}

fn check_args(args: Option<&NodeMember>) -> Result<(), String> {
    match args.map(|args| &args.node) {
        None => Ok(()),
        Some(args) if args.is_shared || args.items().unwrap_or_default().iter().any(|item| item.is_shared) => {
            Err("its arguments refer to another part of the file: edit it by hand".to_owned())
        }
        Some(args) if matches!(args.value, NodeValue::Null) || args.texts().is_some() => Ok(()),
        Some(_) => Err("`args` is no list of texts: put each of them in quotes".to_owned()),
    }
}

/// An entry at a URL: it is left where a key would have to go onto the command line. A client that `is_strict` takes no key of such an entry beside a
/// command.
fn at_url<'a>(node: &'a ConfigNode, url: &'a NodeMember, is_strict: bool) -> Result<EntryTarget<'a>, String> {
    let is_empty = |node: &ConfigNode| match &node.value {
        NodeValue::Null => true,
        NodeValue::Table(members) => members.is_empty(),
        NodeValue::List(items) => items.is_empty(),
        _ => false,
    };
    let others = node.members().unwrap_or_default().iter().filter(|member| member.key != url.key);
    let odd = others.filter(|member| !NEUTRAL.contains(&member.key.as_str()) && (is_strict || !is_empty(&member.node)));
    let odd: Vec<&str> = odd.map(|member| member.key.as_str()).collect();
    if !odd.is_empty() {
        return Err(format!(
            "its {} can't stand beside a command, and keys don't belong on a command line, where others can read them; put \
             the server into Understudy's config, and let the entry run `understudy proxy --server NAME`",
            understudy::text::list(odd)
        ));
    }
    let text = url.node.text().unwrap_or_default();
    let in_config = "put the server into Understudy's config, and let the entry run `understudy proxy --server NAME`";
    match url::Url::parse(text) {
        _ if text.contains('$') || text.contains("{env:") => Err(format!(
            "its URL has a variable, in which there may be a key that others could read on a command line; {in_config}"
        )),
        Err(_) => Err("its URL can't be read".to_owned()),
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
            Err(format!("its URL is of `{}`, which Understudy doesn't speak", parsed.scheme()))
        }
        Ok(parsed) if may_have_key(&parsed) => {
            Err(format!("its URL may have a key in it, which others could read on a command line; {in_config}"))
        }
        _ if url.node.is_shared => Err("its URL refers to another part of the file: edit it by hand".to_owned()),
        _ => Ok(EntryTarget::Url { member: url }),
    }
}

/// Whether a URL has a place where keys are put: a user, a query, or a long part of letters and digits in its path.
fn may_have_key(url: &url::Url) -> bool {
    let is_long = |part: &str| {
        let has = |is: fn(&u8) -> bool| part.bytes().any(|byte| is(&byte));
        part.len() >= 20 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    has_user || url.query().is_some() || url.path().split('/').any(is_long)
}
