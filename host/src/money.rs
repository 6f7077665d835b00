//! Money: US dollars in whole billionths.

use std::fmt;
use std::str::FromStr;

/// One dollar.
const DOLLAR: i64 = 1_000_000_000;
/// The digits of [`DOLLAR`] after its first.
const DECIMALS: usize = 9;

/// US dollars in billionths. Sums stop at the largest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoDollars(pub i64);

impl NanoDollars {
    /// The sum.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; nothing where it would be less.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// What so many tokens cost at this price of a million, rounded up. A price is never negative.
    #[must_use]
    pub fn for_tokens(self, tokens: u64) -> Self {
        let cost = (u128::from(self.0.unsigned_abs()) * u128::from(tokens)).div_ceil(1_000_000);
        Self(i64::try_from(cost).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for NanoDollars {
    /// `$1.50`, and as many digits more as it has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let (whole, rest) = (amount / DOLLAR.unsigned_abs(), amount % DOLLAR.unsigned_abs());
        let rest = format!("{rest:0DECIMALS$}");
        let digits = rest.trim_end_matches('0');
        write!(f, "{sign}${whole}.{digits:0<2}")
    }
}

impl FromStr for NanoDollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be an amount of US dollars, such as `\"$5\"` or `\"$0.25\"`".to_owned();
        let amount = text.trim().strip_prefix('$').ok_or_else(wrong)?;
        let (whole, rest) = amount.split_once('.').unwrap_or((amount, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || amount.ends_with('.') || !is_number(whole) || !is_number(rest) {
            return Err(wrong());
        }
        if rest.len() > DECIMALS {
            return Err(format!("has more than {DECIMALS} decimals"));
        }
        let too_much = || "is more than can be counted".to_owned();
        let whole: i64 = whole.parse().map_err(|_| too_much())?;
        // Nine digits are no overflow.
        let rest: i64 = format!("{rest:0<DECIMALS$}").parse().map_err(|_| wrong())?;
        whole.checked_mul(DOLLAR).and_then(|nano| nano.checked_add(rest)).map(Self).ok_or_else(too_much)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, nano, shown) in [
            ("$5", 5_000_000_000, "$5.00"),
            ("$0.25", 250_000_000, "$0.25"),
            ("$0.000000001", 1, "$0.000000001"),
            (" $1234.5 ", 1_234_500_000_000, "$1234.50"),
            ("$0", 0, "$0.00"),
        ] {
            let amount: NanoDollars = text.parse().unwrap();
            assert_eq!((amount.0, amount.to_string().as_str()), (nano, shown), "{text}");
        }
        for text in ["5", "$", "$.5", "$5.", "$-1", "$1e3", "$1,000", "€5", "$99999999999", "$0.0000000001", "$１"] {
            assert!(text.parse::<NanoDollars>().is_err(), "{text}");
        }
        assert_eq!(NanoDollars(-1_500_000_000).to_string(), "-$1.50");
    }

    #[test]
    fn tokens_cost_their_price_rounded_up() {
        let price: NanoDollars = "$0.10".parse().unwrap();
        assert_eq!(price.for_tokens(0), NanoDollars(0));
        assert_eq!(price.for_tokens(1), NanoDollars(100));
        assert_eq!(NanoDollars(1).for_tokens(1), NanoDollars(1));
        assert_eq!(price.for_tokens(1_000_000).to_string(), "$0.10");
        assert_eq!(price.for_tokens(u64::MAX), NanoDollars(i64::MAX));
        assert_eq!(NanoDollars(i64::MAX).for_tokens(u64::MAX), NanoDollars(i64::MAX));
    }
}
