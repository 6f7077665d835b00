//! Bodies that come compressed, though nobody has asked for that: gzip and deflate are undone, as `fetch` and the like do by themselves.
//!
//! A body is handed on in pieces of bounded size, so that its reader's limit holds for what it comes to, and not for what came in.

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderValue};

use understudy::http::error_chain;
use understudy::text::one_line;

/// The most that a piece comes to, in bytes.
const PIECE: usize = 64 * 1024;

/// The most that gzip's header may hold: a name, a comment.
const MOST_OF_A_HEADER: usize = 64 * 1024;

/// What stands behind each part of gzip: a checksum, and the length.
const TRAILER: usize = 8;

/// The pieces of a body; or what it is that can't be read.
pub(super) fn pieces(response: Response) -> Result<impl Stream<Item = Result<Bytes, String>> + Send + 'static, String> {
    let coding = coding(response.headers().get_all(CONTENT_ENCODING).iter())?;
    let body = response.bytes_stream().map(|piece| piece.map_err(|e| error_chain(&e.without_url())));
    Ok(match coding {
        None => body.left_stream(),
        Some(coding) => inflated(body, Inflate::new(coding)).right_stream(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// What is to be undone.
fn coding<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Result<Option<Coding>, String> {
    let text: Vec<String> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
    let text = text.join(",");
    let mut codings = text.split(',').map(str::trim).filter(|coding| !coding.is_empty() && *coding != "identity");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(None),
        (Some("gzip" | "x-gzip"), None) => Ok(Some(Coding::Gzip)),
        (Some("deflate"), None) => Ok(Some(Coding::Deflate)),
        _ => Err(format!(
            "sends what is compressed (`Content-Encoding: {}`), which nobody asked for and only `gzip` and `deflate` are understood of: have it send plain text",
            one_line(&text, 60)
        )),
    }
}

fn inflated(
    body: impl Stream<Item = Result<Bytes, String>> + Send + 'static,
    undo: Inflate,
) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static {
    let begin = Some((Box::pin(body), undo, Bytes::new()));
    futures_util::stream::unfold(begin, |state| async {
        let (mut body, mut undo, mut input) = state?;
        loop {
            match undo.piece(&mut input) {
                Ok(Some(piece)) => return Some((Ok(piece), Some((body, undo, input)))),
                Ok(None) => {}
                Err(reason) => return Some((Err(reason.to_owned()), None)),
            }
            match body.next().await {
                Some(Ok(piece)) => input = piece,
                Some(Err(reason)) => return Some((Err(reason), None)),
                None if undo.is_whole() => return None,
                None => return Some((Err("what is compressed breaks off".to_owned()), None)),
            }
        }
    })
}

/// Undoes a coding, as pieces come.
struct Inflate {
    coding: Coding,
    stage: Stage,
    state: Box<InflateState>,
}

#[derive(Debug)]
enum Stage {
    /// What there is of the header.
    Header(Vec<u8>),
    Data,
    /// How much of the trailer is still to come.
    Trailer(usize),
    /// What is left means nothing.
    Over,
}

impl Inflate {
    fn new(coding: Coding) -> Self {
        Self { coding, stage: Stage::Header(Vec::new()), state: InflateState::new_boxed(DataFormat::Raw) }
    }

    /// Whether the body may end here.
    fn is_whole(&self) -> bool {
        match &self.stage {
            Stage::Header(seen) => seen.is_empty(),
            Stage::Over => true,
            Stage::Data | Stage::Trailer(_) => false,
        }
    }

    /// The next piece of what it comes to; `None` if more input is needed for that.
    fn piece(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, &'static str> {
        loop {
            match &mut self.stage {
                Stage::Data => {
                    let mut output = vec![0; PIECE];
                    let done = inflate(&mut self.state, input, &mut output, MZFlush::None);
                    input.advance(done.bytes_consumed);
                    match done.status {
                        Ok(MZStatus::StreamEnd) if self.coding == Coding::Gzip => self.stage = Stage::Trailer(TRAILER),
                        Ok(MZStatus::StreamEnd) => self.stage = Stage::Over,
                        Ok(_) | Err(MZError::Buf) => {}
                        Err(_) => return Err("what is compressed can't be undone"),
                    }
                    if done.bytes_written > 0 {
                        output.truncate(done.bytes_written);
                        return Ok(Some(output.into()));
                    }
                    if input.is_empty() || done.bytes_consumed == 0 {
                        return Ok(None);
                    }
                }
                _ if input.is_empty() => return Ok(None),
                Stage::Header(seen) => {
                    seen.extend_from_slice(input);
                    input.clear();
                    let Some((format, length)) = header(self.coding, seen)? else {
                        let is_too_long = seen.len() > MOST_OF_A_HEADER;
                        return if is_too_long { Err("the header of what is compressed has no end") } else { Ok(None) };
                    };
                    *input = Bytes::from(seen.split_off(length));
                    self.state.reset(format);
                    self.stage = Stage::Data;
                }
                Stage::Trailer(left) => {
                    let some = input.len().min(*left);
                    input.advance(some);
                    *left -= some;
                    if *left == 0 {
                        // Another part may follow.
                        self.stage = Stage::Header(Vec::new());
                    }
                }
                Stage::Over => input.clear(),
            }
        }
    }
}

/// How the data is laid out, and where it begins; `None` if more must be seen for that.
fn header(coding: Coding, seen: &[u8]) -> Result<Option<(DataFormat, usize)>, &'static str> {
    if coding == Coding::Deflate {
        // It should have zlib's header, and some leave that out (RFC 9110, 8.4.1.2).
        let [first, second, ..] = *seen else { return Ok(None) };
        let has_header = first & 0x0f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31);
        return Ok(Some((if has_header { DataFormat::Zlib } else { DataFormat::Raw }, 0)));
    }
    let is_gzip = seen.iter().zip([0x1f, 0x8b, 8]).all(|(byte, expected)| *byte == expected);
    if !is_gzip {
        return Err("what is said to be compressed with gzip isn't");
    }
    Ok(end_of_gzips_header(seen).map(|length| (DataFormat::Raw, length)))
}

