//! Logins at servers, and what is opened for them.
