//! What the model says.

use serde_json::Value;

use crate::schema::instance;

/// What a request offers the model.
pub(crate) struct Offer<'a> {
    /// The tools that may be called: name and schema.
    pub(crate) tools: Vec<(&'a str, &'a Value)>,
    /// Whether one of them must be called.
    pub(crate) forced: bool,
    /// Whether several may be called at once.
    pub(crate) parallel: bool,
    /// Those called so far.
    pub(crate) called: Vec<&'a str>,
    /// Whether the conversation ends with a tool's result.
    pub(crate) after_result: bool,
    /// The schema that the text must fit.
    pub(crate) format: Option<&'a Value>,
    /// See `Request::seed`.
    pub(crate) seed: Option<u64>,
}

/// What an answer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// The text, if there is one.
    pub text: Option<String>,
    /// The tool calls: name and arguments.
    pub calls: Vec<(String, Value)>,
}

const TEXTS: [&str; 5] = [
    "It is sunny in Oslo.",
    "Zwölf Boxkämpfer jagen Viktor.\n\n\u{1f9d1}\u{200d}\u{1f680}",
    "{\"looks\": \"like JSON\"}",
    "1. one\n2. two",
    "\u{65e5}\u{672c}\u{8a9e} \"quoted\" \\ back",
];

/// The model's turn.
pub(crate) fn plan(offer: &Offer) -> Said {
    if let Some(format) = offer.format {
        return Said { text: Some(instance(format, offer.seed.unwrap_or(0)).to_string()), calls: Vec::new() };
    }
    match offer.seed {
        None => to_the_end(offer),
        Some(seed) => by_chance(offer, seed),
    }
}

/// Each tool once, the last one again if it must be one; then a text. A tool whose name has `final` in it ends the loop, so it comes last.
fn to_the_end(offer: &Offer) -> Said {
    let is_final = |name: &str| name.contains("final");
    let open = |name: &str| !offer.called.contains(&name);
    let next = offer.tools.iter().find(|(name, _)| open(name) && !is_final(name));
    let next = next.filter(|_| !offer.after_result || offer.forced);
    let next = next.or_else(|| offer.tools.iter().find(|(name, _)| open(name) && is_final(name)));
    let next = next.or_else(|| offer.tools.last().filter(|_| offer.forced));
    match next {
        Some((name, schema)) => Said { text: None, calls: vec![((*name).to_owned(), instance(schema, 0))] },
        None => Said { text: Some(TEXTS[0].to_owned()), calls: Vec::new() },
    }
}

fn by_chance(offer: &Offer, seed: u64) -> Said {
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
    };
    let calls = match random(5) {
        _ if offer.tools.is_empty() => 0,
        0 | 1 if offer.forced => 1,
        0 | 1 => 0,
        2 | 3 => 1,
        _ if offer.parallel => 2 + random(2),
        _ => 1,
    };
    let calls: Vec<_> = (0..calls)
        .map(|_| {
            let (name, schema) = offer.tools[random(offer.tools.len())];
            (name.to_owned(), instance(schema, u64::try_from(random(1000)).unwrap_or(0)))
        })
        .collect();
    let says = calls.is_empty() || random(2) == 0;
    Said { text: says.then(|| TEXTS[random(TEXTS.len())].to_owned()), calls }
}
