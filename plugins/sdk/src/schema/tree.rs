//! JSON as a tree whose numbers keep their spelling.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Refused;

/// No schema that people write is as deep; a deeper one would take the stack.
const DEEPEST: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// Its JSON.
    Scalar(String),
}

impl Node {
    pub(super) fn read(raw: &RawValue) -> Result<Self, Refused> {
        Self::at_depth(raw, 0)
    }

    fn at_depth(raw: &RawValue, depth: usize) -> Result<Self, Refused> {
        let odd = |reason: String| Refused { place: String::new(), reason };
        if depth > DEEPEST {
            return Err(odd(format!("it is more than {DEEPEST} levels deep")));
        }
        let json = raw.get();
        Ok(match json.as_bytes().first() {
            Some(b'{') => {
                let mut reader = serde_json::Deserializer::from_str(json);
                let members = reader.deserialize_map(Members).map_err(|e| odd(e.to_string()))?;
                let members = members.into_iter().map(|(key, value)| Ok((key, Self::at_depth(value, depth + 1)?)));
                Self::Object(members.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| odd(e.to_string()))?;
                Self::Array(items.into_iter().map(|item| Self::at_depth(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            _ => Self::Scalar(json.to_owned()),
        })
    }

    pub(super) fn into_raw(self) -> Box<RawValue> {
        RawValue::from_string(self.to_string()).unwrap_or_default()
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Scalar(serde_json::Value::from(text).to_string())
    }

    pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(super) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    pub(super) fn members_mut(&mut self) -> &mut [(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &mut [],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().rfind(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.members_mut().iter_mut().rfind(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets a member, in its place if it is there.
    pub(super) fn set(&mut self, key: &str, value: Self) {
        if let Some(place) = self.get_mut(key) {
            *place = value;
        } else if let Self::Object(members) = self {
            members.push((key.to_owned(), value));
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let at = members.iter().rposition(|(name, _)| name == key)?;
        Some(members.remove(at).1)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for (name, _) in self.members_mut().iter_mut().filter(|(name, _)| name == from) {
            to.clone_into(name);
        }
    }

    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Scalar(json) if json.starts_with('"') => serde_json::from_str(json).ok(),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Scalar(json) => json.parse().ok(),
            _ => None,
        }
    }

    /// Whether its `type` is this, or a list with it.
    pub(super) fn is_of_type(&self, kind: &str) -> bool {
        match self.get("type") {
            Some(Self::Array(kinds)) => kinds.iter().any(|one| one.as_text().as_deref() == Some(kind)),
            Some(one) => one.as_text().as_deref() == Some(kind),
            None => false,
        }
    }

    /// What a JSON pointer (`/properties/a`) leads to.
    pub(super) fn at(&self, pointer: &str) -> Option<&Self> {
        pointer.split('/').skip(1).try_fold(self, |node, step| match node {
            Self::Object(_) => node.get(&step.replace("~1", "/").replace("~0", "~")),
            Self::Array(items) => items.get(step.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Scalar(json) => f.write_str(json),
            Self::Array(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { "," })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (n, (key, value)) in members.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { "," })?;
                    write!(f, "{}:{value}", serde_json::Value::from(key.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// The members of an object, in order.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
