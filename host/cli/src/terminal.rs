//! Asking the user in the terminal: whether a sampling request may be answered, and what a verb has to know.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use async_trait::async_trait;
use rustix::fs::OFlags;
use tokio::sync::{Mutex, mpsc};
use understudy::approval::{ApprovalReply, ApprovalRequest, Ask};
use understudy::text::for_terminal;

use super::log;

/// The terminal that the process was started from, whatever its stdin and stdout are.
const TERMINAL: &str = "/dev/tty";

/// The lines that are typed there. One thread reads them, for all questions: a read can't be given up, and must not take the next one's answer.
static LINES: Mutex<Option<mpsc::UnboundedReceiver<io::Result<String>>>> = Mutex::const_new(None);

/// Whether a verb's user sees a question and can answer it.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A verb's question, and the line that is typed; an error at the end of the input.
pub(super) fn answer(question: &str) -> io::Result<String> {
    log::flush();
    write!(io::stderr(), "{} ", for_terminal(question))?;
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal's input has ended"));
    }
    Ok(line.trim().to_owned())
}

/// Whether the user says yes to a verb's question.
pub(super) fn says_yes(question: &str) -> io::Result<bool> {
    match answer(&format!("{question} [y/N]")) {
        Ok(answer) => Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks there.
#[derive(Debug)]
pub(super) struct AskInTerminal;

#[async_trait]
impl Ask for AskInTerminal {
    async fn ask(&self, request: &ApprovalRequest) -> ApprovalReply {
        let asked = ask(&request.message(), request.can_remember).await;
        asked.unwrap_or_else(|error| ApprovalReply::Unavailable(format!("there is no terminal: {error}")))
    }

    fn allowed_here(&self) -> &'static str {
        "allowed in the terminal"
    }
}

/// Says, when it is dropped, that a question needs no answer any more.
struct Question<'a> {
    terminal: &'a File,
    is_open: bool,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if self.is_open {
            let mut terminal = self.terminal;
            // If the terminal is closed, nobody reads this.
            let _ = terminal.write_all(b"\n(It is decided, or its time is over.)\n");
        }
    }
}

async fn ask(message: &str, can_remember: bool) -> io::Result<ApprovalReply> {
    let mut lines = LINES.lock().await;
    log::flush();
    let mut terminal = OpenOptions::new().write(true).open(TERMINAL)?;
    let lines = match &mut *lines {
        Some(lines) => lines,
        none => none.insert(read_lines()?),
    };
    // What was typed before the question is no answer to it.
    while lines.try_recv().is_ok() {}
    let choices = if can_remember { "[y]es, [n]o, [a]lways" } else { "[y]es, [n]o" };
    terminal.write_all(format!("\n{}\n\nAllow it? {choices}: ", for_terminal(message)).as_bytes())?;
    let mut question = Question { terminal: &terminal, is_open: true };
    loop {
        let line = lines.recv().await;
        question.is_open = false;
        let line = match line {
            Some(line) => line?,
            None => return Ok(ApprovalReply::Unanswered("the terminal was closed".to_owned())),
        };
        // A line that the end of the input has cut off may have been meant otherwise.
        match line.strip_suffix('\n').map(|line| line.trim().to_lowercase()).as_deref() {
            Some("y" | "yes") => return Ok(ApprovalReply::Allowed { remember: false }),
            Some("a" | "always") if can_remember => return Ok(ApprovalReply::Allowed { remember: true }),
            Some("n" | "no") => return Ok(ApprovalReply::Refused),
            None => return Ok(ApprovalReply::Unanswered("the terminal's input has ended".to_owned())),
            Some(_) => {
                let mut again = &terminal;
                again.write_all(format!("{choices}: ").as_bytes())?;
                question.is_open = true;
            }
        }
    }
}

/// Begins to read what is typed from now on.
fn read_lines() -> io::Result<mpsc::UnboundedReceiver<io::Result<String>>> {
    let mut typed = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(TERMINAL)?;
    let mut before = [0; 4096];
    while typed.read(&mut before).is_ok_and(|bytes| bytes > 0) {}
    let mut terminal = BufReader::new(File::open(TERMINAL)?);
    let (typed, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            let read = terminal.read_line(&mut line).map(|_| line);
            let is_last = !read.as_ref().is_ok_and(|line| line.ends_with('\n'));
            if typed.send(read).is_err() || is_last {
                return;
            }
        }
    });
    Ok(lines)
}
