//! Raw JSON-RPC messages, told apart without parsing them.
//!
//! Most messages are only passed on. One scan finds the `method` and the `id` at the top; the scan takes the text in pieces of any size, so that it
//! also names a message that is too long to hold.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a `method` and an `id`.
    Request,
    /// It has a `method` and no `id`.
    Notification,
    /// It has an `id` and a `result` or an `error`.
    Response,
    /// An array (JSON-RPC batches, which revision 2025-03-26 knows).
    Batch,
    /// Blank, or nothing that JSON-RPC knows: a message with something else on its line is none either.
    Other,
}

/// The result of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that the scan has seen")]
pub struct Head {
    method: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    answers: bool,
    batch: bool,
    /// Values that another reader might take for the method.
    others: Vec<String>,
    /// Whether the line holds anything beside one value.
    odd: bool,
    /// Whether text stands before the value.
    quoted: bool,
}

impl Head {
    /// Scans a whole message.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        let mut scanner = Scanner::default();
        scanner.feed(message);
        scanner.finish()
    }

    /// The kind of the message.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (&self.method, &self.id) {
            _ if self.batch => Kind::Batch,
            _ if self.odd => Kind::Other,
            (Some(_), Some(_)) => Kind::Request,
            (Some(_), None) => Kind::Notification,
            (None, Some(_)) if self.answers => Kind::Response,
            (None, _) => Kind::Other,
        }
    }

    /// The method, if it is valid and short enough to be one.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref().and_then(|method| std::str::from_utf8(method).ok())
    }

    /// Values that another reader might take for the method: one that a later `method` replaces, one whose key differs in case, and one that is too
    /// long or no valid text. Nearly always none.
    #[must_use]
    pub fn other_methods(&self) -> &[String] {
        &self.others
    }

    /// Whether this is anything but one value on its line: another reader may find a second message in it, or begin elsewhere.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        self.odd
    }

    /// Whether text stands before the value: a line of a log that quotes a message (`DEBUG sent: {…}`), and is none.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// Whether it has a result or an error, and no method.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.answers && self.method.is_none()
    }

    /// The id as it is spelt in the message: `7`, `"a"`.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// This head with another id.
    #[must_use]
    pub fn with_id(self, id: Vec<u8>) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Whether this is a request for `method`.
    #[must_use]
    pub fn is_request(&self, method: &str) -> bool {
        self.kind() == Kind::Request && self.method() == Some(method)
    }

    /// Whether this is the notification `method`.
    #[must_use]
    pub fn is_notification(&self, method: &str) -> bool {
        self.kind() == Kind::Notification && self.method() == Some(method)
    }
}

/// The longest `id` and the longest key or `method` that are looked at, in bytes.
const LONGEST_ID: usize = 4096;
const LONGEST_NAME: usize = 256;

/// The scan, in pieces.
///
/// It follows strings and nesting only, and doesn't check the rest: whether a message is valid JSON is for its reader to
/// say. Where a key comes twice the last one counts, as with most parsers.
#[derive(Debug, Default)]
pub struct Scanner {
    head: Head,
    depth: usize,
    text: Option<Text>,
    /// Whether a string at the top level is a key.
    at_key: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Whether anything but white space has come, and whether an object or an array has.
    begun: bool,
    opened: bool,
}

/// A string that is being read.
#[derive(Debug, Clone, Copy)]
struct Text {
    keep: Keep,
    escaped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Key,
    Value,
    Nothing,
}

impl Scanner {
    /// The next piece of the message.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while let Some((&byte, rest)) = piece.split_first() {
            if let Some(text) = self.text {
                piece = self.in_text(text, piece);
                continue;
            }
            piece = rest;
            match byte {
                b'"' => self.open_text(),
                b'{' | b'[' => {
                    // A second value, or one behind something else.
                    self.head.odd |= self.begun && self.depth == 0;
                    if !self.begun {
                        self.head.batch = byte == b'[';
                        self.at_key = byte == b'{';
                    } else if self.depth == 1 {
                        self.value.clear();
                        self.value.push(byte);
                    }
                    self.begun = true;
                    self.opened = true;
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.head.odd |= self.depth == 0;
                    if self.depth == 1 {
                        self.end_value();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                _ if self.depth != 1 => {
                    if !byte.is_ascii_whitespace() {
                        self.head.odd |= self.depth == 0;
                        self.head.quoted |= !self.opened && byte.is_ascii_graphic();
                        self.begun = true;
                    }
                }
                b',' => {
                    self.end_value();
                    self.at_key = !self.head.batch;
                }
                b':' if self.at_key => {
                    self.at_key = false;
                    self.value.clear();
                }
                _ if byte.is_ascii_whitespace() => {}
                _ => push(&mut self.value, byte, LONGEST_ID),
            }
        }
    }

