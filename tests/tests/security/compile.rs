//! Components that are dear to compile or to run.
