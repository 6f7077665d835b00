//! A user's refusal stands.
