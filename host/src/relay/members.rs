//! The members of a JSON object, in order, their values as they were spelt.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// An object.
#[derive(Debug, Clone, Default)]
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads an object; `None` if it isn't one.
    pub(super) fn of(json: &RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// A member's value.
    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_ref())
    }

    /// A member's value, if it is a string.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// A member that is an object itself.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        self.get(key).and_then(Self::of)
    }

    /// Sets a member; in its place if it is there already, else at the end.
    pub(super) fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(own, _)| own == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Sets a member to what isn't JSON yet.
    pub(super) fn put(&mut self, key: &str, value: &impl Serialize) {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.set(key, value);
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(own, _)| own == key)?;
        Some(self.0.remove(at).1)
    }

    /// Whether each of these keys is there once at most, and none that differs from them in spelling alone.
    pub(super) fn is_unambiguous(&self, keys: &[&str]) -> bool {
        let is_once = |key: &str| self.0.iter().filter(|(own, _)| own == key).count() <= 1;
        let differs = |own: &str| keys.iter().any(|key| own != *key && crate::folded::same(own, key));
        keys.iter().all(|key| is_once(key)) && !self.0.iter().any(|(own, _)| differs(own))
    }

    /// Whether no key is there twice.
    pub(super) fn has_each_once(&self) -> bool {
        let keys: std::collections::HashSet<&str> = self.iter().map(|(key, _)| key).collect();
        keys.len() == self.0.len()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON.
    pub(super) fn raw(&self) -> Box<RawValue> {
        let mut text = String::from("{");
        for (key, value) in self.iter() {
            let comma = if text.len() > 1 { "," } else { "" };
            // Writing to a string doesn't fail.
            let _ = write!(text, "{comma}{}:{}", serde_json::Value::from(key), value.get());
        }
        text.push('}');
        RawValue::from_string(text).unwrap_or_default()
    }
}

impl Extend<(String, Box<RawValue>)> for Members {
    fn extend<I: IntoIterator<Item = (String, Box<RawValue>)>>(&mut self, members: I) {
        for (key, value) in members {
            self.set(&key, value);
        }
    }
}

impl IntoIterator for Members {
    type Item = (String, Box<RawValue>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
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
        let mut members = Members::of(&json).unwrap();
        assert_eq!(members.raw().get(), text);
        assert_eq!(members.text("c").as_deref(), Some("ä"));
        members.put("a", &7);
        members.put("d\"", &true);
        assert!(members.remove("b").is_some() && members.remove("b").is_none());
        assert_eq!(members.raw().get(), r#"{"a":7,"c":"\u00e4","d\"":true}"#);
        assert!(Members::of(&RawValue::from_string("[]".to_owned()).unwrap()).is_none());
    }
}
