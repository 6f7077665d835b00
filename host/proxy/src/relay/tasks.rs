//! Sampling requests that are answered as tasks (revision 2025-11-25): the server gets a task at once, and asks for its state and its
//! result when it likes.
//!
//! A task belongs to its session and ends with it. It is kept for as long as the server wished, at most an hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp::{RawObject, code, method, splice};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::common::Failure;
use understudy::text::one_line;

/// How long a task is kept if the server doesn't say, and at most.
const TTL: Duration = Duration::from_mins(10);
const LONGEST: Duration = Duration::from_hours(1);

/// How long a server is advised to wait before it asks again, in milliseconds.
const POLL: u64 = 500;

/// So many tasks of one session are kept, and so many bytes of results. Beyond that the oldest that has ended is forgotten.
const MOST: usize = 256;
const MOST_BYTES: usize = 64 << 20;

/// The tasks of one session.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<TasksState>);

#[derive(Debug, Default)]
struct TasksState {
    tasks: HashMap<String, Task>,
    made: u64,
    closed: bool,
}

#[derive(Debug)]
struct Task {
    /// The how many-th it is.
    number: u64,
    created: SystemTime,
    updated: SystemTime,
    ttl: Duration,
    status: watch::Sender<Status>,
    /// Ends the work, and not the keeping.
    stop: CancellationToken,
    _work: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
enum Status {
    Working,
    Completed(Arc<str>),
    Failed(Failure),
    Cancelled,
}

impl Status {
    fn has_ended(&self) -> bool {
        !matches!(self, Self::Working)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Completed(result) => result.len(),
            Self::Failed(failure) => failure.message.len(),
            Self::Working | Self::Cancelled => 0,
        }
    }
}

/// Whether a request wants to be a task, and for how long; an error if nobody could tell.
pub(super) fn wanted(params: &[u8]) -> Option<Result<Duration, Failure>> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default)]
        task: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Wish {
        #[serde(default)]
        ttl: Option<f64>,
    }
    memchr::memmem::find(params, b"\"task\"")?;
    let task = serde_json::from_slice::<Params>(params).ok()?.task?;
    let wish = Some(task).filter(|task| splice::is_object(task));
    let ttl = match wish.map(|wish| serde_json::from_str(wish.get())) {
        Some(Ok(Wish { ttl: None })) => Some(TTL),
        Some(Ok(Wish { ttl: Some(ttl) })) => Duration::try_from_secs_f64(ttl / 1000.0).ok(),
        _ => None,
    };
    let reason = "invalid sampling request: `task` must be an object, and its `ttl` a number of milliseconds";
    Some(ttl.map(|ttl| ttl.min(LONGEST)).ok_or_else(|| Failure::new(code::INVALID_PARAMS, reason)))
}