    /// Ends the scan.
    #[must_use]
    pub fn finish(self) -> Head {
        self.head
    }

    fn open_text(&mut self) {
        let keep = match (self.depth, self.at_key) {
            (1, true) => Keep::Key,
            (1, false) => Keep::Value,
            _ => Keep::Nothing,
        };
        match keep {
            Keep::Key => {
                self.key.clear();
                self.key.push(b'"');
            }
            Keep::Value => {
                self.value.clear();
                self.value.push(b'"');
            }
            Keep::Nothing => self.begun = true,
        }
        self.text = Some(Text { keep, escaped: false });
    }

    /// Reads on in a string; what is behind it.
    fn in_text<'a>(&mut self, text: Text, piece: &'a [u8]) -> &'a [u8] {
        let (part, rest) = if text.escaped {
            self.text = Some(Text { escaped: false, ..text });
            piece.split_at(1)
        } else {
            match memchr::memchr2(b'"', b'\\', piece) {
                None => (piece, &[][..]),
                Some(at) => {
                    let (part, rest) = piece.split_at(at + 1);
                    self.text = (part.last() == Some(&b'\\')).then_some(Text { escaped: true, ..text });
                    (part, rest)
                }
            }
        };
        match text.keep {
            Keep::Key => extend(&mut self.key, part, LONGEST_NAME),
            Keep::Value => extend(&mut self.value, part, LONGEST_ID),
            Keep::Nothing => {}
        }
        rest
    }

    /// A value at the top level has ended, and perhaps its key matters.
    fn end_value(&mut self) {
        if self.head.batch {
            return;
        }
        let plain = self.key.get(1..self.key.len().saturating_sub(1)).unwrap_or_default();
        let decoded = plain.contains(&b'\\').then(|| decode(&self.key)).flatten();
        match decoded.as_deref().unwrap_or(plain) {
            b"id" => self.head.id = scalar(&self.value).map(<[u8]>::to_vec),
            b"method" => {
                let method = decode(&self.value);
                if method.is_none() {
                    self.head.others.push(String::from_utf8_lossy(&self.value).trim_matches('"').to_owned());
                }
                let before = std::mem::replace(&mut self.head.method, method);
                self.head.others.extend(before.map(|before| String::from_utf8_lossy(&before).into_owned()));
            }
            b"result" | b"error" => self.head.answers = true,
            // Some readers look at the letters alone, and some at what stands before a NUL.
            other if other.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"method")) && is_method(other) => {
                let value = decode(&self.value).unwrap_or_else(|| self.value.clone());
                self.head.others.push(String::from_utf8_lossy(&value).trim_matches('"').to_owned());
            }
            _ => {}
        }
        self.key.clear();
        self.value.clear();
    }
}

/// Whether some reader takes this key for `method`.
fn is_method(key: &[u8]) -> bool {
    key.get(6..).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == 0 || byte.is_ascii_whitespace()))
}

fn push(to: &mut Vec<u8>, byte: u8, most: usize) {
    extend(to, &[byte], most);
}

/// Beyond `most` bytes one more is kept, so that what is too long is never mistaken for what is just short enough.
fn extend(to: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = (most + 1).saturating_sub(to.len());
    to.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

/// The content of a JSON string that is short enough to be a name.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    (text.len() <= LONGEST_NAME).then(|| serde_json::from_slice::<String>(text).ok().map(String::into_bytes)).flatten()
}

