//! `understudy plugin pull` and `push`: components from and to OCI registries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use url::Url;

use crate::args::{GlobalArgs, UsageError};
use crate::output::{Outcome, note, out};
use crate::setup;
use understudy::config::{self, Config, GuardConfig, PluginConfig};
use understudy::error::LoadError;
use understudy::reference::{Digest, Reference};
use understudy::registry::RegistryError;
use understudy::registry::client::RegistryClient;
use understudy::registry::layout::Artifact;
use understudy::registry::lock::Lock;
use understudy::registry::pull::{Pull, Pulled};
use understudy::registry::store::ComponentStore;
use understudy::runtime::{Overrides, PluginOrGuard};
use understudy::scheduling::Scheduling;
use understudy::trust::file;

/// How long a component may take, however slowly it comes.
const PATIENCE: Duration = Duration::from_mins(15);

/// Arguments of `plugin pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The components to fetch, as `oci://REGISTRY/NAME:TAG` or with `@sha256:…` [default: all that the config names]
    #[arg(value_name = "oci://…")]
    references: Vec<String>,
    /// Resolve the tags again, and pin the result
    #[arg(long)]
    update: bool,
    /// With `--update`, accept a component that says that it is older than the pinned one
    #[arg(long)]
    allow_older: bool,
    /// An origin, such as `https://auth.example.com`, that may get the registry's login, if the registry names it as its token
    /// service; can be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    realm: Vec<Url>,
    /// A public key (PEM); the component must be signed by one of these or of the config's `trust`; can be repeated
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Also write the component into this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `plugin push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// A component's path, a name from the config, or a built-in's name
    #[arg(value_name = "FILE")]
    plugin: String,
    /// The destination, as `oci://REGISTRY/NAME:TAG`
    #[arg(value_name = "oci://…")]
    reference: String,
    /// The author's name
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// An origin, such as `https://auth.example.com`, that may get the registry's login, if the registry names it as its token
    /// service; can be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    realm: Vec<Url>,
    /// An annotation of the manifest, such as `org.opencontainers.image.source=URL`; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
}

/// One that is wanted, the keys one of which must have signed it, and the most bytes it may have.
struct WantedComponent {
    reference: Reference,
    trust: Vec<PathBuf>,
    most: usize,
}

pub(super) async fn pull(global: &GlobalArgs, args: PullArgs) -> Result<Outcome> {
    let config = setup::config(global)?;
    let lock_file = config.path.as_deref().map(config::lock_file);
    let read = |path| Lock::read_held(path, |bytes| config.hold(path, bytes));
    let mut lock = lock_file.as_deref().map(read).transpose()?.unwrap_or_default();
    let is_all = args.references.is_empty();
    let wanted = if is_all { named(&config)? } else { typed(&config, &args.references)? };
    if wanted.is_empty() {
        let reason = "the config names no component of a registry (`\"component\": \"oci://…\"`); name one here";
        return Err(UsageError(reason.to_owned()).into());
    }
    if args.output.is_some() && wanted.len() > 1 {
        return Err(UsageError("`--output` goes with one component".to_owned()).into());
    }
    let store = ComponentStore::of_user()?;
    for WantedComponent { reference, trust, most } in &wanted {
        let trust = [trust.as_slice(), &args.key].concat();
        let known = reference.digest().or_else(|| lock.digest(reference).filter(|_| !args.update));
        let place = known.map_or_else(|| reference.clone(), |digest| reference.at(&digest));
        let pinned = lock.digest(reference).filter(|_| args.update && !args.allow_older);
        let withheld = config.withheld(setup::env);
        let pull =
            Pull { reference: &place, trust: &trust, most: *most, realms: &args.realm, pinned, withheld: &withheld };
        let pulled = match tokio::time::timeout(PATIENCE, pull.run(&store)).await {
            Ok(pulled) => pulled,
            Err(_) => Err(took_too_long(reference)),
        };
        let Pulled { digest, component, is_uncompared } =
            pulled.map_err(|cause| LoadError::Registry { component: reference.to_string(), cause })?;
        if is_uncompared {
            note(&format!(
                "`{reference}`: what was pinned isn't there any more, so nobody knows whether this is older"
            ));
        }
        if let Some(path) = &args.output {
            let failed = |cause| LoadError::Write { path: path.display().to_string(), cause };
            file::write(path, &component).map_err(failed)?;
        }
        if reference.tag().is_some() && lock_file.is_some() {
            lock.pin(reference, &digest);
        }
        let signed = if trust.is_empty() { "" } else { ", and signed by a key that is trusted" };
        note(&format!("`{reference}` is here: {} bytes{signed}", component.len()));
        out(&reference.at(&digest).to_string())?;
    }
    if let Some(path) = &lock_file {
        if is_all {
            lock.retain(&wanted.into_iter().map(|wanted| wanted.reference).collect::<Vec<_>>());
        }
        lock.write(path)?;
        keep_trust(&config, path, &lock);
    }
    Ok(Outcome::Done)
}

