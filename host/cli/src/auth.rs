//! `understudy auth`: a login at a server that wants OAuth.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use secrecy::SecretString;
use url::Url;

use super::args::{GlobalArgs, UsageError};
use super::output::{Outcome, note};
use super::setup;
use understudy::children::{self, Withheld};
use understudy::config::{Config, Transport};
use understudy::search_path::search_path;
use understudy::text::one_line;
use understudy_proxy::oauth::{Callback, Login, Wish};
use understudy_proxy::server_runtime;
use understudy_proxy::transport::http_client::Remote;

/// Arguments of `auth`.
#[derive(Debug, Args)]
pub(super) struct AuthArgs {
    #[command(flatten)]
    which: LoginServer,
    /// A scope to ask for, besides those of the present login; can be repeated [default: the scopes that the server names]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// The id of a registered client [default: a new client is registered]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The environment variable with that client's secret, if it has one; the secret is kept with the login
    #[arg(long, value_name = "VARIABLE", requires = "client_id")]
    client_secret: Option<String>,
    /// The port of the redirect URL on 127.0.0.1, if the registered client has a fixed one [default: a free port]
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    port: u16,
    /// Print the URL without opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Delete the login
    #[arg(long, conflicts_with_all = ["scope", "client_id", "client_secret", "port", "no_browser"])]
    forget: bool,
    /// How long to wait for the login in the browser
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// The ways to name a server.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct LoginServer {
    /// The server with this name in the config's `mcpServers`
    #[arg(value_name = "SERVER")]
    server: Option<String>,
    /// The server at this URL
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn run(global: &GlobalArgs, args: AuthArgs) -> Result<Outcome> {
    let remote = remote(global, &args.which)?;
    let place = remote.place();
    let login = Login::at(remote.url()).context("there is no config folder to keep a login in: set HOME")?;
    if args.forget {
        let was = login.forget().await.context("can't forget the login")?;
        note(&format!("{} at {place}", if was { "no longer logged in" } else { "there was no login" }));
        return Ok(Outcome::Done);
    }
    if remote.is_authorized() {
        let reason = format!("the config gives {place} a header `Authorization` already, which comes before a login");
        return Err(UsageError(reason).into());
    }
    let callback = Callback::listen(args.port).await;
    let callback = callback.with_context(|| format!("can't listen on port {} (is it taken?)", args.port))?;
    // What is wrong with the config is no reason for no login at a URL.
    let config = Config::find(global.config.as_deref()).unwrap_or_default();
    let own = Withheld::credentials(args.client_secret.clone());
    let client_secret = args.client_secret.map(|name| {
        let missing = || UsageError(format!("`--client-secret {name}`: this environment variable is not set"));
        setup::env(&name).map(SecretString::from).ok_or_else(missing)
    });
    let wish = Wish { client_id: args.client_id, client_secret: client_secret.transpose()?, scopes: args.scope };
    let pending = login.begin(&wish, &callback).await;
    let pending = pending.with_context(|| format!("no login can be begun at {place}"))?;
    if let Some(before) = pending.issuer_before() {
        let (before, now) = (one_line(before, 200), one_line(pending.issuer(), 200));
        note(&format!(
            "{place} names the issuer `{now}` now; the login that is kept belongs to `{before}`, and stays until there is a new one"
        ));
    }
    note(&format!("Log in here:\n\n  {}\n", pending.page()));
    if !args.no_browser {
        open(pending.page(), &config.withheld(setup::env).and(own));
    }
    let came_back = tokio::time::timeout(args.timeout, callback.wait(pending.state())).await;
    let came_back = came_back.with_context(|| format!("no login within {:?} (`--timeout`)", args.timeout))?;
    pending.finish(&came_back).await.with_context(|| format!("the login at {place} failed"))?;
    note(&format!("logged in at {place}; it is kept, and renewed when it expires"));
    Ok(Outcome::Done)
}

fn remote(global: &GlobalArgs, which: &LoginServer) -> Result<Remote> {
    let Some(name) = &which.server else {
        let url = which.url.as_deref().unwrap_or_default();
        return Remote::new(url).map_err(|reason| UsageError(format!("`--url` {reason}")).into());
    };
    match setup::config(global)?.server(name, setup::env)?.transport {
        Transport::Http { url, headers, is_old } => Ok(server_runtime::remote(name, &url, &headers, is_old)?),
        Transport::Stdio { .. } => {
            let reason = format!("`{name}` is a command, and only a server at a URL wants a login");
            Err(UsageError(reason).into())
        }
    }
}

/// Opens a page, which `Pending` has looked at, in the user's browser, which inherits nothing that is withheld; a user without one opens it
/// by other means.
fn open(page: &Url, withheld: &Withheld) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::from(children::command(opener, withheld));
    command.arg(page.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(path) = search_path() {
        command.env("PATH", path);
    }
    if let Err(error) = command.spawn() {
        tracing::info!("no browser is started ({opener}: {error})");
    }
}
