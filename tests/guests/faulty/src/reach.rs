//! What a guest may try to reach outside, through WASI and beyond it.

use std::hint::black_box;

use crate::imports::elsewhere::shell::commands;
use crate::imports::wasi::cli::{environment, exit, stderr};
use crate::imports::wasi::clocks::monotonic_clock;
use crate::imports::wasi::filesystem::preopens;
use crate::imports::wasi::http::outgoing_handler;
use crate::imports::wasi::io::poll::Pollable;
use crate::imports::wasi::random::random as wasi_random;
use crate::imports::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use crate::imports::wasi::sockets::{instance_network, ip_name_lookup, tcp_create_socket};

#[expect(clippy::panic, reason = "nobody goes on after this")]
pub(crate) fn exit() -> ! {
    exit::exit(Ok(()));
    panic!("still here after `exit`")
}

#[expect(clippy::panic, reason = "nobody waits for an hour")]
pub(crate) fn block() -> ! {
    monotonic_clock::subscribe_duration(3_600_000_000_000).block();
    panic!("an hour has gone by")
}

/// Writes so many lines; how many could be written.
pub(crate) fn flood_log(lines: usize) -> usize {
    let stderr = stderr::get_stderr();
    (0..lines)
        .take_while(|n| stderr.blocking_write_and_flush(format!("line {n}\u{1b}[31m\n").as_bytes()).is_ok())
        .count()
}

pub(crate) fn clock_and_random() -> bool {
    monotonic_clock::now() > 0 && random() != random()
}

pub(crate) fn random() -> u64 {
    wasi_random::get_random_u64()
}

/// Draws so many KiB, again and again.
pub(crate) fn random_bytes(kib: usize) -> ! {
    loop {
        black_box(wasi_random::get_random_bytes((kib as u64) << 10));
    }
}

pub(crate) fn environment() -> usize {
    environment::get_environment().len()
}

pub(crate) fn arguments() -> usize {
    environment::get_arguments().len()
}

pub(crate) fn folders() -> usize {
    preopens::get_directories().len()
}

pub(crate) fn socket() -> String {
    let socket = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
        Ok(socket) => socket,
        Err(code) => return format!("no socket: {}", code.name()),
    };
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 80, address: (127, 0, 0, 1) });
    let connected = socket.start_connect(&instance_network::instance_network(), address);
    format!("no connection: {}", connected.err().map_or("", |code| code.name()))
}

pub(crate) fn resolve() -> String {
    let resolved = ip_name_lookup::resolve_addresses(&instance_network::instance_network(), "localhost");
    format!("no address: {}", resolved.err().map_or("", |code| code.name()))
}

pub(crate) fn http() -> u32 {
    outgoing_handler::handle(1)
}

pub(crate) fn unknown_import() -> String {
    commands::run("id")
}

#[expect(clippy::panic, reason = "the handle is nobody's")]
pub(crate) fn forged_handle() -> ! {
    #[expect(unsafe_code, reason = "that is the fault")]
    // SAFETY: there is none; the host has to notice.
    let forged = unsafe { Pollable::from_handle(4242) };
    forged.block();
    panic!("a handle that nobody gave was taken")
}
