//! Logins at servers, and what is opened for them: whatever a server says, a login's secrets go to the issuer that it belongs to.

mod answers;
mod documents;
mod kept;
mod opened;
mod renewal;
mod stage;
