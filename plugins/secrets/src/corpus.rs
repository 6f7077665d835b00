//! True and false cases. Nothing here is a secret: true ones are made at run time of random characters or of pieces, so that no scanner takes this
//! file for a leak.

use crate::checks::{crc32, looks_random};
use crate::find::Of;
use crate::kinds::{INFIXES, KEYED, TOKENS};

/// Numbers below what is asked, the same in every run: Knuth's MMIX generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(20_261_130)
    }

    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }

    pub(crate) fn text(&mut self, of: Of, length: usize) -> String {
        let all: Vec<char> = (0_u8..128).filter(|byte| of.has(*byte)).map(char::from).collect();
        (0..length).map(|_| all[self.below(all.len())]).collect()
    }
}

/// A body with this checksum of GitHub's.
fn with_crc32(random: &str) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (mut value, mut checksum) = (crc32(random.as_bytes()) as usize, Vec::new());
    for _ in 0..6 {
        checksum.insert(0, digits[value % 62]);
        value /= 62;
    }
    format!("{random}{}", String::from_utf8(checksum).unwrap())
}

/// Data with a Bech32 checksum, by trying: the six last characters that make it hold are found from the polynomial's remainder.
fn age_data(random: &mut Random) -> String {
    let alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let data: Vec<u32> = (0..52).map(|_| u32::try_from(random.below(32)).unwrap()).collect();
    let hrp = b"age-secret-key-";
    let step = |check: u32, value: u32| {
        let top = check >> 25;
        let mut next = (check & 0x01FF_FFFF) << 5 ^ value;
        for (bit, generator) in
            [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3].into_iter().enumerate()
        {
            if top >> bit & 1 == 1 {
                next ^= generator;
            }
        }
        next
    };
    let head =
        hrp.iter().map(|byte| u32::from(byte >> 5)).chain([0]).chain(hrp.iter().map(|byte| u32::from(byte & 31)));
    let check = head.chain(data.iter().copied()).chain([0; 6]).fold(1, step) ^ 1;
    let checksum = (0..6).map(|n| check >> (5 * (5 - n)) & 31);
    let letter = |value: u32| alphabet.chars().nth(value as usize).unwrap().to_ascii_uppercase();
    data.iter().copied().chain(checksum).map(letter).collect()
}

/// A secret of each shape: its kind, and what stands around it where it needs a name.
fn shapes(random: &mut Random) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    for token in TOKENS {
        let (least, most) = (*token.length.start(), *token.length.end());
        let made = (0..10_000).find_map(|_| {
            let length = least + random.below((most - least + 1).min(40));
            let body = match token.kind {
                "OpenAI key" => format!("proj-{}T3BlbkFJ{}", random.text(Of::Word, 40), random.text(Of::Word, 40)),
                "GitHub token" if token.prefix.starts_with("gh") && token.prefix.len() == 4 => {
                    with_crc32(&random.text(Of::Alnum, 30))
                }
                "SendGrid key" => format!("{}.{}", random.text(Of::Word, 22), random.text(Of::Word, 43)),
                "Airtable token" => format!("{}.{}", random.text(Of::Alnum, 14), random.text(Of::Hex, 64)),
                "Dynatrace token" => format!("{}.{}", random.text(Of::Upper, 24), random.text(Of::Upper, 64)),
                "JWT" => {
                    let (payload, signature) = (random.text(Of::Word, 40), random.text(Of::Word, 43));
                    // {"alg":"HS256","typ":"JWT"}
                    format!("hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{payload}.{signature}")
                }
                "age key" => age_data(random),
                "age plugin key" => format!("YUBIKEY-1{}", random.text(Of::Upper, 52)),
                _ => random.text(token.body, length),
            };
            let fits = token.length.contains(&body.len()) && looks_random(&body) && (token.check)(&body);
            // A token that ends with what may end a sentence is found without that.
            (fits && !body.ends_with(['-', '_', '.', '=', '+', '/', '~'])).then_some(body)
        });
        let made = made.unwrap_or_else(|| panic!("no body for {} {}", token.kind, token.prefix));
        all.push((token.kind, String::new(), format!("{}{made}", token.prefix)));
    }
    for infix in INFIXES {
        let (left, right) =
            (random.text(infix.left.0, *infix.left.1.start()), random.text(infix.right.0, *infix.right.1.start()));
        let left = if infix.kind == "Azure client secret" { format!("a1b{}", random.below(10)) } else { left };
        let right = right.replace(['.', '-', '~', '/', '+', '='], "x");
        all.push((infix.kind, String::new(), format!("{left}{}{right}", infix.mark)));
    }
    for keyed in KEYED {
        all.push((keyed.kind, format!("{}=", keyed.name), random.text(keyed.value, keyed.length)));
    }
    let lines: Vec<String> = (0..20).map(|_| random.text(Of::Base64, 64).replace('=', "A")).collect();
    for (kind, label) in [
        ("PEM private key", "RSA PRIVATE KEY"),
        ("PEM private key", "PRIVATE KEY"),
        ("SSH private key", "OPENSSH PRIVATE KEY"),
        ("PGP private key", "PGP PRIVATE KEY BLOCK"),
    ] {
        let key = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"));
        all.push((kind, String::new(), key));
    }
    for scheme in ["postgres", "postgresql+asyncpg", "mysql", "mongodb+srv", "redis", "amqps"] {
        let password = random.text(Of::Alnum, 16);
        all.push((
            "password in a database URL",
            format!("{scheme}://app:"),
            format!("{password}\u{0}@db.internal:5432/x"),
        ));
    }
    all.push((
        "password in a URL",
        "https://deploy:".to_owned(),
        format!("{}\u{0}@git.internal/x.git", random.text(Of::Alnum, 20)),
    ));
    all
}