/// RFC 1952, 2.3.
fn end_of_gzips_header(seen: &[u8]) -> Option<usize> {
    let flags = *seen.get(3)?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let mut at = 10;
    if has(2) {
        let [low, high] = *seen.get(at..at + 2)? else { return None };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for bit in [3, 4] {
        if has(bit) {
            at += memchr::memchr(0, seen.get(at..)?)? + 1;
        }
    }
    at += if has(1) { 2 } else { 0 };
    (seen.len() >= at).then_some(at)
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    use super::*;

    fn gzip(text: &[u8], flags: u8, more: &[u8]) -> Vec<u8> {
        let head = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
        [&head[..], more, &compress_to_vec(text, 6), &[0; TRAILER]].concat()
    }

    async fn undone(coding: Coding, body: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut pieces = Box::pin(inflated(futures_util::stream::iter(pieces), Inflate::new(coding)));
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            assert!(piece.len() <= PIECE);
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_body_is_the_same_however_it_is_compressed_and_cut() {
        let text = "{\"jsonrpc\": \"2.0\"} ".repeat(20_000).into_bytes();
        let cases = [
            (Coding::Gzip, gzip(&text, 0, b"")),
            (Coding::Gzip, gzip(&text, 0b1_1110, b"\x03\x00abcname\0comment\0\x12\x34")),
            (Coding::Gzip, [gzip(&text[..5], 0, b""), gzip(&text[5..], 8, b"x\0")].concat()),
            (Coding::Deflate, compress_to_vec_zlib(&text, 6)),
            (Coding::Deflate, compress_to_vec(&text, 6)),
        ];
        for (n, (coding, body)) in cases.iter().enumerate() {
            for size in [1, 7, body.len()] {
                assert!(undone(*coding, body, size).await.unwrap() == text, "{n} {size}");
            }
            let error = undone(*coding, &body[..body.len() - 20], 100).await.unwrap_err();
            assert!(error.contains("breaks off"), "{n}: {error}");
        }
        assert_eq!(undone(Coding::Gzip, b"", 1).await.unwrap(), b"");
        assert!(undone(Coding::Gzip, b"{\"plain\":1}", 3).await.unwrap_err().contains("isn't"));
    }

    #[test]
    fn only_what_is_understood_is_read() {
        let of = |values: &[&'static str]| {
            let values: Vec<HeaderValue> = values.iter().map(|value| HeaderValue::from_static(value)).collect();
            coding(values.iter())
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["identity", " "]), Ok(None));
        assert_eq!(of(&["GZIP"]), Ok(Some(Coding::Gzip)));
        assert_eq!(of(&["identity, deflate"]), Ok(Some(Coding::Deflate)));
        for none in [&["br"][..], &["gzip, gzip"], &["gzip", "deflate"]] {
            assert!(of(none).unwrap_err().contains("Content-Encoding"), "{none:?}");
        }
    }
}
