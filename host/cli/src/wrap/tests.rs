//! Tests over whole configs.
