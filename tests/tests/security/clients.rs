//! Two clients of one server: neither gets what is the other's.
