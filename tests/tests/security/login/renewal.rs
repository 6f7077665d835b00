//! Renewals: to the token endpoint that was recorded at login, whatever the server says.

use std::sync::mpsc::channel;

use serde_json::{Value, json};
use understudy_tests::remote::{session, shake_hands};

use super::stage::{REFRESH_TOKEN, SECRET, Stage, Trick, lock};

const TRICKS: [Trick; 9] = [
    Trick::Refuses,
    Trick::Hides,
    Trick::Spoofs,
    Trick::Becomes,
    Trick::NamesTwo,
    Trick::Claims,
    Trick::Garbage,
    Trick::PointsElsewhere,
    Trick::WantsMore,
];

#[test]
fn whatever_a_server_says_later_a_renewal_goes_to_the_issuer_of_the_login() {
    for with_secret in [false, true] {
        let stage = Stage::new();
        stage.log_in(with_secret);
        let made = stage.kept();
        assert_eq!(made["authority"]["issuer"], json!(stage.issuer.url));
        for trick in TRICKS {
            stage.world.set(trick);
            let refused = stage.tools();
            assert!(!refused.status.success(), "{trick:?}");
            assert!(refused.stderr.contains("`understudy auth"), "{trick:?}: {}", refused.stderr);
            let names = refused.stderr.contains(&format!("`{}`", stage.issuer.url));
            assert!(names || trick == Trick::WantsMore, "{trick:?}: {}", refused.stderr);
            stage.nothing_has_leaked();
            let kept = stage.kept();
            for part in ["url", "client_secret", "authority"] {
                assert_eq!(kept[part], made[part], "{trick:?}: {part}");
            }
            assert_eq!(kept["credentials"]["client_id"], made["credentials"]["client_id"]);
            assert!(
                kept["credentials"]["token_response"]["refresh_token"]
                    .as_str()
                    .unwrap_or_default()
                    .starts_with(REFRESH_TOKEN)
            );
            // The login is as good as before.
            stage.world.set(Trick::None);
            let _ = stage.tools().ok();
        }
        let asked = stage.asked_for_tokens();
        assert!(asked.len() > TRICKS.len(), "it was renewed where it belongs");
        let id = if with_secret { "pre" } else { "cid" };
        let said = |form: &Vec<(String, String)>| form.iter().any(|(name, value)| name == "client_id" && value == id);
        assert!(with_secret || asked.iter().all(said));
    }
}

#[test]
fn a_login_that_is_made_anew_takes_nothing_of_its_issuers_to_another() {
    for trick in [Trick::Hides, Trick::Spoofs, Trick::Becomes, Trick::NamesTwo, Trick::Claims, Trick::WantsMore] {
        let stage = Stage::new();
        stage.log_in(true);
        let made = std::fs::read(stage.file()).unwrap_or_default();
        stage.world.set(trick);
        for args in [&["--client-id", "pre", "--client-secret", "CS"][..], &["--scope", "more"]] {
            let refused = stage.auth(args);
            assert!(!refused.status.success());
            let is_named =
                refused.stderr.contains(&format!("`{}`", stage.issuer.url)) || refused.stderr.contains("of the issuer");
            assert!(is_named || trick == Trick::Spoofs, "{trick:?}: {}", refused.stderr);
            assert!(!refused.stderr.contains("Log in here"), "{trick:?}: {}", refused.stderr);
            stage.nothing_has_leaked();
            assert!(!stage.server.seen().iter().any(|request| request.line.starts_with("POST /register")), "{trick:?}");
            assert_eq!(std::fs::read(stage.file()).unwrap_or_default(), made, "{trick:?}");
        }
        // With its login forgotten it is a server like any other.
        let _ = stage.place.run(["auth", "--url", &stage.url(), "--forget"]).ok();
        let begun = stage.auth(&["--client-id", "pre", "--client-secret", "CS"]);
        assert_eq!(
            begun.stderr.contains("Log in here"),
            !matches!(trick, Trick::Spoofs | Trick::Claims),
            "{}",
            begun.stderr
        );
    }
}

