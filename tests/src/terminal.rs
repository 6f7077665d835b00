//! A terminal for programs that look whether they have one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;

/// Runs a command on a terminal; what it shows.
#[must_use]
pub fn run(command: Command) -> String {
    answering(command, None)
}

/// The same, with stdin there, too, where these words have been typed.
#[must_use]
pub fn answering(mut command: Command, typed: Option<&str>) -> String {
    let (mut master, slave) = open();
    let error = slave.try_clone().unwrap_or_else(|e| panic!("no terminal: {e}"));
    let stdin = match typed {
        Some(_) => Stdio::from(slave.try_clone().unwrap_or_else(|e| panic!("no terminal: {e}"))),
        None => Stdio::null(),
    };
    master.write_all(typed.unwrap_or_default().as_bytes()).unwrap_or_else(|e| panic!("no terminal: {e}"));
    let mut child =
        command.stdin(stdin).stdout(slave).stderr(error).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // The command holds the other end, too; without it, the end of what the program shows is never seen.
    drop(command);
    let shown = shown(master);
    let _ = child.wait();
    shown
}

/// Runs a command on a terminal, its stdin included, where words are typed: each of them once what it answers is shown. What is typed before the
/// first question is `ahead`.
#[must_use]
pub fn conversing(mut command: Command, ahead: &str, answers: &[(&str, &str)]) -> String {
    let (mut master, slave) = open();
    let another = || slave.try_clone().unwrap_or_else(|e| panic!("no terminal: {e}"));
    master.write_all(ahead.as_bytes()).unwrap_or_else(|e| panic!("no terminal: {e}"));
    let child = command.stdin(another()).stdout(another()).stderr(another()).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // As above.
    drop((command, slave));
    let (mut all, mut from, mut answers) = (String::new(), 0, answers.iter());
    let (mut next, mut piece) = (answers.next(), [0; 4096]);
    // A terminal whose program has gone ends with an error.
    while let Ok(bytes @ 1..) = master.read(&mut piece) {
        all.push_str(&String::from_utf8_lossy(piece.get(..bytes).unwrap_or_default()));
        if let Some((question, answer)) = next
            && all.get(from..).unwrap_or_default().contains(question)
        {
            (from, next) = (all.len(), answers.next());
            master.write_all(answer.as_bytes()).unwrap_or_else(|e| panic!("no terminal: {e}"));
        }
    }
    let _ = child.wait();
    all
}

/// A new terminal: what is shown on it, and what a program is given.
#[must_use]
pub fn open() -> (File, OwnedFd) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let master = master.unwrap_or_else(|e| panic!("no terminal: {e}"));
    let ready = rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master));
    let name = ready.and_then(|()| rustix::pty::ptsname(&master, Vec::new()));
    let name = name.unwrap_or_else(|e| panic!("no terminal: {e}"));
    let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    (File::from(master), slave.unwrap_or_else(|e| panic!("no terminal: {e}")))
}

/// All that is shown on a terminal, until no program has it any more.
#[must_use]
pub fn shown(mut master: File) -> String {
    let mut shown = Vec::new();
    // A terminal whose program has gone ends with an error.
    let _ = master.read_to_end(&mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}
