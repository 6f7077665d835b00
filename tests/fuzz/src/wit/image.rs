//! The memory of a component: values as the canonical ABI lays them out, and components that hold them.

use Value::{Choice, List, Number, Record, Text};

/// A value, with as much of its type as its layout needs.
enum Value {
    /// So many bytes, which are its alignment too.
    Number(usize, u64),
    Text(&'static str),
    List(Vec<Value>),
    Record(Vec<Value>),
    /// A variant: its case, the alignment and the size of the largest payload, and its own.
    Choice(u8, (usize, usize), Option<Box<Value>>),
}

/// Alignment and size of the largest payload.
const TEXT: (usize, usize) = (4, 8);
const BLOCK: (usize, usize) = (4, 68);
const USAGE: (usize, usize) = (8, 40);
const STEP: (usize, usize) = (8, 96);
const ERROR: (usize, usize) = (8, 48);
const RESULT: (usize, usize) = (8, 104);

fn none(of: (usize, usize)) -> Value {
    Choice(0, of, None)
}

fn case(tag: u8, of: (usize, usize), payload: Value) -> Value {
    Choice(tag, of, Some(Box::new(payload)))
}

fn some(of: (usize, usize), payload: Value) -> Value {
    case(1, of, payload)
}

fn some_text(text: &'static str) -> Value {
    some(TEXT, Text(text))
}

impl Value {
    fn align(&self) -> usize {
        match self {
            Number(bytes, _) => *bytes,
            Text(_) | List(_) => 4,
            Record(fields) => fields.iter().map(Self::align).max().unwrap_or(1),
            Choice(_, (align, _), _) => *align,
        }
    }

    fn size(&self) -> usize {
        match self {
            Number(bytes, _) => *bytes,
            Text(_) | List(_) => 8,
            Record(fields) => {
                let end = fields.iter().fold(0, |at: usize, field| at.next_multiple_of(field.align()) + field.size());
                end.next_multiple_of(self.align())
            }
            Choice(_, (align, size), _) => (align + size).next_multiple_of(*align),
        }
    }
}

/// Memory from an address on.
struct Memory {
    base: u32,
    bytes: Vec<u8>,
}

impl Memory {
    /// The value at the base, what it points to behind it.
    fn of(base: u32, value: &Value) -> Vec<u8> {
        let mut memory = Self { base, bytes: vec![0; value.size()] };
        memory.put(0, value);
        memory.bytes
    }

    fn put(&mut self, at: usize, value: &Value) {
        match value {
            Number(bytes, number) => self.write(at, number.to_le_bytes().into_iter().take(*bytes)),
            Text(text) => {
                let place = self.room(1, text.len());
                self.write(place, text.bytes());
                self.point(at, place, text.len());
            }
            List(items) => {
                let (align, size) = items.first().map_or((1, 0), |item| (item.align(), item.size()));
                let place = self.room(align, size * items.len());
                for (n, item) in items.iter().enumerate() {
                    self.put(place + n * size, item);
                }
                self.point(at, place, items.len());
            }
            Record(fields) => {
                let mut at = at;
                for field in fields {
                    at = at.next_multiple_of(field.align());
                    self.put(at, field);
                    at += field.size();
                }
            }
            Choice(tag, (align, _), payload) => {
                self.write(at, [*tag]);
                if let Some(payload) = payload {
                    self.put(at + align, payload);
                }
            }
        }
    }

    fn room(&mut self, align: usize, size: usize) -> usize {
        let place = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(place + size, 0);
        place
    }

    fn point(&mut self, at: usize, place: usize, length: usize) {
        let number = |n: usize| u32::try_from(n).unwrap_or_default();
        self.write(at, (self.base + number(place)).to_le_bytes());
        self.write(at + 4, number(length).to_le_bytes());
    }

    fn write(&mut self, at: usize, bytes: impl IntoIterator<Item = u8>) {
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *place = byte;
        }
    }
}

/// Results of `resume`, under names.
pub(super) fn results(base: u32) -> Vec<(&'static str, Vec<u8>)> {
    let ok = |step: Value| case(0, RESULT, step);
    let failed = |tag: u8, error: Value| case(1, RESULT, case(tag, ERROR, error));
    let failure = || Record(vec![Text("a cause"), Text("")]);
    let provider = Record(vec![
        Text("rate-limited"),
        some((2, 2), Number(2, 429)),
        Text("slow down"),
        some((8, 8), Number(8, 2000)),
        Text("{}"),
    ]);
    let values = [
        ("answer", ok(case(0, STEP, completion()))),
        ("fetch", ok(case(1, STEP, fetch()))),
        ("invalid", failed(0, failure())),
        ("unsupported", failed(1, failure())),
        ("malformed", failed(2, failure())),
        ("provider", failed(3, provider)),
        ("other", failed(4, failure())),
    ];
    let images = values.into_iter().map(|(name, value)| (name, Memory::of(base, &value)));
    images.chain([("aliased", aliased(base))]).collect()
}

