//! What takes long, shown on a terminal while it lasts.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytesize::ByteSize;

/// What is over sooner isn't shown.
const PATIENCE: Duration = Duration::from_millis(300);

/// A line on stderr that goes when this is dropped.
struct Line {
    /// Its end is what the thread waits for.
    going: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Shows that a plugin is being compiled, until what this gives is dropped.
pub(super) fn compiling(name: &str, size: usize) -> Box<dyn Send> {
    let text = format!("compiling `{name}` ({}), once for this version", ByteSize::b(size as u64));
    let text = understudy::text::for_terminal(&text);
    let (going, ended) = mpsc::channel::<()>();
    let began = Instant::now();
    let show = move || {
        let mut is_shown = false;
        while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            is_shown = true;
            // There is nowhere to say that stderr is gone.
            let _ = write!(io::stderr(), "\r{text} … {:.0} s", began.elapsed().as_secs_f64());
        }
        if is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    };
    let thread = thread::Builder::new().name("progress".to_owned()).spawn(show).ok();
    Box::new(Line { going: Some(going), thread })
}

impl Drop for Line {
    fn drop(&mut self) {
        self.going.take();
        if let Some(thread) = self.thread.take() {
            // It only writes.
            let _ = thread.join();
        }
    }
}
