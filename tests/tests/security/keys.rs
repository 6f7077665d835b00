//! The user's key, in whatever spelling it comes back, and a plugin's own account.
