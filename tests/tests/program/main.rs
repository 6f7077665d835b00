//! Everything that needs the program alone: no software of others.

mod ahead;
mod check;
mod cli;
mod contract;
mod conversations;
mod docs;
mod embedding;
mod examples;
mod handler;
mod house;
mod ledger;
mod modern;
mod param_headers;
mod process;
mod properties;
mod provider;
mod providers;
mod relay;
mod remote;
mod sandbox;
mod serve;
mod serve_sessions;
mod standins;
mod streaming;
mod supply;
mod wire;
