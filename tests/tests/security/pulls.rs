//! What a hostile registry can do.
