//! A project's files do nothing until the user has trusted them.
