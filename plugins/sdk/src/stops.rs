//! Stop sequences that a provider doesn't take, or not so many.

use crate::types::CreateMessageRequest;

/// A request's stop sequences: those for the provider, and those by which the answer is cut here
/// ([`blocks::cut`](crate::blocks::cut)). Empty ones mean nothing and are in neither.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stops<'a> {
    /// For the provider.
    pub sent: Vec<&'a str>,
    /// To be cut by here.
    pub cut: Vec<String>,
}

/// Sends at most so many, and only those that the provider takes.
#[must_use]
pub fn split(request: &CreateMessageRequest, most: usize, takes: impl Fn(&str) -> bool) -> Stops<'_> {
    let mut stops = Stops::default();
    for stop in request.stop_sequences.iter().filter(|stop| !stop.is_empty()) {
        if stops.sent.contains(&stop.as_str()) || stops.cut.contains(stop) {
            continue;
        }
        if stops.sent.len() < most && takes(stop) {
            stops.sent.push(stop);
        } else {
            stops.cut.push(stop.clone());
        }
    }
    stops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_does_not_take_is_cut_here() {
        let mut request = CreateMessageRequest {
            messages: Vec::new(),
            max_tokens: 1,
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: ["", "a", "\n", "b", "a", "c"].map(str::to_owned).to_vec(),
            metadata: None,
            tools: None,
            tool_choice: None,
            meta: None,
            extensions: "{}".to_owned(),
        };
        let is_visible = |stop: &str| !stop.trim().is_empty();
        let cut = |stops: &[&str]| stops.iter().map(|&stop| stop.to_owned()).collect::<Vec<_>>();
        assert_eq!(split(&request, 2, is_visible), Stops { sent: vec!["a", "b"], cut: cut(&["\n", "c"]) });
        assert_eq!(split(&request, 0, is_visible), Stops { sent: Vec::new(), cut: cut(&["a", "\n", "b", "c"]) });
        request.stop_sequences.truncate(1);
        assert_eq!(split(&request, 4, |_| true), Stops::default());
    }
}
