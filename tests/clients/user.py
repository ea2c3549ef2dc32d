"""The user of the Python clients: a browser with cookies, who signs in, allows what is asked, and signs out."""
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests


def check(name, body):
    """Prints whether a test passes."""
    try:
        body()
        print(f"ok - {name}", flush=True)
    except Exception as error:
        print(f"not ok - {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


class Form(HTMLParser):
    """The form of a page: where it goes, its hidden fields, its buttons."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.buttons = None, {}, []
        self.feed(page)
        assert self.action, f"no form in {page[:200]!r}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attrs["action"]
        elif tag == "input" and attrs.get("type") == "hidden":
            self.fields[attrs["name"]] = attrs.get("value", "")
        elif tag == "button":
            self.buttons.append(attrs.get("value", ""))


class User:
    def __init__(self, username, password):
        self.credentials = {"username": username, "password": password}
        self.browser = requests.Session()

    def go(self, url, client, decision=None):
        """Goes from page to page until the browser comes to an address of the client's. Returns that address, and the fields of a form
        that was posted there. `decision`: the button to press instead of those that lead there."""
        page = self.browser.get(url, allow_redirects=False)
        for _ in range(10):
            location = page.headers.get("Location")
            if location:
                if location.startswith(client):
                    return location, None
                page = self.browser.get(urljoin(page.url, location), allow_redirects=False)
                continue
            assert page.status_code == 200, f"{page.status_code} {page.text}"
            form = Form(page.text)
            if form.action.startswith(client):
                return form.action, form.fields
            action = decision if decision in form.buttons else form.buttons[0]
            more = self.credentials if "login" in form.buttons else {}
            page = self.browser.post(urljoin(page.url, form.action), data={**form.fields, **more, "action": action}, allow_redirects=False)
        raise AssertionError(f"no way to {client}")


def parameters(answer):
    """The parameters of an answer, wherever they stand."""
    url, fields = answer
    parts = urlsplit(url)
    return fields if fields is not None else dict(parse_qsl(parts.fragment or parts.query))
