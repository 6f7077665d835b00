//! A JSON object whose values keep their spelling, and its members their order.
//!
//! No map: a key that is there twice is kept twice, so that [`RawObject::is_unambiguous`] can tell.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::folded;

/// A JSON object, its values as they were spelt.
#[derive(Debug, Clone, Default)]
pub struct RawObject(Vec<(String, Box<RawValue>)>);

impl RawObject {
    /// Reads an object; `None` if it isn't one.
    #[must_use]
    pub fn of(json: &RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// A member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_ref())
    }

    /// A member's value, if it is a string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// A member that is an object itself.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Self> {
        self.get(key).and_then(Self::of)
    }

    /// Sets a member; in its place if it is there already, else at the end.
    pub fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(own, _)| own == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Sets a member to a value that is to be serialised.
    pub fn put(&mut self, key: &str, value: &impl Serialize) {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.set(key, value);
        }
    }

    /// Removes a member and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(own, _)| own == key)?;
        Some(self.0.remove(at).1)
    }

    /// Whether each of these keys is there once at most, and none that differs from them in spelling alone.
    #[must_use]
    pub fn is_unambiguous(&self, keys: &[&str]) -> bool {
        let is_once = |key: &str| self.0.iter().filter(|(own, _)| own == key).count() <= 1;
        let differs = |own: &str| keys.iter().any(|key| own != *key && folded::same(own, key));
        keys.iter().all(|key| is_once(key)) && !self.0.iter().any(|(own, _)| differs(own))
    }

    /// Whether no key is there twice.
    #[must_use]
    pub fn has_each_once(&self) -> bool {
        let keys: std::collections::HashSet<&str> = self.iter().map(|(key, _)| key).collect();
        keys.len() == self.0.len()
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    /// Whether it has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn raw(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }
}

impl Extend<(String, Box<RawValue>)> for RawObject {
    fn extend<I: IntoIterator<Item = (String, Box<RawValue>)>>(&mut self, members: I) {
        for (key, value) in members {
            self.set(&key, value);
        }
    }
}

impl IntoIterator for RawObject {
    type Item = (String, Box<RawValue>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for RawObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = RawObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_stay() {
        let text = r#"{"b":1.0,"a":{"x": 1},"c":"\u00e4"}"#;
        let json = RawValue::from_string(text.to_owned()).unwrap();
        let mut members = RawObject::of(&json).unwrap();
        assert_eq!(members.raw().get(), text);
        assert_eq!(members.text("c").as_deref(), Some("ä"));
        members.put("a", &7);
        members.put("d\"", &true);
        assert!(members.remove("b").is_some() && members.remove("b").is_none());
        assert_eq!(members.raw().get(), r#"{"a":7,"c":"\u00e4","d\"":true}"#);
        assert!(RawObject::of(&RawValue::from_string("[]".to_owned()).unwrap()).is_none());
    }
}
