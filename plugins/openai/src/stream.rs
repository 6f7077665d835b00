//! The pieces of a streamed answer, by their API.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::state;
use understudy_plugin::stream::{Assemble, Message, Taken};
use understudy_plugin::types::Error;

use crate::{State, chat, responses};

/// An answer in the making.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Assembly {
    Chat(chat::Assembly),
    Responses(responses::Assembly),
}

impl Default for Assembly {
    fn default() -> Self {
        Self::Chat(chat::Assembly::default())
    }
}

impl Assemble for Assembly {
    fn begin(own: &RawValue) -> Result<Self, Error> {
        Ok(match state::from_bytes(own.get().as_bytes())? {
            State::Chat(state) => Self::Chat(chat::Assembly::thinking(state.thinks())),
            State::Responses(_) => Self::Responses(responses::Assembly::default()),
        })
    }

    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        match self {
            Self::Chat(assembly) => assembly.take(message, text),
            Self::Responses(assembly) => assembly.take(message, text),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Chat(assembly) => assembly.is_whole(),
            Self::Responses(assembly) => assembly.is_whole(),
        }
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Chat(assembly) => assembly.body(),
            Self::Responses(assembly) => assembly.body(),
        }
    }
}
