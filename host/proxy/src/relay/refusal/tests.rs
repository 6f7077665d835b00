//! What published clients answer, and what nobody has published yet.

use serde_json::{Value, json};

use super::*;

/// The answers of published clients: read in their sources, or in reports about them, on 2026-11-29, each with what it means.
const SEEN: &str = include_str!("clients.json");

fn of(error: &Value) -> Meaning {
    meaning(&serde_json::from_value(error.clone()).unwrap())
}

#[test]
fn the_answers_of_published_clients_are_understood() {
    let seen: Vec<Value> = serde_json::from_str(SEEN).unwrap();
    assert!(seen.len() > 40);
    for case in seen {
        let expected = match case["means"].as_str() {
            Some("cannot") => Meaning::Cannot,
            Some("refused") => Meaning::Refused,
            _ => Meaning::Unclear,
        };
        assert_eq!(of(&case["error"]), expected, "{}", case["client"]);
    }
}

#[test]
fn a_refusal_stands_in_whatever_words_and_code_it_comes() {
    let words = [
        "The user has denied permission",
        "Sampling request rejected",
        "DECLINED",
        "refused by the user",
        "Sampling is not allowed for this server",
        "sampling is disabled by policy",
        "Cancelled",
        "canceled by user",
        "Forbidden",
        "consent required",
        "Permission required",
        "over quota",
        "too many requests",
        "The user won’t share this",
        "User_Rejected",
        "Not supported: the user declined",
        "Method not found (blocked by your administrator)",
        "Der Benutzer hat die Anfrage abgelehnt",
        "Zugriff verweigert",
        "L'utilisateur a refusé",
        "El usuario rechazó la solicitud",
        "Richiesta rifiutata",
        "O usuário recusou",
        "Пользователь отклонил запрос",
        "用户拒绝了请求",
        "ユーザーが拒否しました",
    ];
    for code in [-1, -32000, -32001, -32600, -32601, -32602, -32603, -32800, 0, 1, 403] {
        for message in words {
            assert_eq!(of(&json!({ "code": code, "message": message })), Meaning::Refused, "{code} {message}");
        }
        // It may stand beside the message.
        let error = json!({ "code": code, "message": "Not supported", "data": { "reason": "user_declined" } });
        assert_eq!(of(&error), Meaning::Refused, "{code}");
    }
    assert_eq!(of(&json!({ "code": -1, "message": "not supported" })), Meaning::Refused);
}

#[test]
fn only_what_plainly_says_that_it_cannot_calls_the_plugin() {
    for (error, expected) in [
        (json!({ "code": -32601 }), Meaning::Cannot),
        (json!({ "code": "-32601", "message": null }), Meaning::Cannot),
        (json!({ "code": -32601.0, "message": "Methode unbekannt" }), Meaning::Cannot),
        (json!({ "code": -32603, "message": "sampling is not implemented" }), Meaning::Cannot),
        (json!({ "message": "Sampling isn't available here" }), Meaning::Cannot),
        (json!("sampling not supported"), Meaning::Cannot),
        (json!({ "code": -32603, "message": "Internal error" }), Meaning::Unclear),
        (json!({ "code": -32603, "message": null }), Meaning::Unclear),
        (json!({ "code": "E_NO", "message": "nope" }), Meaning::Unclear),
        (json!({ "code": -32600, "message": "Invalid Request" }), Meaning::Unclear),
        (json!({ "code": -32602, "message": "Invalid params" }), Meaning::Unclear),
        (json!({ "message": "" }), Meaning::Unclear),
        (json!({}), Meaning::Unclear),
        (json!(true), Meaning::Unclear),
        (json!([]), Meaning::Unclear),
    ] {
        assert_eq!(of(&error), expected, "{error}");
    }
}
