//! Connecting an app: the consent page, and the exchange of its code for a token ("Setting up OAuth").

use super::answer::Answer;
use super::workspace::Inner;
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

/// The app that the workspace knows.
pub const CLIENT_ID: &str = "simulated-client";
/// Its secret.
pub const CLIENT_SECRET: &str = "simulated-client-secret";
/// How long a code is good for, in milliseconds.
const CODE_LIVES_MS: i64 = 5 * 60 * 1000;

impl Inner {
    /// The browser comes to the consent page; the person has agreed already.
    pub(super) fn consent(&mut self, query: &[(String, String)], now: i64) -> Answer {
        let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if given("client_id").as_deref() != Some(CLIENT_ID) {
            return self.refuse("client_id is not known");
        }
        if query.iter().any(|(key, _)| !["client_id", "state", "redirect_uri"].contains(&key.as_str())) {
            self.violation(
                "the consent page takes client_id, state and redirect_uri only: permissions are ticked in the app",
            );
        }
        let state = given("state").unwrap_or_default();
        if state.is_empty() {
            self.violation("a consent without a state can be forged");
        }
        let Some(back) = given("redirect_uri").or_else(|| self.redirects.first().cloned()) else {
            return self.refuse("redirect_uri is not registered");
        };
        if !self.redirects.is_empty() && !self.redirects.contains(&back) {
            return self.refuse("redirect_uri is not registered");
        }
        let Ok(mut back) = Url::parse(&back) else { return self.refuse("redirect_uri is no URL") };
        let code = self.agree(now);
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &state);
        Answer::redirect(back.into())
    }

    /// A fresh code. It ends in `=`, as Intercom's may.
    pub(super) fn agree(&mut self, now: i64) -> String {
        self.made += 1;
        let code = format!("code-{}=", self.made);
        self.codes.insert(code.clone(), now + CODE_LIVES_MS);
        code
    }

    /// `POST /auth/eagle/token`, as a form or as JSON.
    pub(super) fn exchange(&mut self, is_form: bool, body: &[u8], now: i64) -> Answer {
        let given: Value = if is_form {
            url::form_urlencoded::parse(body)
                .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
                .collect()
        } else {
            serde_json::from_slice(body).unwrap_or_default()
        };
        let text = |name: &str| given[name].as_str().unwrap_or_default();
        let refused = |message: &str| Answer::error(StatusCode::UNAUTHORIZED, "unauthorized", message);
        if text("client_id") != CLIENT_ID || text("client_secret") != CLIENT_SECRET {
            return refused("Unauthorized Client");
        }
        match self.codes.remove(text("code")) {
            Some(until) if until > now => {}
            Some(_) | None => return refused("Unauthorized Code"),
        }
        self.made += 1;
        let token = format!("dG9rOm9hdXRoLXNpbXVsYXRlZA-{}=", self.made);
        self.tokens.insert(token.clone());
        Answer::ok(json!({"token_type": "Bearer", "token": token, "access_token": token}))
    }
}
