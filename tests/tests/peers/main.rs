//! What runs with other people's servers, clients and providers; `tests/peers/setup.sh` installs them.

mod answers;
mod approvals;
mod conformance;
mod eras;
mod models;
mod oauth;
mod prices;
mod registry;
mod remote_peers;
mod serve_cuts;
mod serve_modern;
mod serve_peers;
mod software;
mod swap;
mod tasks;
mod world;
mod wrapped_clients;