/// An id as JSON-RPC allows it: a string or a number.
fn scalar(value: &[u8]) -> Option<&[u8]> {
    (value.len() <= LONGEST_ID && !matches!(value.first(), None | Some(b'{' | b'[' | b'n' | b't' | b'f')))
        .then_some(value)
}

/// The members of a message that are parsed once it is to be handled.
#[derive(Debug, Deserialize)]
pub struct Parts<'a> {
    /// `params`, as spelt.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// `result`, as spelt.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// `error`
    #[serde(default)]
    pub error: Option<ErrorObject>,
}

/// Reads a member that may be `null`, and tells it from one that is absent. For `deserialize_with`, with a default.
///
/// # Errors
/// If it isn't valid JSON.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether a value is `null`.
#[must_use]
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A JSON-RPC error, or what a peer sends in the place of one.
#[derive(Debug, Clone, Default)]
pub struct ErrorObject {
    /// `code`; also from a text or a number with a fraction of zero. 0 if it is none of these.
    pub code: i64,
    /// `message`; empty if it is no text. An error that is a text itself is its message.
    pub message: String,
    /// `data`
    pub data: Value,
}

impl<'de> Deserialize<'de> for ErrorObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = match Value::deserialize(deserializer)? {
            Value::Object(members) => members,
            Value::String(message) => return Ok(Self { message, ..Self::default() }),
            data => return Ok(Self { data, ..Self::default() }),
        };
        let message = match members.remove("message") {
            Some(Value::String(message)) => message,
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let code = members.remove("code").as_ref().and_then(whole).unwrap_or_default();
        Ok(Self { code, message, data: members.remove("data").unwrap_or_default() })
    }
}

/// A whole number, however it is written.
fn whole(value: &Value) -> Option<i64> {
    let of_text = |text: &str| text.trim().parse::<i64>().ok();
    match value {
        Value::Number(number) => number.as_i64().or_else(|| of_text(number.to_string().strip_suffix(".0")?)),
        Value::String(text) => of_text(text.trim().strip_suffix(".0").unwrap_or(text)),
        _ => None,
    }
}

