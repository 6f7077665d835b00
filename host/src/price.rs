//! Prices of models, and what a request costs by them.

use serde::{Deserialize, Serialize};

use crate::money::NanoDollars;

/// What a model's tokens cost, in US dollars for a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// For any request.
    pub base: Rates,
    /// For all tokens of a request whose input holds more tokens than the number.
    pub above: Option<(u64, Rates)>,
}

/// The prices of a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Input.
    pub input: NanoDollars,
    /// Input that the provider read from its cache.
    pub cache_read: NanoDollars,
    /// Input that the provider wrote into its cache.
    pub cache_write: NanoDollars,
    /// Output, reasoning included.
    pub output: NanoDollars,
}

/// The tokens of an answer, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// The part of the input that was read from a cache.
    pub cache_read: u64,
    /// The part of the input that was written into a cache.
    pub cache_write: u64,
    /// All output.
    pub output: u64,
    /// The part of the output that is reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// Input and output.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// A model that costs nothing.
    pub const FREE: Self = Self {
        base: Rates {
            input: NanoDollars(0),
            cache_read: NanoDollars(0),
            cache_write: NanoDollars(0),
            output: NanoDollars(0),
        },
        above: None,
    };

    fn rates(&self, input: u64) -> &Rates {
        match &self.above {
            Some((threshold, rates)) if input > *threshold => rates,
            _ => &self.base,
        }
    }

    /// What these tokens cost. Parts of the input that together are more than all of it count as far as it goes.
    #[must_use]
    pub fn of(&self, tokens: &Tokens) -> NanoDollars {
        let rates = self.rates(tokens.input);
        let read = tokens.cache_read.min(tokens.input);
        let written = tokens.cache_write.min(tokens.input - read);
        let plain = tokens.input - read - written;
        let parts = [
            rates.cache_read.for_tokens(read),
            rates.cache_write.for_tokens(written),
            rates.input.for_tokens(plain),
            rates.output.for_tokens(tokens.output),
        ];
        parts.into_iter().fold(NanoDollars(0), NanoDollars::saturating_add)
    }

    /// The most that a request of up to so many tokens may cost.
    #[must_use]
    pub fn at_most(&self, input: u64, output: u64) -> NanoDollars {
        let most = |rates: &Rates| {
            let dearest = rates.input.max(rates.cache_read).max(rates.cache_write);
            dearest.for_tokens(input).saturating_add(rates.output.for_tokens(output))
        };
        let above = self.above.as_ref().filter(|(threshold, _)| input > *threshold).map(|(_, rates)| most(rates));
        above.unwrap_or_default().max(most(&self.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: &str, cache_read: &str, cache_write: &str, output: &str) -> Rates {
        let read = |text: &str| text.parse().unwrap();
        Rates { input: read(input), cache_read: read(cache_read), cache_write: read(cache_write), output: read(output) }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let price = Price { base: rates("$3", "$0.30", "$3.75", "$15"), above: None };
        let tokens = Tokens { input: 1000, cache_read: 500, cache_write: 100, output: 10, reasoning: 5 };
        // 400 · 3 + 500 · 0.3 + 100 · 3.75 + 10 · 15 millionths.
        assert_eq!(price.of(&tokens).to_string(), "$0.001875");
        assert_eq!(price.at_most(1000, 10).to_string(), "$0.0039");
        let odd = Tokens { input: 1, cache_read: u64::MAX, cache_write: u64::MAX, output: u64::MAX, reasoning: 0 };
        assert_eq!(price.of(&odd), NanoDollars(i64::MAX));
    }

    #[test]
    fn a_long_prompt_may_cost_more() {
        let (base, long) = (rates("$1", "$0.10", "$1", "$5"), rates("$2", "$0.20", "$2", "$7.50"));
        let price = Price { base, above: Some((1000, long)) };
        let of = |input| price.of(&Tokens { input, ..Tokens::default() });
        assert_eq!((of(1000).to_string(), of(1001).to_string()), ("$0.001".to_owned(), "$0.002002".to_owned()));
        assert_eq!(price.at_most(1001, 0).to_string(), "$0.002002");
    }
}