/// An answer whose blocks all have the whole memory for their text: far more than there is.
fn aliased(base: u32) -> Vec<u8> {
    const ALL: u64 = 1 << 16;
    let block = || case(0, BLOCK, Record(vec![Number(4, 0), Number(4, ALL), no_extras()]));
    let content = List((0..270).map(|_| block()).collect());
    let result = Record(vec![content, Text(""), none(TEXT), none(TEXT)]);
    let mut image = Memory::of(base, &case(0, RESULT, case(0, STEP, Record(vec![result, none(USAGE), Text("")]))));
    // Every byte is a character, the pointers' too.
    assert!(image.iter().all(u8::is_ascii));
    image.truncate(20_000);
    image
}

/// A result of `next` with the same in it: a step of a stream has one case before the others.
pub(super) fn step_of_a_stream(result: &[u8]) -> Vec<u8> {
    let mut result = result.to_vec();
    if let [0, _, _, _, _, _, _, _, step, ..] = result.as_mut_slice() {
        *step += 1;
    }
    result
}

/// A result of `next` that wants more.
pub(super) fn more(base: u32) -> Vec<u8> {
    Memory::of(base, &case(0, RESULT, case(0, STEP, Record(vec![Text("state"), Text("text so far")]))))
}

fn extras() -> Value {
    Record(vec![some_text("{\"a\":1}"), none(TEXT), some_text("{}")])
}

fn no_extras() -> Value {
    Record(vec![none(TEXT), none(TEXT), none(TEXT)])
}

fn completion() -> Value {
    let block = |tag: u8, fields: Vec<Value>| case(tag, BLOCK, Record(fields));
    let content = List(vec![
        block(0, vec![Text("h\u{e9}llo"), extras()]),
        block(1, vec![Text("AAAA"), Text("image/png"), no_extras()]),
        block(2, vec![Text("AAAA"), Text("audio/wav"), no_extras()]),
        block(3, vec![Text("1"), Text("look"), Text("{}"), extras()]),
        block(4, vec![Text("1"), List(Vec::new()), none(TEXT), Number(1, 1), no_extras()]),
        block(5, vec![Text("video"), Text("{\"type\":\"video\"}")]),
    ]);
    let result = Record(vec![content, Text("a-model"), some_text("endTurn"), some_text("{}")]);
    let usage = Record(vec![some((8, 8), Number(8, 12)), some((8, 8), Number(8, 34)), Text("{}")]);
    Record(vec![result, some(USAGE, usage), Text("")])
}

fn fetch() -> Value {
    let header = Record(vec![Text("x-a"), Text("b")]);
    let headers = List(vec![header]);
    let request = Record(vec![Number(1, 1), some_text("a"), Text("/v1/chat?b=c"), headers, Text("body"), Text("")]);
    Record(vec![request, Text("state"), Number(1, 0), Number(4, 0), Text("")])
}

/// What a component says of itself.
pub(super) fn description(base: u32) -> Vec<u8> {
    let share = |n: f64| Number(8, n.to_bits());
    let tokens = || some((8, 8), Number(8, 1000));
    let model = |name| {
        let families = List(vec![Text("a"), Text("stra\u{df}e")]);
        Record(vec![Text(name), families, share(0.5), share(1.0), share(0.0), tokens(), none((8, 8)), Text("")])
    };
    let endpoint = Record(vec![Text("https://api.example"), some_text("EXAMPLE_BASE_URL")]);
    let credential = Record(vec![Text("header"), some_text("x-api-key"), some_text("EXAMPLE_API_KEY"), Number(1, 0)]);
    let description = Record(vec![
        Text("name"),
        Text("1.0.0"),
        Text("a summary"),
        List(vec![Text("tools"), Text("image")]),
        List(vec![model("a-small"), model("a-large")]),
        some_text("a-large"),
        some((4, 20), endpoint),
        some((4, 36), credential),
        Text("{}"),
        Text(""),
    ]);
    Memory::of(base, &description)
}

/// A component with another core module in the place of its own.
pub(super) fn with_module(component: &[u8], module: &[u8]) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    let (header, mut rest) = component.split_at(8);
    let mut replaced = header.to_vec();
    while let Some((&id, behind)) = rest.split_first() {
        let (length, content) = number(behind);
        let (content, after) = content.split_at(length);
        section(&mut replaced, id, if id == CORE_MODULE { module } else { content });
        rest = after;
    }
    replaced
}

/// A core module without data, with these in its memory from an address below 2^13 on.
pub(super) fn with_data(module: &[u8], at: u32, data: &[u8]) -> Vec<u8> {
    const DATA: u8 = 11;
    // One piece, in the first memory, at a constant: `i32.const`, whose operand has a sign, `end`.
    let mut content = vec![1, 0, 0x41];
    leb(&mut content, at as usize);
    content.push(0x0b);
    leb(&mut content, data.len());
    content.extend_from_slice(data);
    let mut module = module.to_vec();
    section(&mut module, DATA, &content);
    module
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    leb(to, content.len());
    to.extend_from_slice(content);
}

/// An unsigned number in LEB128, and what stands behind it.
fn number(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap_or_default() + 1;
    let (number, rest) = bytes.split_at(end);
    (number.iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f)), rest)
}

fn leb(to: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        to.push(u8::try_from(number & 0x7f | 0x80).unwrap_or_default());
        number >>= 7;
    }
    to.push(u8::try_from(number).unwrap_or_default());
}
