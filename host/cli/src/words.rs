//! A server's command needs no `--` in front: it begins with the first word that is nothing else, as with `env` and `uv run`, and whatever follows
//! is the server's. Some clients and inspectors take a `--` for their own.

use std::ffi::OsString;

use clap::Command;

/// The words that were typed, with a `--` in front of the server's command.
pub(super) fn with_command_apart(cli: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
    if let Some(at) = command_at(cli, &words) {
        words.insert(at, "--".into());
    }
    words
}

/// Where a server's command begins that has no `--` in front.
fn command_at(cli: &Command, words: &[OsString]) -> Option<usize> {
    let at = next_free(&[cli], words, 1)?;
    let verb = cli.find_subcommand(words.get(at)?)?;
    if !verb.get_positionals().any(clap::Arg::is_last_set) {
        return None;
    }
    let options = [cli, verb];
    let mut at = next_free(&options, words, at + 1)?;
    if verb.get_name() == "call" {
        // The tool, and its arguments.
        at = next_free(&options, words, at + 1)?;
        while words.get(at)?.to_str().is_some_and(|word| word.contains('=') || word.trim_start().starts_with('{')) {
            at = next_free(&options, words, at + 1)?;
        }
    }
    Some(at)
}

/// The next word that is neither an option nor an option's value; none behind a `--`.
fn next_free(options: &[&Command], words: &[OsString], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let Some(option) = words.get(at)?.to_str().and_then(|word| word.strip_prefix('-')) else { return Some(at) };
        if option.is_empty() {
            return Some(at);
        }
        if option == "-" {
            return None;
        }
        at += if takes_next(options, option) { 2 } else { 1 };
    }
}

/// Whether the word behind an option is its value.
fn takes_next(options: &[&Command], option: &str) -> bool {
    let arguments = || options.iter().flat_map(|command| command.get_arguments());
    let takes = |argument: Option<&clap::Arg>| argument.is_some_and(|argument| argument.get_action().takes_values());
    match option.strip_prefix('-') {
        Some(long) => takes(arguments().find(|argument| argument.get_long() == Some(long))),
        None => takes(arguments().find(|argument| argument.get_short().is_some_and(|short| option.ends_with(short)))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn apart(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let words = with_command_apart(&crate::Cli::command(), words);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_servers_command_begins_with_the_first_word_that_is_nothing_else() {
        for (typed, meant) in [
            ("u proxy --plugin echo node server.js --flag -v", "u proxy --plugin echo -- node server.js --flag -v"),
            ("u proxy --plugin=echo node -- x", "u proxy --plugin=echo -- node -- x"),
            ("u -v --config c.json proxy -vv cat", "u -v --config c.json proxy -vv -- cat"),
            ("u proxy --config proxy cat", "u proxy --config proxy -- cat"),
            ("u tools --timeout 5s --json cat", "u tools --timeout 5s --json -- cat"),
            ("u doctor --plugin echo cat --commands", "u doctor --plugin echo -- cat --commands"),
            ("u call tool a=1 b:=2 --plugin echo cat x=1", "u call tool a=1 b:=2 --plugin echo -- cat x=1"),
            ("u call --json tool {\"a\":1} cat", "u call --json tool {\"a\":1} -- cat"),
            ("u call tool cat", "u call tool -- cat"),
        ] {
            assert_eq!(apart(typed), meant);
        }
        for typed in [
            "u proxy --plugin echo -- node --flag",
            "u proxy --server code",
            "u proxy",
            "u call tool a=1 --url http://x",
            "u call tool a=1 -- cat",
            "u sample --plugin echo file.json",
            "u --help",
            "u nothing cat",
        ] {
            assert_eq!(apart(typed), typed);
        }
        // What is misspelt is still an option.
        assert_eq!(apart("u proxy --plugn echo cat"), "u proxy --plugn -- echo cat");
    }
}
