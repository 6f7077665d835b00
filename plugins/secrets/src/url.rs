//! Passwords in URLs.
//!
//! Source: RFC 3986, section 3.2.1 (`user:password@`), and each database's manual on its connection URIs.

use crate::find::Finding;

/// Schemes of databases and brokers.
const DATABASES: [&str; 18] = [
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "mongodb+srv",
    "redis",
    "rediss",
    "amqp",
    "amqps",
    "mssql",
    "sqlserver",
    "cockroachdb",
    "clickhouse",
    "neo4j",
    "bolt",
    "cassandra",
    "nats",
];
const OTHERS: [&str; 8] = ["https", "http", "ftp", "ftps", "sftp", "smtp", "smtps", "ldaps"];
/// What people write where a password belongs.
const DUMMIES: [&str; 18] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "user",
    "username",
    "postgres",
    "root",
    "admin",
    "guest",
    "test",
    "token",
    "mysecretpassword",
    "changeme",
    "example",
    "pw",
    "x-oauth-basic",
];

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    for (at, mark) in text.match_indices("://") {
        let before = text.get(..at).unwrap_or_default();
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || c == '+';
        let word = before.rsplit(|c: char| !is_scheme(c)).next().unwrap_or_default();
        // A line break may be escaped.
        let is_escaped = before.len() > word.len() && before.ends_with(&format!("\\{word}"));
        let word = word.strip_prefix(['n', 'r', 't']).filter(|_| is_escaped).unwrap_or(word);
        let scheme = word.to_ascii_lowercase();
        // SQLAlchemy and Django name the driver after a `+`.
        let base = scheme.split('+').next().unwrap_or_default();
        let kind = if DATABASES.contains(&scheme.as_str()) || DATABASES.contains(&base) {
            "password in a database URL"
        } else if OTHERS.contains(&scheme.as_str()) {
            "password in a URL"
        } else {
            continue;
        };
        let begin = at + mark.len();
        let rest = text.get(begin..).unwrap_or_default();
        let is_end = |c: char| c.is_whitespace() || c.is_control() || "/?#\"'<>`\\|{}()".contains(c);
        let authority = rest.get(..rest.find(is_end).unwrap_or(rest.len())).unwrap_or_default();
        let Some((user, password)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
            continue;
        };
        if is_password(password) {
            let from = begin + user.len() + 1;
            found.push(Finding { kind, range: from..from + password.len() });
        }
    }
}

fn is_password(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let stands_for_one = text.starts_with(['$', '%', '[', ':']) && !text.starts_with("%2") || text.contains("***");
    let is_one_letter = text.chars().all(|c| text.starts_with(c));
    text.len() >= 4
        && !DUMMIES.contains(&lower.as_str())
        && !stands_for_one
        && !is_one_letter
        && !lower.contains("your")
}