impl<'a> Parts<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// If it isn't valid JSON.
    pub fn of(message: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(message: &str) -> (Kind, Option<String>, Option<String>) {
        let whole = Head::of(message.as_bytes());
        // However the message is cut, the scan finds the same.
        for size in [1, 2, 3, 7] {
            let mut scanner = Scanner::default();
            message.as_bytes().chunks(size).for_each(|piece| scanner.feed(piece));
            assert_eq!(scanner.finish(), whole, "{message} in pieces of {size}");
        }
        let id = whole.id().map(|id| String::from_utf8(id.to_vec()).unwrap());
        (whole.kind(), whole.method().map(str::to_owned), id)
    }

    #[test]
    fn a_message_is_known_by_method_and_id_wherever_they_stand() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(seen(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#), (Kind::Request, some("ping"), some("7")));
        assert_eq!(
            seen(r#" { "params" : {"id":1,"method":"no","x":["}",{"id":2}]} , "method" : "a\/b" , "id" : "q\"\\" } "#),
            (Kind::Request, some("a/b"), some(r#""q\"\\""#))
        );
        assert_eq!(seen(r#"{"method":"n","params":{"id":3}}"#), (Kind::Notification, some("n"), None));
        assert_eq!(
            seen(r#"{"result":{"method":"x"},"id":9223372036854775808}"#),
            (Kind::Response, None, some("9223372036854775808"))
        );
        assert_eq!(seen(r#"{"error":{"code":1},"id":1.50}"#), (Kind::Response, None, some("1.50")));
        assert_eq!(seen(r#"{"\u0069d":1,"meth\u006fd":"m"}"#), (Kind::Request, some("m"), some("1")));
        assert_eq!(seen(r#"{"id":null,"method":"m"}"#), (Kind::Notification, some("m"), None));
        assert_eq!(seen(r#"[{"id":1,"method":"m"}]"#), (Kind::Batch, None, None));
    }

    #[test]
    fn what_is_no_message_is_left_alone() {
        for text in [
            "",
            "\r\n",
            "hello",
            "\"method\"",
            "{",
            "}{",
            "12",
            "{\"id\":{\"a\":1}}",
            "{\"method\":\"m",
            "[",
            "]:,\"\"",
        ] {
            let (kind, ..) = seen(text);
            assert!(matches!(kind, Kind::Other | Kind::Batch), "{text}");
        }
    }

    #[test]
    fn a_line_of_a_log_that_quotes_a_message_is_none() {
        let message = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        for before in
            ["DEBUG response: ", "\u{1b}[32minfo\u{1b}[0m ", "--> ", "2026-11-29T10:00:00Z ", "[12:00:01] sent ", "12 "]
        {
            let head = Head::of(format!("{before}{message}\n").as_bytes());
            assert!(matches!(head.kind(), Kind::Other | Kind::Batch) && head.is_odd(), "{before}");
        }
        assert!(Head::of(format!("-> {message}").as_bytes()).is_quoted());
        for message in [format!(" \t{message} \r\n"), format!("\u{feff}{message}"), format!("{message} DEBUG")] {
            assert!(!Head::of(message.as_bytes()).is_quoted(), "{message}");
        }
        assert_eq!(Head::of(format!("{message} (sent)").as_bytes()).kind(), Kind::Other);
    }

    #[test]
    fn names_that_are_too_long_are_not_taken_for_short_ones() {
        let long = "x".repeat(LONGEST_NAME + 10);
        assert_eq!(seen(&format!(r#"{{"id":1,"method":"{long}"}}"#)), (Kind::Other, None, Some("1".to_owned())));
        assert_eq!(seen(&format!(r#"{{"{long}":1,"method":"m"}}"#)).0, Kind::Notification);
        assert_eq!(seen(&format!(r#"{{"id":"{}","method":"m"}}"#, "y".repeat(LONGEST_ID))).2, None);
    }

    #[test]
    fn what_another_reader_might_take_for_the_method_is_told() {
        let others = |message: &str| Head::of(message.as_bytes()).other_methods().join(" ");
        assert_eq!(others(r#"{"id":1,"method":"a","meth\u006fd":"b"}"#), "a");
        assert_eq!(others(r#"{"id":1,"Method":"a","method":"b","METHOD\u0000x":"c","method ":"d"}"#), "a c d");
        assert_eq!(others(r#"{"id":1,"method":"a\ud800"}"#), "a\\ud800");
        assert_eq!(others(&format!(r#"{{"id":1,"method":"a{}"}}"#, " ".repeat(300))).trim(), "a");
        assert_eq!(others(r#"{"id":1,"methods":"a","params":{"method":"b"},"method":"c"}"#), "");
        for odd in ["{\"id\":1}\r{}", "x {}", "\u{feff}{}", "\0{}", "{} []", "{}\u{2028}{}", "/**/{}"] {
            assert!(Head::of(odd.as_bytes()).is_odd(), "{odd:?}");
        }
        for plain in ["{\"a\":[{}]} \r\n", " []\n", "", "\n", "{\"a\":\"}{\"}"] {
            assert!(!Head::of(plain.as_bytes()).is_odd(), "{plain:?}");
        }
    }

    #[test]
    fn an_error_is_read_however_a_peer_writes_it() {
        let read = |error: &str| {
            let message = format!(r#"{{"id":1,"error":{error}}}"#);
            Parts::of(message.as_bytes()).unwrap().error.map(|error| (error.code, error.message))
        };
        let is = |code: i64, message: &str| Some((code, message.to_owned()));
        assert_eq!(read(r#"{"code":-1,"message":"m"}"#), is(-1, "m"));
        assert_eq!(read(r#"{"code":"-32601","message":null}"#), is(-32601, ""));
        assert_eq!(read(r#"{"code":-32601.0,"message":7}"#), is(-32601, "7"));
        assert_eq!(read(r#"{"code":1.5}"#), is(0, ""));
        assert_eq!(read(r#""denied""#), is(0, "denied"));
        assert_eq!(read("true"), is(0, ""));
        assert_eq!(read("null"), None);
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        assert_eq!(seen(r#"{"id":1,"id":2,"method":"a","method":"b"}"#).1, Some("b".to_owned()));
    }
}
