//! Conformance checks of plugins: what admission asks before a plugin serves, and what `understudy plugin check` tells its author.
//!
//! Nothing here knows a provider's format, and nothing goes over the network: requests are canonical ones, answers are canned, and
//! the author's own fixtures say the rest.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`report`] | the rules, what came of each, and the remedies |
//! | `describe` | whether a plugin's description is consistent |
//! | `requests` | canonical requests |
//! | `start` | what `start` returns for a request |
//! | `canned_responses` | canned responses of a provider, and what a plugin may make of them |
//! | `resume` | what `resume` and `next` return for a response |
//! | [`fixtures`] | conversations that the author wrote down |
//! | `guard` | the checks of guards |
//! | `guard_fixtures` | verdicts that their author wrote down |

mod canned_responses;
mod describe;
pub mod fixtures;
mod guard;
mod guard_fixtures;
pub mod report;
mod requests;
mod resume;
mod start;

use std::path::Path;
use std::sync::Arc;

use bytesize::ByteSize;

use crate::error::{Error, LoadError};
use crate::sampling::ConfiguredPlugin;
use crate::sandbox::{Plugin, World};
use crate::select::choose;
use crate::text::list;
use crate::wit::understudy::plugin::types as wit;
pub use guard::{full_guard, quick_guard};
use report::{ConformanceReport, Rule};

/// What admission asks: the world, what the plugin says of itself, and one request.
pub async fn quick(plugin: &ConfiguredPlugin) -> ConformanceReport {
    let mut conformance = Conformance::new(plugin);
    conformance.loaded().await;
    if let Some(canonical) = requests::probe().filter(|_| !conformance.is_handler()) {
        conformance.ask(&canonical).await;
    }
    conformance.report
}

/// All checks. `fixtures` is the author's folder; without one the report says so.
///
/// With `update`, the fixtures get the outcomes that they have.
pub async fn full(plugin: &ConfiguredPlugin, fixtures: Option<&Path>, update: bool) -> ConformanceReport {
    let mut conformance = Conformance::new(plugin);
    plugin.plugin.record_usage();
    conformance.loaded().await;
    if conformance.is_handler() {
        conformance.skip_what_is_for_providers();
    } else {
        let mut asked = Vec::new();
        for canonical in requests::all() {
            asked.extend(conformance.ask(&canonical).await);
        }
        conformance.requests_done();
        conformance.answer(&asked).await;
        conformance.fixtures(fixtures, update).await;
    }
    conformance.report.limits(&plugin.plugin);
    conformance.report
}

/// The report on a component that can't be loaded at all; none where that isn't the component's fault.
#[must_use]
pub fn refused(name: &str, error: &LoadError) -> Option<ConformanceReport> {
    let rule = match error {
        LoadError::NotAComponent { .. }
        | LoadError::World { .. }
        | LoadError::TooLarge { .. }
        | LoadError::TooComplex { .. }
        | LoadError::CompileLimit { .. } => Rule::World,
        LoadError::Imports { .. } => Rule::Imports,
        LoadError::Describe { .. } => Rule::Describe,
        #[cfg(feature = "registry")]
        LoadError::Registry { .. } => return None,
        LoadError::Read { .. }
        | LoadError::Digest { .. }
        | LoadError::Foreign { .. }
        | LoadError::Write { .. }
        | LoadError::Key { .. }
        | LoadError::IsAGuard { .. }
        | LoadError::NotAGuard { .. }
        | LoadError::Config(_)
        | LoadError::Compiler { .. }
        | LoadError::Engine { .. } => return None,
    };
    let mut report = ConformanceReport::new(name);
    report.broken(rule, error.to_string());
    Some(report)
}

/// One plugin under test.
struct Conformance<'a> {
    link: &'a ConfiguredPlugin,
    options: Arc<wit::Options>,
    report: ConformanceReport,
}

impl<'a> Conformance<'a> {
    fn new(link: &'a ConfiguredPlugin) -> Self {
        let choices = choose(&[&link.catalogue], None);
        let model = choices.first().map(|choice| choice.model.clone()).filter(|model| !model.is_empty());
        let options = Arc::new(options(model.as_deref().unwrap_or("model-1"), link.settings.clone()));
        let mut report = ConformanceReport::new(&link.plugin.name);
        report.sha256.clone_from(&link.plugin.sha256);
        Self { link, options, report }
    }

    fn is_handler(&self) -> bool {
        self.link.plugin.info.world == Ok(World::Handler)
    }