/// A text with a secret in it: the secret's kind, the text, and the secret.
pub(crate) struct True {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) secret: String,
}

/// Each shape in each surrounding.
pub(crate) fn trues(rounds: usize) -> Vec<True> {
    let (mut random, mut all) = (Random::new(), Vec::new());
    for _ in 0..rounds {
        for (kind, before, made) in shapes(&mut random) {
            // What follows a password is no part of it.
            let (secret, after) = made.split_once('\u{0}').unwrap_or((&made, ""));
            let whole = format!("{before}{secret}{after}");
            let mut around = vec![
                whole.clone(),
                format!("export API_KEY=\"{whole}\"\n"),
                format!("Use `{whole}` for now."),
                format!("the key is {whole}, and it works"),
                format!("line one\\n{whole}\\nline three"),
                format!("{{\"a\": \"{whole}\", \"b\": 1}}"),
                format!("curl -H 'Authorization: Bearer {whole}' https://api.example.com"),
            ];
            // A name must stand right before its value.
            if before.is_empty() {
                around.push(format!("https://api.example.com/v1?key={whole}&x=1"));
                around.push(format!("(see {whole})."));
            }
            all.extend(around.into_iter().map(|text| True { kind, text, secret: secret.to_owned() }));
        }
    }
    all
}

/// Texts without a secret, though with what looks like one from afar.
pub(crate) fn falses() -> Vec<String> {
    let mut random = Random::new();
    let mut all: Vec<String> = [
        "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "OPENAI_API_KEY=sk-...", "export ANTHROPIC_API_KEY=sk-ant-…", "sk-your-key-here", "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "<div class=\"sk-circle sk-circle1 sk-fading-circle-and-more-classes\">", "the prefix of a token is ghp_ or gho_",
        "pip install hf_transfer && export HF_HUB_ENABLE_HF_TRANSFER=1", "npm_config_registry=https://registry.example.com npm_lifecycle_event",
        "postgres://user:password@localhost/db", "postgres://localhost:5432/app", "redis://default:${REDIS_PASSWORD}@cache:6379",
        "mysql://root:root@127.0.0.1:3306", "https://example.com:8443/a@b", "mailto:someone@example.com?subject=a:b",
        "https://user:$TOKEN@github.com/a/b.git", "mongodb+srv://<user>:<password>@cluster0.mongodb.net",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8xOUetsCa8EfOlDEBAfREhJqspDo\n-----END PUBLIC KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----", "grep -- '-----BEGIN OPENSSH PRIVATE KEY-----' ~/.ssh/*",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq3h1rVfZ0oYxW0oVY1c2m8t3i3QbXbq2p3m0cQm1p9 me@host",
        "eyJhbGciOiJIUzI1NiJ9 is a header alone", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "integrity sha512-9nGzJ4pXf6Yw3S3bq0y8l7mX8Vb2u7Jv0g5rO1cT2wKq5eZ1xV7N3Yp0rB4hT6uD9sL8aF2mC5oJ1iQ3kW7bXg==",
        "sha256:3b8f1c2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "550e8400-e29b-41d4-a716-446655440000", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "SKU SK0123456789 and SKIP and SKELETON", "task key-value store with key-0123456789", "secret_santa_list_for_the_whole_team_2026",
        "patrons.and.patterns", "re_export the module", "fw_version = 3", "the EAA directive of 2025", "pul-over", "dapi and rapid",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "1234567890:AAxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "10:AA and 11:AB are the times", "1//0 divides", "const SECRET_ACCESS_KEY = process.env.AWS_SECRET_ACCESS_KEY;",
        "AccountKey=<your key>;EndpointSuffix=core.windows.net", "glpat-<token>", "xoxb-not-a-real-token", "AGE-SECRET-KEY-1QQQQQQQQ",
    ]
    .map(str::to_owned)
    .to_vec();
    // Random texts of the lengths that tokens have, alone and behind names.
    for length in [16, 20, 24, 32, 36, 40, 44, 48, 64, 88] {
        for of in [Of::Hex, Of::Alnum, Of::Word, Of::Base64, Of::Digits, Of::Upper] {
            for _ in 0..20 {
                let made = random.text(of, length);
                all.extend([
                    made.clone(),
                    format!("digest={made}"),
                    format!("{{\"id\": \"{made}\"}}"),
                    format!("id-{made}.png"),
                ]);
            }
        }
    }
    // Tokens of GitHub's shape without its checksum.
    all.extend((0..200).map(|_| format!("ghp_{}", random.text(Of::Alnum, 36))));
    all
}
