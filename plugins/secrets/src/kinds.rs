//! The kinds of secrets. Each shape is what its issuer's public documentation says, named beside it; where that gives a prefix only, the length is
//! that of tokens in its examples, with room.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::checks::{has_crc32, is_age_key, is_jwt};
use crate::find::Of;
use crate::infix::Infix;
use crate::keyed::Keyed;
use crate::token::Token;

/// The names of all kinds, in the order of the alphabet.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let tokens = TOKENS.iter().map(|token| token.kind);
    let infixes = INFIXES.iter().map(|infix| infix.kind);
    let keyed = KEYED.iter().map(|keyed| keyed.kind);
    let others = [
        "PEM private key",
        "PGP private key",
        "PuTTY private key",
        "SSH private key",
        "password in a URL",
        "password in a database URL",
    ];
    let all: BTreeSet<&str> = tokens.chain(infixes).chain(keyed).chain(others).collect();
    all.into_iter()
}

const fn token(kind: &'static str, prefix: &'static str, body: Of, length: RangeInclusive<usize>) -> Token {
    checked(kind, prefix, body, length, |_| true)
}

const fn checked(
    kind: &'static str,
    prefix: &'static str,
    body: Of,
    length: RangeInclusive<usize>,
    check: fn(&str) -> bool,
) -> Token {
    Token { kind, prefix, body, length, check }
}

/// Whether it consists of so many parts, of these lengths each, between dots.
fn has_parts(body: &str, lengths: &[RangeInclusive<usize>]) -> bool {
    let parts: Vec<&str> = body.split('.').collect();
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| length.contains(&part.len()))
}

