//! Storing a notification without what recurs in it.
//!
//! A renewal of 19 KB is 1.7 KB of facts: the same certificate chain stands in it three times, and everything inside
//! is base64 of base64. `pack` peels the layers off, takes each JWS header out as a shared part, and checks that putting
//! it together again gives the same bytes; where it does not, nothing is packed. The form is a list of tokens:
//!
//! | byte | then | means |
//! |---|---|---|
//! | 0 | length, bytes | these bytes |
//! | 1 | length, bytes | these bytes in base64url |
//! | 2 | index | the shared part of that index in base64url |
//! | 3 | length, tokens | what these tokens give, in base64url |
//!
//! Lengths and indexes are LEB128. The first byte of all is the form's version.

use crate::Packed;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::ops::Range;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ENCODED: u8 = 1;
const SHARED: u8 = 2;
const NESTED: u8 = 3;

/// A JWS in a JWS in a body.
const MAX_DEPTH: usize = 2;

/// A header shorter than this (encoded) holds no certificates and is not worth a row of its own.
const MIN_SHARED: usize = 512;

/// Notifications have one shared header, three while Apple changes its leaf.
const MAX_SHARED: usize = 8;

/// The largest body that is put together again. Larger than any body that is taken in.
const MAX_UNPACKED: usize = 1024 * 1024;

/// Peels. `None` when there is no JWS with certificates in it, or when it is spelled in a way that would be lost.
pub(super) fn pack(body: &[u8]) -> Option<Packed> {
    let mut headers = Headers::default();
    let mut rest = vec![VERSION];
    push_tokens(&mut rest, body, 0, &mut headers);
    let packed = Packed { rest, shared: headers.decoded };
    let is_worth_it = !packed.shared.is_empty();
    // The decoder takes one spelling only, so this holds by construction; but what is lost here is lost for ever.
    (is_worth_it && unpack(&packed).as_deref() == Some(body)).then_some(packed)
}

/// Puts together again. `None` for anything that `pack` did not make.
pub(super) fn unpack(packed: &Packed) -> Option<Vec<u8>> {
    let (version, tokens) = packed.rest.split_first()?;
    if *version != VERSION {
        return None;
    }
    let shared: Vec<String> = packed.shared.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    assemble(tokens, &shared, 0)
}

/// Headers met so far, as they stood there and decoded: the second and third time one costs a comparison.
#[derive(Default)]
struct Headers {
    encoded: Vec<Vec<u8>>,
    decoded: Vec<Vec<u8>>,
}

impl Headers {
    fn index_of(&mut self, header: &[u8]) -> Option<usize> {
        if let Some(index) = self.encoded.iter().position(|known| known == header) {
            return Some(index);
        }
        if header.len() < MIN_SHARED || self.decoded.len() == MAX_SHARED {
            return None;
        }
        self.decoded.push(URL_SAFE_NO_PAD.decode(header).ok()?);
        self.encoded.push(header.to_vec());
        Some(self.decoded.len() - 1)
    }
}

fn push_tokens(out: &mut Vec<u8>, text: &[u8], depth: usize, headers: &mut Headers) {
    let mut done = 0;
    let places = if depth < MAX_DEPTH { find_jws(text) } else { Vec::new() };
    for place in places {
        if let Some(jws) = jws_tokens(&text[place.clone()], depth, headers) {
            push(out, PLAIN, &text[done..place.start]);
            out.extend_from_slice(&jws);
            done = place.end;
        }
    }
    push(out, PLAIN, &text[done..]);
}

fn jws_tokens(jws: &[u8], depth: usize, headers: &mut Headers) -> Option<Vec<u8>> {
    let mut segments = jws.split(|byte| *byte == b'.');
    let (header, payload, signature) = (segments.next()?, segments.next()?, segments.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let mut nested = Vec::new();
    let mut out = vec![SHARED];
    push_number(&mut out, headers.index_of(header)?);
    push(&mut out, PLAIN, b".");
    push_tokens(&mut nested, &payload, depth + 1, headers);
    push(&mut out, NESTED, &nested);
    push(&mut out, PLAIN, b".");
    push(&mut out, ENCODED, &signature);
    Some(out)
}

/// Texts in quotes with exactly two dots inside. Whether they are base64url is seen in decoding.
fn find_jws(text: &[u8]) -> Vec<Range<usize>> {
    // Searching in `str` is several times quicker than looking at each byte.
    let Ok(text) = std::str::from_utf8(text) else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split('"') {
        let place = at..at + piece.len();
        at = place.end + 1;
        if piece.len() > MIN_SHARED && piece.matches('.').count() == 2 {
            found.push(place);
        }
    }
    found
}

fn assemble(mut tokens: &[u8], shared: &[String], depth: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let Some((kind, rest)) = tokens.split_first() {
        let (number, rest) = take_number(rest)?;
        tokens = rest;
        if *kind == SHARED {
            out.extend_from_slice(shared.get(number)?.as_bytes());
        } else {
            let bytes = tokens.get(..number)?;
            tokens = &tokens[number..];
            match *kind {
                PLAIN => out.extend_from_slice(bytes),
                ENCODED => append_encoded(&mut out, bytes),
                NESTED if depth < MAX_DEPTH => append_encoded(&mut out, &assemble(bytes, shared, depth + 1)?),
                _ => return None,
            }
        }
        if out.len() > MAX_UNPACKED {
            return None;
        }
    }
    Some(out)
}

fn append_encoded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(URL_SAFE_NO_PAD.encode(bytes).as_bytes());
}

/// An empty token says nothing and is left out.
fn push(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(kind);
        push_number(out, bytes.len());
        out.extend_from_slice(bytes);
    }
}

fn push_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}
