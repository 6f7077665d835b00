//! What a child process inherits, and what of it reaches the terminal.