#[test]
fn another_issuer_is_named_before_the_user_logs_in_there_and_the_login_stays_until_then() {
    let stage = Stage::new();
    stage.log_in(false);
    let made = std::fs::read(stage.file()).unwrap_or_default();
    stage.world.set(Trick::Becomes);
    let begun = stage.auth(&[]);
    assert!(begun.stderr.contains(&format!("names the issuer `{}` now", stage.server.url)), "{}", begun.stderr);
    assert!(begun.stderr.contains(&format!("belongs to `{}`", stage.issuer.url)), "{}", begun.stderr);
    assert_eq!(std::fs::read(stage.file()).unwrap_or_default(), made);
    stage.nothing_has_leaked();
    // A server that says nothing any more isn't taken for an authorization server.
    stage.world.set(Trick::Hides);
    let refused = stage.auth(&[]);
    assert!(
        refused.stderr.contains("names none any more") && refused.stderr.contains("`understudy auth`"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("Log in here"), "{}", refused.stderr);
}

#[test]
fn a_login_of_an_older_version_is_renewed_at_its_issuer_or_not_at_all() {
    for trick in TRICKS {
        let stage = Stage::new();
        stage.log_in(true);
        stage.keep(|kept| _ = kept.as_object_mut().and_then(|kept| kept.remove("authority")));
        stage.world.set(trick);
        let _ = stage.tools();
        stage.nothing_has_leaked();
        stage.world.set(Trick::None);
        let _ = stage.tools().ok();
    }
    let stage = Stage::new();
    stage.log_in(true);
    stage.keep(|kept| {
        kept.as_object_mut().and_then(|kept| kept.remove("authority"));
        kept["credentials"]["issuer"] = Value::Null;
    });
    let _ = stage.tools().ok();
    stage.world.set(Trick::Hides);
    let refused = stage.tools();
    assert!(
        refused.stderr.contains("an older version") && refused.stderr.contains("`understudy auth`"),
        "{}",
        refused.stderr
    );
    stage.nothing_has_leaked();
    assert_eq!(stage.asked_for_tokens().len(), 1);
}

#[test]
fn a_token_endpoint_that_redirects_is_not_followed_with_a_secret() {
    for status in
        ["307 Temporary Redirect", "308 Permanent Redirect", "302 Found", "301 Moved Permanently", "303 See Other"]
    {
        let stage = Stage::new();
        stage.log_in(true);
        let made = stage.kept();
        *lock(&stage.world.redirect) = Some((status, format!("{}/token", stage.server.url)));
        stage.world.set(Trick::Refuses);
        let refused = stage.tools();
        assert!(refused.stderr.contains("follows no redirect"), "{}", refused.stderr);
        assert!(refused.stderr.contains(&stage.issuer.url), "{}", refused.stderr);
        assert_eq!(stage.kept(), made);
        stage.nothing_has_leaked();
        assert!(!stage.server.seen().iter().any(|request| request.line.contains("/token")));
    }
}

#[test]
fn a_secret_is_told_to_the_token_endpoint_alone_and_in_one_way() {
    let stage = Stage::new();
    stage.log_in(true);
    stage.world.set(Trick::Refuses);
    let _ = stage.tools();
    let told = |request: &understudy_tests::provider::Request| {
        let all = format!("{:?}{}", request.headers, String::from_utf8_lossy(&request.body));
        all.contains(SECRET) || request.headers.contains_key("authorization")
    };
    let seen = stage.issuer.seen();
    let told: Vec<&str> = seen.iter().filter(|request| told(request)).map(|request| request.line.trim()).collect();
    assert!(told.iter().all(|line| *line == "POST /token HTTP/1.1"), "{told:?}");
    // Once for the login, and once for each connection that was refused: new tokens aren't renewed again.
    assert!((2..=3).contains(&told.len()), "{told:?}");
}

#[test]
fn a_login_that_expires_under_many_processes_is_renewed_with_each_refresh_token_once() {
    let stage = Stage::new();
    stage.log_in(false);
    for _ in 0..3 {
        // Each of them has a token that was refused, or will be.
        stage.keep(|kept| kept["credentials"]["token_received_at"] = json!(1));
        std::thread::scope(|scope| {
            let runs = [(); 5].map(|()| scope.spawn(|| stage.tools()));
            for run in runs {
                let _ = run.join().unwrap_or_else(|_| panic!("a thread ends")).ok();
            }
        });
    }
    let asked = stage.asked_for_tokens();
    let value = |form: &Vec<(String, String)>| {
        form.iter().find(|(name, _)| name == "refresh_token").map(|(_, token)| token.clone())
    };
    let used: Vec<String> = asked.iter().filter_map(value).collect();
    assert_eq!(used, [1, 2, 3].map(|n| format!("{REFRESH_TOKEN}-{n}")));
}

#[test]
fn a_login_that_was_forgotten_meanwhile_stays_forgotten() {
    let stage = Stage::new();
    stage.log_in(false);
    stage.keep(|kept| kept["credentials"]["token_received_at"] = json!(1));
    let (release, held) = channel();
    *lock(&stage.world.held) = Some(held);
    let asked = stage.issuer.seen().len();
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| stage.tools());
        stage.issuer.gate().wait_for(asked + 1);
        let forgetting = scope.spawn(|| stage.place.run(["auth", "--url", &stage.url(), "--forget"]));
        let _ = release.send(());
        let _ = renewing.join();
        let _ = forgetting.join().unwrap_or_else(|_| panic!("a thread ends")).ok();
    });
    let folder = stage.place.path().join("understudy/logins");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    assert_eq!(files.filter(|name| name.to_string_lossy().ends_with(".json")).count(), 0);
}