impl Tasks {
    /// Begins a task, kept for `ttl`; the `CreateTaskResult`.
    pub(super) fn begin(
        self: &Arc<Self>,
        ttl: Duration,
        work: impl Future<Output = Result<String, Failure>> + Send + 'static,
    ) -> Result<String, Failure> {
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| Failure::new(code::INTERNAL_ERROR, "no random number for a task"))?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let mut state = self.lock();
        while state.tasks.len() >= MOST {
            if !state.forget_oldest() {
                let reason = format!("{MOST} tasks of this session are going on already; wait for one, or cancel one");
                return Err(Failure::new(code::INTERNAL_ERROR, reason));
            }
        }
        if state.closed {
            return Err(Failure::new(code::INTERNAL_ERROR, "the session has ended"));
        }
        state.made += 1;
        let (tasks, key, expires) = (Arc::clone(self), id.clone(), Instant::now() + ttl);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let work = tokio::spawn(async move {
            let kept = async {
                tokio::select! {
                    outcome = work => tasks.end(&key, outcome),
                    () = stopped => {}
                }
                std::future::pending::<()>().await;
            };
            // This is always late: what is kept doesn't end.
            let _ = tokio::time::timeout_at(expires, kept).await;
            let forgotten = tasks.lock().tasks.remove(&key);
            drop(forgotten);
        });
        let now = SystemTime::now();
        let task = Task {
            number: state.made,
            created: now,
            updated: now,
            ttl,
            status: watch::Sender::new(Status::Working),
            stop,
            _work: AbortOnDropHandle::new(work),
        };
        let result = json!({ "task": task.shown(&id) }).to_string();
        state.tasks.insert(id, task);
        Ok(result)
    }

    /// A task's work is done.
    fn end(&self, id: &str, outcome: Result<String, Failure>) {
        let status = match outcome {
            Ok(result) => Status::Completed(with_related(&result, id).into()),
            Err(failure) => Status::Failed(failure),
        };
        let mut state = self.lock();
        if let Some(task) = state.tasks.get_mut(id) {
            task.turn(status);
        }
        while state.bytes() > MOST_BYTES && state.forget_oldest() {}
    }

    /// Whether it is one of the methods of tasks.
    pub(super) fn knows(method: &str) -> bool {
        matches!(method, method::TASKS_GET | method::TASKS_RESULT | method::TASKS_LIST | method::TASKS_CANCEL)
    }

    /// Answers one of the methods that [`Tasks::knows`]; `tasks/result` waits until the task has ended.
    pub(super) async fn answer(&self, method: &str, params: &[u8]) -> Result<String, Failure> {
        let params: Value = serde_json::from_slice(params).unwrap_or_default();
        let text = |key: &str| params.get(key).and_then(Value::as_str);
        if method == method::TASKS_LIST {
            return match text("cursor") {
                None => Ok(self.list()),
                Some(_) => Err(Failure::new(code::INVALID_PARAMS, "the `cursor` is none of ours: there is one page")),
            };
        }
        let id =
            text("taskId").ok_or_else(|| Failure::new(code::INVALID_PARAMS, "`taskId` is missing, or no string"))?;
        match method {
            method::TASKS_RESULT => self.result(id).await,
            method::TASKS_CANCEL => self.cancel(id),
            _ => self.lock().task(id).map(|task| task.shown(id).to_string()),
        }
    }

    /// Whether the task that these parameters name is one of these.
    pub(super) fn has(&self, params: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "taskId")]
            id: String,
        }
        serde_json::from_slice::<Named>(params).is_ok_and(|named| self.lock().tasks.contains_key(&named.id))
    }

    fn list(&self) -> String {
        let state = self.lock();
        let mut tasks: Vec<(&String, &Task)> = state.tasks.iter().collect();
        tasks.sort_unstable_by_key(|(_, task)| task.number);
        let tasks: Vec<Value> = tasks.into_iter().map(|(id, task)| task.shown(id)).collect();
        json!({ "tasks": tasks }).to_string()
    }

    async fn result(&self, id: &str) -> Result<String, Failure> {
        let mut status = self.lock().task(id)?.status.subscribe();
        let ended = status.wait_for(Status::has_ended).await.map(|status| status.clone());
        match ended {
            Ok(Status::Completed(result)) => Ok(result.as_ref().to_owned()),
            Ok(Status::Failed(failure)) => Err(failure),
            Ok(Status::Cancelled) => Err(Failure::new(code::INTERNAL_ERROR, "the task was cancelled")),
            Ok(Status::Working) | Err(_) => {
                Err(Failure::new(code::INTERNAL_ERROR, "the task's time (`ttl`) was over before it had ended"))
            }
        }
    }

    fn cancel(&self, id: &str) -> Result<String, Failure> {
        let mut state = self.lock();
        let task = state.task(id)?;
        if task.status.borrow().has_ended() {
            return Err(Failure::new(code::INVALID_PARAMS, "the task has ended already, so it can't be cancelled"));
        }
        task.turn(Status::Cancelled);
        task.stop.cancel();
        Ok(task.shown(id).to_string())
    }

    /// Ends all of them.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let ended = std::mem::take(&mut state.tasks);
        drop(state);
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, TasksState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TasksState {
    fn task(&mut self, id: &str) -> Result<&mut Task, Failure> {
        let reason = || format!("no task `{}` is kept: it never was, or its time (`ttl`) is over", one_line(id, 100));
        self.tasks.get_mut(id).ok_or_else(|| Failure::new(code::INVALID_PARAMS, reason()))
    }

    fn bytes(&self) -> usize {
        self.tasks.values().map(|task| task.status.borrow().bytes()).sum()
    }

    /// Forgets the oldest that has ended; whether there is one.
    fn forget_oldest(&mut self) -> bool {
        let ended = self.tasks.iter().filter(|(_, task)| task.status.borrow().has_ended());
        let oldest = ended.min_by_key(|(_, task)| task.number).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.tasks.remove(&id).is_some())
    }
}

impl Task {
    fn turn(&mut self, status: Status) {
        self.updated = SystemTime::now();
        self.status.send_replace(status);
    }

    /// The specification's `Task`.
    fn shown(&self, id: &str) -> Value {
        let time = |time| humantime::format_rfc3339_millis(time).to_string();
        let (status, message) = match &*self.status.borrow() {
            Status::Working => ("working", None),
            Status::Completed(_) => ("completed", None),
            Status::Failed(failure) => ("failed", Some(failure.message.clone())),
            Status::Cancelled => ("cancelled", None),
        };
        let mut task = json!({
            "taskId": id,
            "status": status,
            "createdAt": time(self.created),
            "lastUpdatedAt": time(self.updated),
            "ttl": u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            "pollInterval": POLL,
        });
        if let (Some(message), Some(task)) = (message, task.as_object_mut()) {
            task.insert("statusMessage".to_owned(), message.into());
        }
        task
    }
}

/// A result that says which task it is of.
fn with_related(result: &str, id: &str) -> String {
    let Ok(mut result) = serde_json::from_str::<RawObject>(result) else { return result.to_owned() };
    let mut meta = result.object("_meta").unwrap_or_default();
    meta.put(mcp::meta::RELATED_TASK, &json!({ "taskId": id }));
    result.set("_meta", meta.raw());
    String::from(Box::<str>::from(result.raw()))
}

#[cfg(test)]
mod tests;
