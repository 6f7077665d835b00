//! The tools and the prompt.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, PromptMessage, RequestMetaObject, Role};
use rmcp::{Peer, RoleServer, ServiceError, prompt, prompt_router, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::exchange::{Asked, Exchange, Outcome};
use crate::messages::{self, History, MAX_ROUNDS, MAX_TOKENS};
use crate::server::Matrix;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ask {
    prompt: String,
    #[serde(default = "max_tokens")]
    max_tokens: u32,
}

fn max_tokens() -> u32 {
    MAX_TOKENS
}

#[derive(Deserialize, JsonSchema)]
struct AskMany {
    n: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Prompt {
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Progress {
    steps: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Greet {
    name: String,
}

const ANSWER: &str = "answer";
const NAME: &str = "name";

// `Exchange` is taken first: `Parameters` leaves nothing of the arguments.
#[tool_router(vis = "pub(crate)")]
impl Matrix {
    #[tool(description = "Ask one question")]
    async fn ask(&self, mut exchange: Exchange, Parameters(Ask { prompt, max_tokens }): Parameters<Ask>) -> Outcome {
        let question = messages::question(&prompt, max_tokens);
        let answers = exchange.ask(BTreeMap::from([(ANSWER.into(), question)]), None).await;
        answers.and_then(|answers| answers.text(ANSWER)).into()
    }

    #[tool(description = "Ask n questions at once")]
    async fn ask_many(&self, exchange: Exchange, Parameters(AskMany { n }): Parameters<AskMany>) -> Outcome {
        many(n, exchange).await.into()
    }

    #[tool(description = "Ask a question that may be answered with a tool")]
    async fn tool_loop(&self, exchange: Exchange, Parameters(Prompt { prompt }): Parameters<Prompt>) -> Outcome {
        looped(&prompt, exchange).await.into()
    }

    #[tool(description = "Ask what a picture shows")]
    async fn describe_image(&self, mut exchange: Exchange) -> Outcome {
        let answers = exchange.ask(BTreeMap::from([(ANSWER.into(), messages::picture())]), None).await;
        answers.and_then(|answers| answers.text(ANSWER)).into()
    }

    #[tool(description = "Ask a question, and the user's name")]
    async fn ask_and_elicit(&self, exchange: Exchange, Parameters(Prompt { prompt }): Parameters<Prompt>) -> Outcome {
        both(&prompt, exchange).await.into()
    }

    #[tool(description = "Return the text")]
    fn echo(Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Report progress")]
    async fn progress(
        &self,
        Parameters(Progress { steps }): Parameters<Progress>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
    ) -> Outcome {
        report(steps, meta, client).await.map(|()| "done".to_owned()).map_err(Into::into).into()
    }
}

#[prompt_router(vis = "pub(crate)")]
impl Matrix {
    #[prompt(name = "greet", description = "Greet someone")]
    async fn greet(&self, Parameters(Greet { name }): Parameters<Greet>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("Hello, {name}!"))]
    }
}

async fn many(n: usize, mut exchange: Exchange) -> Asked<String> {
    // The keys' order is the requests'.
    let keys: Vec<String> = (0..n).map(|index| format!("question-{index:06}")).collect();
    let questions = keys.iter().cloned().enumerate();
    let questions = questions.map(|(n, key)| (key, messages::question(&format!("question {n}"), MAX_TOKENS)));
    let answers = exchange.ask(questions.collect(), None).await?;
    Ok(keys.iter().map(|key| answers.text(key)).collect::<Asked<Vec<_>>>()?.join("|"))
}

/// In the modern era each round is a call of its own, which takes up the history where the last one left it.
async fn looped(prompt: &str, mut exchange: Exchange) -> Asked<String> {
    let begun = || History { messages: messages::beginning(prompt), round: 1 };
    let mut history = exchange.history()?.unwrap_or_else(begun);
    loop {
        let question = messages::question_with_tools(&history)?;
        let answers = exchange.ask(BTreeMap::from([(ANSWER.into(), question)]), Some(&history)).await?;
        let answer = answers.sampled(ANSWER)?;
        match messages::continued(&history, &answer) {
            Some(longer) if longer.round <= MAX_ROUNDS => history = longer,
            _ => return Ok(messages::text_of(&answer)),
        }
    }
}

async fn both(prompt: &str, mut exchange: Exchange) -> Asked<String> {
    let requests = [(ANSWER.into(), messages::question(prompt, MAX_TOKENS)), (NAME.into(), messages::name()?)];
    let answers = exchange.ask(requests.into(), None).await?;
    let name = answers.name(NAME)?.unwrap_or_else(|| "declined".into());
    Ok(format!("{name}: {}", answers.text(ANSWER)?))
}

async fn report(steps: u32, meta: RequestMetaObject, client: Peer<RoleServer>) -> Result<(), ServiceError> {
    let Some(token) = meta.get_progress_token() else { return Ok(()) };
    for step in 1..=steps {
        let progress = ProgressNotificationParam::new(token.clone(), step.into()).with_total(steps.into());
        client.notify_progress(progress).await?;
    }
    Ok(())
}