/// What the user has fetched by a config that is trusted is trusted with it.
fn keep_trust(config: &Config, path: &Path, lock: &Lock) {
    let mut written = Vec::new();
    let there = Lock::read_held(path, |bytes| {
        written.extend_from_slice(bytes);
        Ok(())
    });
    if there.is_ok_and(|there| there == *lock)
        && !written.is_empty()
        && let Err(reason) = config.trust_lock(path, &written)
    {
        tracing::warn!(
            "the config is to be trusted anew (`understudy trust`), since its lock file has changed: {reason}"
        );
    }
}

/// All that the config names.
fn named(config: &Config) -> Result<Vec<WantedComponent>> {
    let mut wanted = Vec::new();
    for name in config.plugin_names() {
        wanted.extend(of(&config.plugin(name, setup::env)?)?);
    }
    for name in config.guard_names() {
        wanted.extend(of(&config.guard(name, setup::env)?.component)?);
    }
    Ok(wanted)
}

/// Those that were typed, or the names of plugins whose components they are.
fn typed(config: &Config, references: &[String]) -> Result<Vec<WantedComponent>> {
    let mut wanted = Vec::new();
    for name in references {
        let guard = setup::guard(config, name)?.map(|guard| guard.component);
        let one = of(&guard.map_or_else(|| config.plugin(name, setup::env), Ok)?)?;
        wanted.push(
            one.ok_or_else(|| UsageError(format!("`{name}` is not in a registry: write `oci://REGISTRY/NAME:TAG`")))?,
        );
    }
    Ok(wanted)
}

fn of(plugin: &PluginConfig) -> Result<Option<WantedComponent>> {
    let Some(reference) = plugin.reference() else { return Ok(None) };
    let reference = Reference::parse(reference).map_err(UsageError)?;
    Ok(Some(WantedComponent { reference, trust: plugin.trust.clone(), most: plugin.limits.component }))
}

fn took_too_long(reference: &Reference) -> RegistryError {
    let reason = format!("it took longer than {} minutes", PATIENCE.as_secs() / 60);
    RegistryError::Remote { registry: reference.registry().to_owned(), reason }
}

/// Reads an origin.
fn origin(text: &str) -> Result<Url, String> {
    understudy::outbound::origin::parse(text)
}

pub(super) async fn push(global: &GlobalArgs, args: PushArgs) -> Result<Outcome> {
    let reference = Reference::parse(&args.reference).map_err(UsageError)?;
    if reference.tag().is_none() {
        return Err(
            UsageError(format!("`{reference}` has a digest, which comes of what is pushed; write a tag")).into()
        );
    }
    let config = setup::config(global)?;
    let shared = setup::shared_resources(Scheduling::default());
    let plugin = Overrides::default().plugin(&config, &args.plugin, shared.environment())?;
    // What can't serve isn't for others either.
    let loaded = match shared.load_either(&plugin, &GuardConfig::of(plugin.clone())).await? {
        PluginOrGuard::Plugin(loaded) => loaded.plugin,
        PluginOrGuard::Guard(loaded) => loaded.plugin,
    };
    let component = understudy::sandbox::read_component(&plugin)?;
    if Digest::of(&component).hex() != loaded.sha256 {
        let reason =
            "it was compiled ahead of time for this machine, or has changed meanwhile; push the component itself";
        return Err(UsageError(format!("`{}`: {reason}", plugin.component)).into());
    }
    let description = &loaded.description;
    let said = [
        ("org.opencontainers.image.title", &description.name),
        ("org.opencontainers.image.version", &description.version),
        ("org.opencontainers.image.description", &description.summary),
    ];
    let mut annotations: BTreeMap<_, _> = said.map(|(key, value)| (key.to_owned(), value.clone())).into();
    annotations.extend(args.annotation);
    let file = plugin.file().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let shape = &loaded.info;
    let artifact = Artifact {
        component,
        exports: shape.exports.clone(),
        imports: shape.imports.clone(),
        author: args.author,
        title: file.unwrap_or_else(|| format!("{}.wasm", plugin.name)),
        annotations,
    };
    let withheld = config.withheld(setup::env);
    let pushed =
        async { RegistryClient::of(&reference, &args.realm, &withheld).await?.push(&reference, artifact).await };
    let pushed = tokio::time::timeout(PATIENCE, pushed).await.unwrap_or_else(|_| Err(took_too_long(&reference)));
    let digest = pushed.map_err(|cause| LoadError::Registry { component: reference.to_string(), cause })?;
    note(&format!("`{reference}` is there; who wants this one and no other writes"));
    out(&reference.at(&digest).to_string())?;
    Ok(Outcome::Done)
}

/// Reads `key=value`.
fn annotation(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("it needs the form key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}
