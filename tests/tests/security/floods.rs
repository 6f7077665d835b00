//! Who may come in at `serve`, and how much they may hold.