/// Whether digits and letters are in it: a word with a prefix is no token.
fn is_mixed(body: &str) -> bool {
    body.bytes().any(|byte| byte.is_ascii_digit()) && body.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Tokens by their prefixes. Of two with the same beginning, the more particular one comes first.
pub(crate) static TOKENS: &[Token] = &[
    // platform.openai.com/docs/api-reference/authentication; "T3BlbkFJ" (base64 of "OpenAI") stands in the middle of each key, as GitHub's
    // secret scanning documents for `openai_api_key`.
    checked("OpenAI key", "sk-", Of::Word, 40..=220, |body| body.contains("T3BlbkFJ")),
    // docs.anthropic.com/en/api: keys `sk-ant-api…`, admin keys `sk-ant-admin…`, tokens of logins `sk-ant-oat…`, `sk-ant-ort…`.
    token("Anthropic key", "sk-ant-", Of::Word, 40..=220),
    // openrouter.ai/docs/api-reference/authentication
    token("OpenRouter key", "sk-or-v1-", Of::Hex, 64..=64),
    // api-docs.deepseek.com
    token("DeepSeek key", "sk-", Of::Hex, 32..=32),
    // cloud.google.com/docs/authentication/api-keys
    token("Google API key", "AIza", Of::Word, 35..=35),
    // developers.google.com/identity/protocols/oauth2
    token("Google OAuth client secret", "GOCSPX-", Of::Word, 28..=28),
    checked("Google OAuth token", "ya29.", Of::Word, 40..=1024, is_mixed),
    token("Google OAuth token", "1//0", Of::Word, 40..=512),
    // docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, "Understanding unique ID prefixes"
    token("AWS access key id", "AKIA", Of::Base32, 16..=16),
    token("AWS access key id", "ASIA", Of::Base32, 16..=16),
    // docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
    token("AWS Bedrock key", "ABSK", Of::Base64, 100..=300),
    token("AWS Bedrock key", "bedrock-api-key-", Of::Base64, 100..=2048),
    // github.blog, "Behind GitHub's new authentication token formats" (2021-04-05)
    checked("GitHub token", "ghp_", Of::Alnum, 36..=36, has_crc32),
    checked("GitHub token", "gho_", Of::Alnum, 36..=36, has_crc32),
    checked("GitHub token", "ghu_", Of::Alnum, 36..=36, has_crc32),
    checked("GitHub token", "ghs_", Of::Alnum, 36..=36, has_crc32),
    checked("GitHub token", "ghr_", Of::Alnum, 36..=76, has_crc32),
    // github.blog, "Introducing fine-grained personal access tokens for GitHub" (2022-10-18)
    token("GitHub token", "github_pat_", Of::Word, 82..=82),
    // docs.gitlab.com/security/tokens, "Token prefixes"
    token("GitLab token", "glpat-", Of::Dotted, 20..=64),
    token("GitLab token", "gloas-", Of::Word, 64..=64),
    token("GitLab token", "gldt-", Of::Word, 20..=64),
    token("GitLab token", "glrt-", Of::Dotted, 20..=64),
    token("GitLab token", "glrtr-", Of::Dotted, 20..=64),
    token("GitLab token", "glcbt-", Of::Word, 20..=80),
    token("GitLab token", "glptt-", Of::Word, 40..=64),
    token("GitLab token", "glft-", Of::Word, 20..=64),
    token("GitLab token", "glimt-", Of::Word, 20..=64),
    token("GitLab token", "glagent-", Of::Word, 50..=64),
    token("GitLab token", "glsoat-", Of::Word, 20..=64),
    token("GitLab token", "glffct-", Of::Word, 20..=64),
    // support.atlassian.com/bitbucket-cloud/docs/api-tokens and developer.atlassian.com, "API tokens"
    token("Atlassian token", "ATATT3", Of::Any, 80..=400),
    token("Atlassian token", "ATCTT3", Of::Any, 80..=400),
    token("Bitbucket password", "ATBB", Of::Alnum, 32..=32),
    // docs.slack.dev/authentication/tokens
    checked("Slack token", "xoxb-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxp-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxa-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxr-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxs-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxc-", Of::Word, 30..=120, is_mixed),
    checked("Slack token", "xoxe.xox", Of::Word, 60..=320, is_mixed),
    checked("Slack token", "xoxe-", Of::Word, 60..=320, is_mixed),
    checked("Slack token", "xapp-", Of::Word, 60..=160, is_mixed),
    // docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    token("Slack webhook", "hooks.slack.com/services/", Of::Base64, 40..=60),
    token("Slack webhook", "hooks.slack.com/workflows/", Of::Base64, 40..=80),
    // discord.com/developers/docs/resources/webhook
    token("Discord webhook", "discord.com/api/webhooks/", Of::Any, 80..=100),
    token("Discord webhook", "discordapp.com/api/webhooks/", Of::Any, 80..=100),
    // docs.stripe.com/keys, docs.stripe.com/webhooks
    token("Stripe key", "sk_live_", Of::Alnum, 24..=128),
    token("Stripe key", "rk_live_", Of::Alnum, 24..=128),
    token("Stripe key", "sk_test_", Of::Alnum, 24..=128),
    token("Stripe key", "rk_test_", Of::Alnum, 24..=128),
    token("webhook signing secret", "whsec_", Of::Base64, 32..=64),
    // github.blog, "Announcing npm's new access token format" (2021-09-23). It names a checksum, and not what is summed up; tokens in npm's own
    // documentation don't fit GitHub's, so the shape decides.
    checked("npm token", "npm_", Of::Alnum, 36..=36, is_mixed),
    // PyPI's help, "How can I use API tokens to authenticate with PyPI?": a macaroon whose location is the index
    token("PyPI token", "pypi-AgEIcHlwaS5vcmc", Of::Word, 50..=1024),
    token("PyPI token", "pypi-AgENdGVzdC5weXBpLm9yZ", Of::Word, 50..=1024),
    // guides.rubygems.org/api-key-scopes
    token("RubyGems key", "rubygems_", Of::Hex, 48..=48),
    // learn.microsoft.com/nuget/nuget-org/publish-a-package
    checked("NuGet key", "oy2", Of::Lower, 43..=43, is_mixed),
    // doc.rust-lang.org/cargo/reference/registry-authentication.html
    checked("crates.io token", "cio", Of::Alnum, 32..=32, is_mixed),
    // docs.docker.com/security/access-tokens
    token("Docker Hub token", "dckr_pat_", Of::Word, 27..=40),
    token("Docker Hub token", "dckr_oat_", Of::Word, 27..=40),
    // huggingface.co/docs/hub/security-tokens
    token("Hugging Face token", "hf_", Of::Alnum, 34..=34),
    token("Hugging Face token", "api_org_", Of::Alnum, 34..=34),
    // replicate.com/docs/reference/http, "Authentication"
    token("Replicate token", "r8_", Of::Alnum, 37..=37),
    // console.groq.com/docs/quickstart
    token("Groq key", "gsk_", Of::Alnum, 48..=60),
    // docs.x.ai/docs/overview
    token("xAI key", "xai-", Of::Alnum, 70..=100),
    // docs.perplexity.ai, "API keys"
    token("Perplexity key", "pplx-", Of::Alnum, 40..=64),
    // docs.fireworks.ai/api-reference/introduction
    checked("Fireworks key", "fw_", Of::Alnum, 22..=24, is_mixed),
    // docs.langchain.com/langsmith, "API keys"
    token("LangSmith key", "lsv2_pt_", Of::Word, 43..=43),
    token("LangSmith key", "lsv2_sk_", Of::Word, 43..=43),
    // elevenlabs.io/docs/api-reference/authentication
    token("ElevenLabs key", "sk_", Of::Hex, 48..=48),
    // build.nvidia.com, "API keys"
    token("NVIDIA key", "nvapi-", Of::Word, 60..=80),
    // docs.tavily.com
    token("Tavily key", "tvly-", Of::Word, 32..=64),
    // docs.digitalocean.com/reference/api/create-personal-access-token
    token("DigitalOcean token", "dop_v1_", Of::Hex, 64..=64),
    token("DigitalOcean token", "doo_v1_", Of::Hex, 64..=64),
    token("DigitalOcean token", "dor_v1_", Of::Hex, 64..=64),
    // docs.sendgrid.com/ui/account-and-settings/api-keys
    checked("SendGrid key", "SG.", Of::Dotted, 66..=66, |body| has_parts(body, &[22..=22, 43..=43])),
    // twilio.com/docs/iam/api-keys: the id of a key, which its secret goes with
    token("Twilio key", "SK", Of::Hex, 32..=32),
    // documentation.mailgun.com/docs/mailgun/api-reference/mg-auth
    token("Mailgun key", "key-", Of::Hex, 32..=32),
    // developers.brevo.com/docs/getting-started
    token("Brevo key", "xkeysib-", Of::Word, 81..=81),
    // resend.com/docs/api-reference/introduction
    checked("Resend key", "re_", Of::Word, 33..=34, is_mixed),
    // shopify.dev/docs/apps/build/authentication-authorization
    token("Shopify token", "shpat_", Of::Hex, 32..=32),
    token("Shopify token", "shpca_", Of::Hex, 32..=32),
    token("Shopify token", "shppa_", Of::Hex, 32..=32),
    token("Shopify token", "shpss_", Of::Hex, 32..=32),
    // developer.squareup.com/docs/build-basics/access-tokens
    token("Square token", "sq0atp-", Of::Word, 22..=22),
    token("Square token", "sq0csp-", Of::Word, 43..=43),
    token("Square token", "EAAA", Of::Word, 60..=60),
    // developers.facebook.com/docs/facebook-login/guides/access-tokens
    checked("Meta token", "EAA", Of::Alnum, 90..=400, is_mixed),
    // docs.databricks.com/dev-tools/auth/pat
    token("Databricks token", "dapi", Of::Hex, 32..=32),
    // linear.app/developers/graphql, notion.com (developers.notion.com/docs/authorization), figma.com/developers/api#authentication
    token("Linear key", "lin_api_", Of::Alnum, 40..=40),
    token("Notion token", "ntn_", Of::Alnum, 40..=50),
    checked("Notion token", "secret_", Of::Alnum, 43..=43, is_mixed),
    token("Figma token", "figd_", Of::Word, 40..=60),
    // learning.postman.com/docs/developer/postman-api/authentication
    checked("Postman key", "PMAK-", Of::Word, 59..=59, is_mixed),
    // airtable.com/developers/web/api/authentication
    checked("Airtable token", "pat", Of::Dotted, 79..=79, |body| has_parts(body, &[14..=14, 64..=64])),
    // docs.doppler.com/reference/auth-token-formats
    token("Doppler token", "dp.pt.", Of::Alnum, 40..=44),
    token("Doppler token", "dp.st.", Of::Dotted, 40..=90),
    token("Doppler token", "dp.ct.", Of::Alnum, 40..=44),
    token("Doppler token", "dp.sa.", Of::Alnum, 40..=44),
    // grafana.com/docs/grafana/latest/administration/service-accounts and cloud access policies
    token("Grafana token", "glsa_", Of::Word, 41..=41),
    token("Grafana token", "glc_eyJ", Of::Base64, 60..=400),
    // developer.hashicorp.com/vault/docs/concepts/tokens
    checked("Vault token", "hvs.", Of::Word, 24..=300, is_mixed),
    checked("Vault token", "hvb.", Of::Word, 90..=400, is_mixed),
    checked("Vault token", "hvr.", Of::Word, 24..=300, is_mixed),
    // pulumi.com/docs/pulumi-cloud/access-management/access-tokens
    token("Pulumi token", "pul-", Of::Hex, 40..=40),
    // fly.io/docs/security/tokens
    token("Fly.io token", "FlyV1 fm2_", Of::Base64, 100..=2048),
    token("Fly.io token", "fm2_", Of::Base64, 100..=2048),
    // supabase.com/docs/guides/api/api-keys and the management API
    token("Supabase token", "sbp_", Of::Hex, 40..=40),
    checked("Supabase token", "sb_secret_", Of::Word, 30..=60, is_mixed),
    // docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys
    token("New Relic key", "NRAK-", Of::Upper, 27..=27),
    // docs.sentry.io/account/auth-tokens
    token("Sentry token", "sntrys_eyJ", Of::Any, 80..=400),
    token("Sentry token", "sntryu_", Of::Hex, 64..=64),
    // docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients, "Token format"
    checked("Dynatrace token", "dt0c01.", Of::Dotted, 89..=89, |body| has_parts(body, &[24..=24, 64..=64])),
    checked("Dynatrace token", "dt0s01.", Of::Dotted, 73..=89, |body| has_parts(body, &[8..=24, 64..=64])),
    // tailscale.com/kb/1277/key-prefixes
    token("Tailscale key", "tskey-", Of::Word, 30..=80),
    // planetscale.com/docs/concepts/connection-strings, service tokens
    token("PlanetScale password", "pscale_pw_", Of::Dotted, 32..=64),
    token("PlanetScale token", "pscale_tkn_", Of::Dotted, 32..=64),
    // contentful.com/developers/docs/references/authentication
    token("Contentful token", "CFPAT-", Of::Word, 43..=43),
    // devcenter.heroku.com/articles/authentication
    token("Heroku token", "HRKU-", Of::Word, 36..=70),
    // docs.easypost.com/docs/authentication
    token("EasyPost key", "EZAK", Of::Alnum, 54..=54),
    token("EasyPost key", "EZTK", Of::Alnum, 54..=54),
    // typeform.com/developers/get-started/personal-access-token
    token("Typeform token", "tfp_", Of::Any, 40..=70),
    // learn.microsoft.com/azure/azure-functions, "Work with access keys" and identifiable keys
    // prefect.io (docs.prefect.io/v3/manage/cloud/manage-users/api-keys)
    token("Prefect key", "pnu_", Of::Alnum, 36..=36),
    // docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens
    token("Sonar token", "sqp_", Of::Hex, 40..=40),
    token("Sonar token", "squ_", Of::Hex, 40..=40),
    token("Sonar token", "sqa_", Of::Hex, 40..=40),
    // posthog.com/docs/api
    token("PostHog key", "phx_", Of::Alnum, 43..=50),
    // RFC 7519
    checked("JWT", "eyJ", Of::Dotted, 60..=8192, is_jwt),
    // c2sp.org/age
    checked("age key", "AGE-SECRET-KEY-1", Of::Upper, 58..=58, is_age_key),
    checked("age plugin key", "AGE-PLUGIN-", Of::Word, 60..=200, |body| body.contains("-1") && is_mixed(body)),
];

/// Tokens by a mark within them.
pub(crate) static INFIXES: &[Infix] = &[
    // core.telegram.org/bots/api#authorizing-your-bot
    Infix { kind: "Telegram bot token", mark: ":AA", left: (Of::Digits, 8..=10), right: (Of::Word, 33..=33) },
    // mailchimp.com/developer/marketing/guides/quick-start, "API key": the data centre stands at its end
    Infix { kind: "Mailchimp key", mark: "-us", left: (Of::Hex, 32..=32), right: (Of::Digits, 1..=2) },
    // learn.microsoft.com/purview/sit-defn-client-secret-api-key, "Azure AD client secret": `Q~` after three characters and a digit
    Infix { kind: "Azure client secret", mark: "Q~", left: (Of::Dotted, 4..=4), right: (Of::Any, 31..=34) },
    // devblogs.microsoft.com/devops, "Introducing the new format for Azure DevOps personal access tokens" (2024)
    Infix { kind: "Azure DevOps token", mark: "AZDO", left: (Of::Alnum, 76..=76), right: (Of::Alnum, 4..=4) },
    // developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens
    Infix { kind: "Terraform token", mark: ".atlasv1.", left: (Of::Alnum, 14..=14), right: (Of::Any, 60..=70) },
];

/// Values that only their name tells.
pub(crate) static KEYED: &[Keyed] = &[
    // docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
    Keyed { kind: "AWS secret access key", name: "secretaccesskey", value: Of::Base64, length: 40 },
    Keyed { kind: "AWS secret access key", name: "awssecretkey", value: Of::Base64, length: 40 },
    // learn.microsoft.com/azure/storage/common/storage-configure-connection-string
    Keyed { kind: "Azure storage key", name: "accountkey", value: Of::Base64, length: 88 },
    // learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
    Keyed { kind: "Azure shared access key", name: "sharedaccesskey", value: Of::Base64, length: 44 },
    // learn.microsoft.com/azure/ai-services/authentication
    Keyed { kind: "Azure AI key", name: "azureopenaiapikey", value: Of::Alnum, length: 32 },
    Keyed { kind: "Azure AI key", name: "azureopenaiapikey", value: Of::Alnum, length: 84 },
    Keyed { kind: "Azure AI key", name: "ocpapimsubscriptionkey", value: Of::Hex, length: 32 },
    // twilio.com/docs/iam/access-tokens
    Keyed { kind: "Twilio auth token", name: "twilioauthtoken", value: Of::Hex, length: 32 },
    // docs.datadoghq.com/account_management/api-app-keys
    Keyed { kind: "Datadog key", name: "ddapikey", value: Of::Hex, length: 32 },
    Keyed { kind: "Datadog key", name: "datadogapikey", value: Of::Hex, length: 32 },
    Keyed { kind: "Datadog key", name: "ddappkey", value: Of::Hex, length: 40 },
    // developers.cloudflare.com/fundamentals/api/get-started/create-token
    Keyed { kind: "Cloudflare token", name: "cloudflareapitoken", value: Of::Word, length: 40 },
    // docs.mistral.ai, docs.cohere.com, docs.together.ai: keys without a prefix
    Keyed { kind: "Mistral key", name: "mistralapikey", value: Of::Alnum, length: 32 },
    Keyed { kind: "Cohere key", name: "cohereapikey", value: Of::Alnum, length: 40 },
    Keyed { kind: "Cohere key", name: "coapikey", value: Of::Alnum, length: 40 },
    Keyed { kind: "Together key", name: "togetherapikey", value: Of::Hex, length: 64 },
];