#[test]
fn a_lifetime_as_text_is_a_lifetime() {
    for lifetime in [json!("3600"), json!(3600.0), json!("1"), json!(1.0)] {
        let stage = Stage::new();
        *lock(&stage.world.lifetime) = lifetime.clone();
        stage.log_in(false);
        let _ = stage.tools().ok();
        let is_short = lifetime == json!("1") || lifetime == json!(1.0);
        assert_eq!(stage.asked_for_tokens().len() > 1, is_short, "{lifetime}");
    }
}

#[test]
fn a_login_that_is_made_again_elsewhere_is_taken_up_by_who_runs() {
    let stage = Stage::new();
    *lock(&stage.world.lifetime) = json!(1);
    stage.log_in(false);
    // It has expired for whoever looks, so it is renewed, and new.
    *lock(&stage.world.lifetime) = json!(3600);
    let mut running = session(&stage.place, &stage.url(), &[]);
    let begun = shake_hands(&mut running);
    assert!(begun["result"].is_object(), "{begun}");
    let list = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" });
    stage.world.latest.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    running.say(&list(1));
    let refused = running.hear();
    assert!(refused["error"]["message"].to_string().contains("log in again"), "{refused}");
    stage.log_in(false);
    running.say(&list(2));
    let answered = running.hear();
    assert!(answered["result"]["tools"].is_array(), "{answered}");
}

#[test]
fn a_server_that_takes_a_secret_in_the_form_alone_and_says_nothing_of_it_gets_it_there() {
    let stage = Stage::new();
    *lock(&stage.world.document) = json!({ "token_endpoint_auth_methods_supported": null });
    *lock(&stage.world.form_only) = true;
    stage.log_in(true);
    let _ = stage.tools().ok();
    assert_eq!(stage.kept()["authority"]["authentication"], "client_secret_post");
    stage.nothing_has_leaked();
}