    fn accepts(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.link.plugin.accepts(word))
    }

    /// What can be seen of a plugin without giving it a request.
    async fn loaded(&mut self) {
        self.report.loaded(&self.link.plugin).await;
    }

    fn skip_what_is_for_providers(&mut self) {
        let why = "for provider plugins: a handler's requests are its own; try it with `understudy sample`";
        for rule in [
            Rule::Start,
            Rule::Accepts,
            Rule::Carries,
            Rule::Fetch,
            Rule::Pure,
            Rule::Resume,
            Rule::Refusals,
            Rule::Malformed,
            Rule::Messages,
            Rule::Fixtures,
        ] {
            self.report.skipped(rule, why);
        }
    }

    async fn fixtures(&mut self, folder: Option<&Path>, update: bool) {
        let Some(folder) = folder else {
            let none = "there is none: write a JSON file for each case into `fixtures/` beside the component";
            self.report.noted(Rule::Fixtures, none);
            return;
        };
        match fixtures::run_all(self.link, folder, update).await {
            Ok(fixtures::Ran { count, updated, wrong }) => {
                for wrong in wrong {
                    self.report.broken(Rule::Fixtures, wrong);
                }
                let said = if updated == 0 { String::new() } else { format!(", {updated} of them written anew") };
                self.report.kept(Rule::Fixtures, format!("{count} in `{}`{said}", folder.display()));
            }
            Err(reason) => self.report.broken(Rule::Fixtures, reason),
        }
    }

    /// Holds the words of a guest's error to what people are to read.
    fn message(&mut self, place: &str, error: &wit::Error) {
        self.report.message(place, error);
    }

    /// Holds an answer to what a server can get.
    fn result(&mut self, place: &str, completion: wit::Completion, tools: Option<&[String]>) {
        if completion.result.model.trim().is_empty() {
            self.report.broken(Rule::Results, format!("{place}: the result's `model` is empty"));
        }
        if let Some(odd) = describe::extensions("completion", &completion.extensions) {
            self.report.broken(Rule::Results, format!("{place}: {odd}"));
        }
        if let Err(error) = self.link.finish(completion, tools) {
            self.report.broken(Rule::Results, format!("{place}: {error}"));
        }
    }
}

impl ConformanceReport {
    /// What can be seen of a component without giving it anything.
    async fn loaded(&mut self, plugin: &Plugin) {
        let world = plugin.info.world.as_ref().map_or("provider", |world| world.name());
        self.kept(Rule::World, format!("{world} of understudy:plugin@0.1.0, {}", ByteSize::b(plugin.size as u64)));
        let unserved = list(plugin.info.unserved());
        if unserved.is_empty() {
            let imports = match plugin.info.imports.len() {
                0 => "none".to_owned(),
                n => format!("{n}, all of them WASI's: inert"),
            };
            self.kept(Rule::Imports, imports);
        } else {
            self.noted(Rule::Imports, format!("a plugin of its world doesn't get {unserved}: a call of it traps"));
        }
        let description = &plugin.description;
        let is_guard = plugin.info.world == Ok(World::Guard);
        for odd in describe::odd(description, is_guard) {
            self.broken(Rule::Describe, odd);
        }
        self.kept(Rule::Describe, format!("{} {}: {}", description.name, description.version, description.summary));
        for _ in 0..2 {
            match plugin.describe().await {
                Ok(again) if format!("{again:?}") == format!("{description:?}") => {}
                Ok(_) => self.broken(Rule::Constant, "`describe` said something else when it was asked again"),
                Err(error) => self.broken(Rule::Constant, format!("asked again, `describe` failed: {error}")),
            }
        }
        self.kept(Rule::Constant, "three times the same, each in a fresh instance");
    }

    /// What the calls have used. Only now is all of it known.
    fn limits(&mut self, plugin: &Plugin) {
        let limits = plugin.limits();
        let (mut most, mut parts) = (0.0_f64, Vec::new());
        self.used = plugin.peak_usage();
        for (call, used) in &self.used {
            let (cpu, memory) = (used.cpu.as_secs_f64(), ByteSize::b(used.memory as u64));
            #[expect(clippy::cast_precision_loss, reason = "a share, not an account")]
            let share = (cpu / limits.cpu.as_secs_f64()).max(used.memory as f64 / limits.memory as f64);
            most = most.max(share);
            parts.push(format!("`{call}` {:.1} ms, {memory}", cpu * 1000.0));
        }
        let used = format!("at most {} (of {:?}, {})", parts.join("; "), limits.cpu, ByteSize::b(limits.memory as u64));
        match most {
            most if most > 0.75 => self.broken(Rule::Limits, used),
            most if most > 0.25 => self.noted(Rule::Limits, used),
            _ => self.kept(Rule::Limits, used),
        }
    }

    /// Holds the words of a guest's error to what people are to read.
    fn message(&mut self, place: &str, error: &wit::Error) {
        let (text, extensions) = match error {
            wit::Error::InvalidRequest(failure)
            | wit::Error::Unsupported(failure)
            | wit::Error::MalformedResponse(failure)
            | wit::Error::Other(failure) => (&failure.message, &failure.extensions),
            wit::Error::Provider(provider) => (&provider.message, &provider.extensions),
        };
        self.words(place, "error", text, extensions);
    }

    /// Holds words that people read to what they can: an error's, or the reason of a verdict.
    fn words(&mut self, place: &str, record: &str, text: &str, extensions: &str) {
        if text.trim().is_empty() {
            self.broken(Rule::Messages, format!("{place}: the {record}'s message is empty"));
        } else if text.trim().contains(['\n', '\r']) || text.chars().any(|c| c.is_control() && c != '\n' && c != '\r') {
            self.broken(Rule::Messages, format!("{place}: the {record}'s message isn't one line of text: {text:?}"));
        } else if text.chars().count() > 2000 {
            let count = text.chars().count();
            self.broken(Rule::Messages, format!("{place}: the {record}'s message holds {count} characters"));
        }
        if let Some(odd) = describe::extensions(record, extensions) {
            self.broken(Rule::Messages, format!("{place}: {odd}"));
        }
    }
}

/// Options as the host would make them.
fn options(model: &str, settings: String) -> wit::Options {
    wit::Options {
        model: model.to_owned(),
        request_id: "request-1".to_owned(),
        server: "server".to_owned(),
        settings,
        extensions: "{}".to_owned(),
    }
}

/// A guest's own error, or what else went wrong.
fn own(error: Error) -> Result<wit::Error, Error> {
    match error {
        Error::Guest { error, .. } => Ok(error),
        error => Err(error),
    }
}
