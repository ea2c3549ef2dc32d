//! `== token`: whether a key verifies a signed token, and what is in it.

use serde_json::{Value as Json, json};

use super::matching;
use super::run::{CaseRun, Wrong};
use super::step::{Step, TokenKey};
use crate::data::value::Value;
use crate::services::jose::jws::Jws;
use crate::services::jose::select::{Use, keys};
use crate::services::keys::PublicKey;

impl CaseRun {
    pub(super) async fn token(
        &mut self,
        step: &Step,
        token: &str,
        by: &TokenKey,
        expected: Option<&(usize, String)>,
    ) -> Result<(), Wrong> {
        let here = |message: String| (step.line, message);
        let token = self.expand(token, step)?;
        let jws = Jws::read(&token).map_err(|reason| here(format!("`{token}`: {reason}")))?;
        let header = Json::Object(jws.header.clone());
        let verifying = match by {
            TokenKey::Secret(secret) => vec![PublicKey::secret(self.expand(secret, step)?.as_bytes())],
            TokenKey::Path(path) => {
                let set = self.get(path).await.map_err(here)?;
                keys(&Value::json(set), &jws.header, Use::Verify).map_err(|reason| here(reason.to_owned()))?
            }
        };
        if verifying.len() != 1 {
            return Err(here(format!("{} keys, not one, fit the header {header}", verifying.len())));
        }
        if !jws.verified_by(verifying.iter()) {
            return Err(here(format!("the key does not verify the signature; header {header}")));
        }
        let payload = serde_json::from_slice::<Json>(&jws.payload).map_err(|error| here(format!("the payload: {error}")))?;
        let Some((line, text)) = expected else { return Ok(()) };
        let got = json!({ "header": header, "payload": payload });
        let wanted: Json = serde_json::from_str(text).map_err(|error| (*line, format!("this is not JSON: {error}")))?;
        let mut captured = Vec::new();
        matching::json(&wanted, Some(&got), "$", false, &self.vars, &mut captured)
            .map_err(|message| (*line, format!("{message}\nthe token: {got}")))?;
        for (name, value) in captured {
            self.vars.set(name, value);
        }
        Ok(())
    }

    /// A JSON document of the gateway.
    async fn get(&mut self, path: &str) -> Result<Json, String> {
        let origin = self.gateway.https();
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = self.client.send(true, None, request.as_bytes()).await.map_err(|error| format!("{path}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{path} answers {}: {}", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("{path}: {error}"))
    }
}
