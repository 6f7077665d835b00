//! No guards, with the part of the real ones' surface that the others use.

use std::sync::Arc;

use crate::error::Error;

/// There is none.
#[derive(Debug)]
pub enum Guard {}

/// None of them.
#[derive(Debug)]
pub struct Guards;

/// What guards are told of a request.
#[derive(Debug)]
#[expect(dead_code, reason = "there is nobody to tell")]
pub struct Circumstances {
    pub(crate) server: String,
    pub(crate) client: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) request_id: String,
    pub(crate) model: Option<String>,
    pub(crate) plugin: Option<String>,
    pub(crate) extensions: String,
}

/// A reason for which somebody is to be asked. There is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub(crate) guard: String,
    pub(crate) reason: String,
}

/// What guards left of a value: all of it.
#[derive(Debug)]
pub struct Guarded<T> {
    pub(crate) value: T,
    pub(crate) questions: Vec<Question>,
}

#[expect(clippy::unused_async, reason = "guards have something to wait for")]
impl Guards {
    /// None.
    #[must_use]
    pub fn new(_: &[String], _: Vec<Guard>) -> Self {
        Self
    }

    /// None.
    #[must_use]
    pub fn digests(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// They don't.
    #[must_use]
    pub fn check_requests(&self) -> bool {
        false
    }

    /// They don't.
    #[must_use]
    pub fn check_answers(&self) -> bool {
        false
    }

    /// All of it.
    ///
    /// # Errors
    /// None.
    pub async fn request<T>(&self, request: T, _: &Arc<Circumstances>) -> Result<Guarded<T>, Error> {
        Ok(Guarded { value: request, questions: Vec::new() })
    }

    /// All of it.
    ///
    /// # Errors
    /// None.
    pub async fn answer<T>(
        &self,
        answer: T,
        _: Option<&[String]>,
        _: &Arc<Circumstances>,
    ) -> Result<Guarded<T>, Error> {
        Ok(Guarded { value: answer, questions: Vec::new() })
    }
}
