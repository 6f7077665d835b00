//! The conversation turn by turn: consecutive messages of one role are one turn.
//!
//! MCP lets a role speak twice; many providers, and most templates of local models, want the roles to alternate.

use crate::types::{ContentBlock, CreateMessageRequest, Role, SamplingMessage};

/// What one role says until the other one speaks.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// The index of the first message.
    pub first: usize,
    /// The messages; at least one.
    pub messages: &'a [SamplingMessage],
}

impl<'a> Turn<'a> {
    /// The messages with their index.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &'a SamplingMessage)> + use<'a> {
        (self.first..).zip(self.messages)
    }

    /// The blocks of all the messages.
    pub fn blocks(&self) -> impl Iterator<Item = &'a ContentBlock> + use<'a> {
        self.messages.iter().flat_map(|message| &message.content)
    }
}

/// The turns of a conversation.
pub fn of(request: &CreateMessageRequest) -> impl Iterator<Item = Turn<'_>> {
    let mut first = 0;
    request.messages.chunk_by(|one, next| one.role == next.role).map(move |messages| {
        let role = messages.first().map_or(Role::User, |message| message.role);
        let turn = Turn { role, first, messages };
        first += messages.len();
        turn
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_messages_of_one_role_are_one_turn() {
        let message = |role| SamplingMessage { role, content: Vec::new(), meta: None, extensions: None };
        let roles = [Role::User, Role::User, Role::Assistant, Role::User, Role::User, Role::User];
        let request = CreateMessageRequest {
            messages: roles.map(message).to_vec(),
            max_tokens: 1,
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: None,
            tool_choice: None,
            meta: None,
            extensions: "{}".to_owned(),
        };
        let turns: Vec<_> = of(&request).map(|turn| (turn.role, turn.first, turn.messages.len())).collect();
        assert_eq!(turns, [(Role::User, 0, 2), (Role::Assistant, 2, 1), (Role::User, 3, 3)]);
        let last = of(&request).last().unwrap();
        assert_eq!(last.numbered().map(|(n, _)| n).collect::<Vec<_>>(), [3, 4, 5]);
    }
}
