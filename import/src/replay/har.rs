//! HAR 1.2: what browsers and proxies save.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Answer, Recorded, Recording, default_header, form, in_url, is_of_connection, list, multipart, split_url, word};

/// Reads all entries.
pub(super) fn read(path: &str, har: &Value, recording: &mut Recording) {
    let entries = har.pointer("/log/entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("{path}, entry {}", n + 1);
        match request(entry) {
            Ok(request) => recording.requests.push(Recorded { place, ..request }),
            Err(why) => recording.skip(place, why),
        }
    }
}

fn pairs(value: &Value, name: &str) -> Vec<(String, String)> {
    list(value, name).iter().map(|pair| (word(pair, "name").to_owned(), word(pair, "value").to_owned())).collect()
}

fn request(entry: &Value) -> Result<Recorded, String> {
    let request = entry.get("request").ok_or("the request is missing")?;
    let url = word(request, "url");
    if !url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")) {
        return Err(format!("`{}` is not sent over HTTP", url.split("://").next().unwrap_or_default()));
    }
    let (origin, target) = split_url(url);
    let method = word(request, "method").to_owned();
    let mut headers = pairs(request, "headers");
    headers.retain(|(name, _)| !is_of_connection(name));
    let cookies = pairs(request, "cookies");
    if !cookies.is_empty() {
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        default_header(&mut headers, "Cookie", &all.join("; "));
    }
    let mut body = Vec::new();
    if let Some(data) = request.get("postData") {
        let params = pairs(data, "params");
        let text = word(data, "text");
        let media = word(data, "mimeType");
        if !text.is_empty() {
            body = content(data)?;
        } else if !params.is_empty() {
            if media.starts_with("multipart/form-data") {
                if list(data, "params").iter().any(|param| param.get("fileName").is_some()) {
                    return Err("the bytes of a file in the multipart body were not recorded".to_owned());
                }
                // Another boundary than the recorded one, which the field names.
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                let (media, text) = multipart(&params)?;
                default_header(&mut headers, "Content-Type", &media);
                body = text.into_bytes();
            } else if media.starts_with("multipart/") {
                return Err("the bytes of the multipart body were not recorded".to_owned());
            } else {
                body = form(&params).into_bytes();
            }
        }
        if !media.is_empty() && !body.is_empty() {
            default_header(&mut headers, "Content-Type", media);
        }
    }
    let answer = match entry.get("response") {
        Some(response) => answer(response)?,
        None => None,
    };
    let name = format!("{method} {}", target.split('?').next().unwrap_or_default());
    Ok(Recorded {
        name,
        place: String::new(),
        method,
        origin,
        target: in_url(&target),
        headers,
        body,
        answer,
        ..Recorded::default()
    })
}

/// Status 0 is what browsers write for requests that were blocked or broken off.
fn answer(response: &Value) -> Result<Option<Answer>, String> {
    let status = response.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    if status == 0 {
        return Ok(None);
    }
    let content = response.get("content");
    let body = match content {
        Some(content) if content.get("text").is_some() => Some(self::content(content)?),
        // Some browsers leave out bodies that they have not kept.
        Some(content) if content.get("size").and_then(Value::as_i64).unwrap_or(0) > 0 => None,
        _ => Some(Vec::new()),
    };
    let mut headers = pairs(response, "headers");
    // Some recorders write several `Set-Cookie` in one, with line breaks.
    let (joined, single): (Vec<_>, Vec<_>) = headers.into_iter().partition(|(_, value)| value.contains('\n'));
    headers = single;
    for (name, value) in joined {
        headers.extend(value.split('\n').map(|one| (name.clone(), one.trim().to_owned())));
    }
    Ok(Some(Answer { status, headers, body }))
}

fn content(content: &Value) -> Result<Vec<u8>, String> {
    let text = word(content, "text");
    match word(content, "encoding") {
        "base64" => STANDARD.decode(text.trim()).map_err(|_| "a body is not the Base64 that it should be".to_owned()),
        _ => Ok(text.as_bytes().to_vec()),
    }
}
