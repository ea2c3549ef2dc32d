//! A scenario's cookies, as a browser keeps them for one host (RFC 6265, section 5).

/// A jar.
#[derive(Clone, Debug, Default)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
    /// Keeps nothing.
    pub(super) closed: bool,
}

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
    /// By the gateway's clock, in milliseconds.
    expires: Option<i64>,
}

impl Jar {
    /// Takes a `Set-Cookie`.
    pub(super) fn take(&mut self, field: &str, request_path: &str, now: i64) {
        if self.closed {
            return;
        }
        let mut parts = field.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let folder = request_path.rfind('/').filter(|at| *at > 0).map_or("/", |at| &request_path[..at]);
        let mut cookie =
            Cookie { name: name.to_owned(), value: value.to_owned(), path: folder.to_owned(), secure: false, expires: None };
        let mut max_age = false;
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        max_age = true;
                        cookie.expires = Some(now.saturating_add(seconds.saturating_mul(1000)));
                    }
                }
                "expires" if !max_age => cookie.expires = crate::data::time::parse(value),
                _ => {}
            }
        }
        self.cookies.retain(|kept| kept.name != cookie.name || kept.path != cookie.path);
        if cookie.expires.is_none_or(|at| at > now) {
            self.cookies.push(cookie);
        }
    }

    /// The `Cookie` field for a request.
    pub(super) fn field(&self, path: &str, secure: bool, now: i64) -> Option<String> {
        let pairs: Vec<String> =
            self.fitting(path, secure, now).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Names and values of all cookies.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cookies.iter().map(|cookie| (cookie.name.as_str(), cookie.value.as_str()))
    }

    /// Forgets all cookies, and stores none from now on.
    pub(super) fn close(&mut self) {
        self.cookies.clear();
        self.closed = true;
    }

    fn fitting<'a>(&'a self, path: &'a str, secure: bool, now: i64) -> impl Iterator<Item = &'a Cookie> {
        self.cookies.iter().filter(move |cookie| {
            let below = path
                .strip_prefix(cookie.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.path.ends_with('/'));
            below && (secure || !cookie.secure) && cookie.expires.is_none_or(|at| at > now)
        })
    }
}
