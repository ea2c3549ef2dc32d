//! Assertions that make and change messages.

super::catalogue! {
    add_header,
    code_injection_protection,
    customize_error_response,
    evaluate_json_path,
    evaluate_xpath,
    form_fields,
    json_to_xml,
    manage_cookie,
    message_size_limit,
    parse_json,
    remove_header,
    respond,
    xml_to_json,
}

pub use customize_error_response::ErrorTemplate;

use crate::ctx::Ctx;
use crate::expr::Expr;

/// Header fields from a JSON object: names to texts, or to lists of texts. A field that HTTP does not allow gives its name back.
pub(crate) fn header_fields(object: &Expr, ctx: &Ctx) -> Result<http::HeaderMap, String> {
    let mut headers = http::HeaderMap::new();
    let value = object.eval(ctx).to_json();
    let Some(object) = value.as_object() else { return Ok(headers) };
    for (name, value) in object {
        let one = [value.clone()];
        for value in value.as_array().map_or(&one[..], Vec::as_slice) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let (Ok(field), Ok(text)) = (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_str(&text))
            else {
                return Err(name.clone());
            };
            headers.append(field, text);
        }
    }
    Ok(headers)
}
