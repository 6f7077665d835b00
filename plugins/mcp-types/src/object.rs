//! Reading a JSON object whose unknown fields are kept.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor, value::MapAccessDeserializer, value::SeqAccessDeserializer};
use serde_json::value::RawValue;

/// A JSON value as its sender spelt it.
pub type Json = Box<RawValue>;

/// Declares a struct whose fields are all optional, with a reader that makes one pass and puts what it doesn't know into
/// `unknown`, as the text of one object. `null` is the same as absent.
macro_rules! object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($key:literal => $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $vis struct $name {
            $(pub(crate) $field: Option<$ty>,)*
            pub(crate) unknown: Option<crate::Json>,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut object = $name::default();
                        let mut unknown = crate::object::Unknown::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                            match key.as_ref() {
                                $($key => {
                                    object.$field = map.next_value().map_err(|e| crate::object::within($key, &e))?;
                                })*
                                _ => unknown.push(&key, map.next_value()?),
                            }
                        }
                        object.unknown = unknown.finish();
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(Reader)
            }
        }
    };
}
pub(crate) use object;

/// Puts the name of the field in front of what is wrong inside it.
pub(crate) fn within<E: Error>(key: &str, error: &E) -> E {
    E::custom(format_args!("`{key}`: {error}"))
}

/// The unknown fields of an object, gathered as one object.
#[derive(Default)]
pub(crate) struct Unknown {
    text: String,
}

impl Unknown {
    pub(crate) fn push(&mut self, key: &str, value: &RawValue) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push_str(&serde_json::Value::from(key).to_string());
        self.text.push(':');
        self.text.push_str(value.get());
    }

    pub(crate) fn finish(mut self) -> Option<Json> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push('}');
        RawValue::from_string(self.text).ok()
    }
}

/// A whole number that may be spelt as a float (`100.0`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub(crate) i128);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Whole, E> {
                Ok(Whole(n.into()))
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Whole, E> {
                Ok(Whole(n.into()))
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Whole, E> {
                if n.fract() == 0.0 && n.abs() < 1e38 {
                    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
                    return Ok(Whole(n as i128));
                }
                Err(E::custom(format_args!("`{n}` is not a whole number")))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// One value or an array of them.
#[derive(Debug)]
pub(crate) struct OneOrMany<T> {
    pub(crate) items: Vec<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object or an array of objects")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let item = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(OneOrMany { items: vec![item] })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let Numbered(items) = Numbered::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(OneOrMany { items })
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// An array whose errors say at which index they happened.
#[derive(Debug)]
pub(crate) struct Numbered<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Numbered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Numbered<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                loop {
                    let next = seq.next_element();
                    match next.map_err(|e| A::Error::custom(format_args!("[{}]: {e}", items.len())))? {
                        Some(item) => items.push(item),
                        None => return Ok(Numbered(items)),
                    }
                }
            }
        }
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}
