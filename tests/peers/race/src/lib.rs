//! The questions of the race and their answers, as `race-server` asks and `race-provider` answers them.
//!
//! A question's text begins with a mark that says its number, how long the text is and the image beside it, and how long the
//! provider is to take. The rest is always the same, so the provider can tell whether all of it has arrived; the number stands in
//! its answer, so the server can tell whether it got its own.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The longest text and the largest image, in bytes.
pub const MOST: usize = 6_000_000;

/// Four bytes of base64, so that any multiple of four is an image.
const BASE64: &str = "Rk9P";
const LINE: &str = "All the world's a stage, and all the men and women merely players. ";
const MARK: &str = "<<Q";
/// The mark's length: four numbers of eight digits, each after a blank, and its end.
const MARK_BYTES: usize = MARK.len() + 4 * 9 + 2;

static TEXT: LazyLock<String> = LazyLock::new(|| LINE.repeat(MOST / LINE.len() + 1));
static IMAGE: LazyLock<String> = LazyLock::new(|| BASE64.repeat(MOST / BASE64.len()));
static MARKS: LazyLock<Finder> = LazyLock::new(|| Finder::new(MARK));
static DATA: LazyLock<Finder> = LazyLock::new(|| Finder::new("\"data\""));

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Which one.
    pub number: usize,
    /// The length of its text in bytes, mark and all.
    pub text: usize,
    /// The size of the image beside it in bytes of base64; 0 for none.
    pub image: usize,
    /// How many milliseconds the provider takes.
    pub latency: usize,
}

impl Question {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { number, text, image, latency } = self;
        format!("{MARK} {number:08} {text:08} {image:08} {latency:08}>>{}", self.rest())
    }

    /// The text after the mark.
    fn rest(&self) -> &'static str {
        TEXT.get(..self.text.saturating_sub(MARK_BYTES)).unwrap_or_default()
    }

    /// The image, in base64.
    #[must_use]
    pub fn image(&self) -> &'static str {
        IMAGE.get(..self.image).unwrap_or_default()
    }

    /// The question in a provider's request, if all of it is there.
    #[must_use]
    pub fn find(body: &[u8]) -> Option<Self> {
        let rest = body.get(MARKS.find(body)? + MARK.len()..)?;
        let mut numbers = (0..4).map(|index| digits(rest.get(index * 9 + 1..(index + 1) * 9)?));
        let mut next = || numbers.next().flatten();
        let found = Self { number: next()?, text: next()?, image: next()?, latency: next()? };
        let after = rest.get(MARK_BYTES - MARK.len()..)?;
        let is_whole = after.starts_with(found.rest().as_bytes()) && (found.image == 0 || found.has_image(body));
        is_whole.then_some(found)
    }

    fn has_image(&self, body: &[u8]) -> bool {
        let Some(data) = DATA.find(body).and_then(|at| body.get(at + 6..)) else { return false };
        let data = data.trim_ascii_start().strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        data.strip_prefix(b"\"").is_some_and(|data| data.starts_with(self.image().as_bytes()))
    }
}

/// The answer's text. It has a character that JSON escapes, as most answers have.
#[must_use]
pub fn answer(number: usize) -> String {
    format!("<<A {number:08}>> They have their exits and their entrances,\nand one man in his time plays many parts.")
}

fn digits(text: &[u8]) -> Option<usize> {
    text.iter().try_fold(0, |number, byte| Some(number * 10 + usize::from(byte.checked_sub(b'0').filter(|d| *d < 10)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_found_if_all_of_it_has_arrived() {
        let question = Question { number: 17, text: 1000, image: 400, latency: 200 };
        assert_eq!(question.text().len(), 1000);
        let body = format!("{{\"data\": \"{}\", \"text\":\"{}\"}}", question.image(), question.text());
        assert_eq!(Question::find(body.as_bytes()), Some(question));
        assert_eq!(Question::find(body.replace("merely", "hardly").as_bytes()), None);
        assert_eq!(Question::find(body.replacen(BASE64, "QkFS", 1).as_bytes()), None);
    }
}
