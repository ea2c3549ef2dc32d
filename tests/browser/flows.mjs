// What a user sees and does: sign in, mistype, cancel, allow, deny, come back, "not you?". JavaScript is mostly off, because the pages
// need none.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { start } from "./gateway.mjs";
import { leads, press } from "./press.mjs";

const shots = process.argv[2];
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const gateway = await start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const results = { passed: 0, failed: 0 };

const authorize = (more = {}) =>
    `${gateway.origin}/auth/oauth/v2/authorize?` +
    new URLSearchParams({ response_type: "code", client_id: gateway.app.id, scope: "openid read", state: "s-1", ...more });

/** Runs one test in a browser without history, and counts what the browser complains of as a failure. */
async function test(name, options, body) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false, ...options });
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => {
        // The status of a refused login is not a complaint.
        if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    try {
        await body(page, context);
        assert.deepEqual(complaints, []);
        results.passed += 1;
        console.log(`ok   ${name}`);
    } catch (error) {
        results.failed += 1;
        console.log(`FAIL ${name}\n     at ${page.url()}\n     ${String(error.stack ?? error).replaceAll("\n", "\n     ")}`);
        if (shots) await page.screenshot({ path: join(shots, `failed-${name.replaceAll(/\W+/g, "-")}.png`) });
    } finally {
        await context.close();
    }
}

const shot = (page, name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`), fullPage: true }) : undefined);
const heading = (page) => page.locator("h1").innerText();
const answer = (page) => {
    assert.ok(page.url().startsWith(gateway.app.callback), `not back at the client: ${page.url()}`);
    return Object.fromEntries(new URL(page.url()).searchParams);
};

async function signIn(page, name = "alice", password = `${name}-password`) {
    assert.equal(await heading(page), "Sign in");
    await page.getByLabel("Username").fill(name);
    await page.getByLabel("Password").fill(password);
    await press(page, "Sign in");
}

async function allow(page) {
    assert.equal(await heading(page), "Allow access?");
    await press(page, "Allow");
    return answer(page);
}

/** The token that a code is worth. */
function redeem(code) {
    const body = new URLSearchParams({ grant_type: "authorization_code", code }).toString();
    const headers = {
        Authorization: `Basic ${Buffer.from(`${gateway.app.id}:${gateway.app.secret}`).toString("base64")}`,
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": Buffer.byteLength(body),
    };
    return new Promise((resolve, reject) => {
        const options = { method: "POST", headers, ca: readFileSync(gateway.authority) };
        const sent = request(`${gateway.origin}/auth/oauth/v2/token`, options, (response) => {
            let text = "";
            response.on("data", (chunk) => (text += chunk));
            response.on("end", () => resolve(JSON.parse(text)));
        });
        sent.on("error", reject);
        sent.end(body);
    });
}

await test("sign in, allow, and the code is worth a token", {}, async (page) => {
    await page.goto(authorize());
    await shot(page, "login");
    await signIn(page);
    await shot(page, "consent");
    const { code, state, iss } = await allow(page);
    assert.equal(state, "s-1");
    assert.equal(iss, "https://localhost:8443");
    const token = await redeem(code);
    assert.equal(token.scope, "openid read");
    assert.ok(token.access_token);
});

for (const javaScriptEnabled of [true, false]) {
    await test(`the answer as a form, ${javaScriptEnabled ? "which posts itself" : "by its button"}`, { javaScriptEnabled }, async (page) => {
        await page.goto(authorize({ response_mode: "form_post", nonce: `n-${javaScriptEnabled}` }));
        await signIn(page);
        assert.equal(await heading(page), "Allow access?");
        await press(page, "Allow");
        if (javaScriptEnabled) {
            await page.waitForURL(gateway.app.callback);
        } else {
            assert.equal(await heading(page), "Almost there");
            await shot(page, "form-post");
            await press(page, "Continue");
        }
        assert.equal(page.url(), gateway.app.callback);
        const { code, state, iss } = gateway.app.posted();
        assert.deepEqual([state, iss], ["s-1", "https://localhost:8443"]);
        assert.ok((await redeem(code)).id_token);
    });
}

await test("sign out where the application sends its user", {}, async (page) => {
    await page.goto(authorize());
    await signIn(page);
    const { id_token } = await redeem((await allow(page)).code);
    await page.goto(`${gateway.origin}/connect/session/end`);
    assert.equal(await heading(page), "Sign out?");
    await shot(page, "sign-out");
    await page.goto(authorize({ prompt: "none" }));
    assert.ok(answer(page).code, "still signed in");
    await page.goto(`${gateway.origin}/connect/session/end?${new URLSearchParams({ id_token_hint: id_token })}`);
    assert.equal(await heading(page), "You are signed out");
    await page.goto(authorize({ prompt: "none" }));
    assert.equal(answer(page).error, "login_required");
});

await test("sign out, asked", {}, async (page) => {
    await page.goto(authorize());
    await signIn(page);
    await allow(page);
    await page.goto(`${gateway.origin}/connect/session/end`);
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    await press(page, "Sign out");
    assert.equal(await heading(page), "You are signed out");
    await page.goto(authorize({ prompt: "none" }));
    assert.equal(answer(page).error, "login_required");
});

await test("with the keyboard alone", {}, async (page) => {
    await page.goto(authorize());
    // The page puts the focus there when it is first shown.
    await page.locator("#username:focus").waitFor();
    await page.keyboard.type("alice");
    await page.keyboard.press("Tab");
    await page.keyboard.type("alice-password");
    await leads(page, () => page.keyboard.press("Enter"));
    assert.equal(await heading(page), "Allow access?");
    await page.getByRole("button", { name: "Allow" }).waitFor();
    await page.locator("#reset").focus();
    await page.keyboard.press("Tab");
    await leads(page, () => page.keyboard.press("Enter"));
    assert.ok(answer(page).code);
});

await test("a wrong password is said, and the next one counts", {}, async (page) => {
    await page.goto(authorize());
    assert.equal(await page.title(), "Sign in – Authorization Server");
    await signIn(page, "alice", "wrong");
    assert.match(await page.getByRole("alert").innerText(), /do not match/);
    assert.equal(await page.title(), "Error: Sign in – Authorization Server");
    for (const label of ["Username", "Password"]) {
        assert.equal(await page.getByLabel(label).getAttribute("aria-invalid"), "true");
        assert.equal(await page.getByLabel(label).getAttribute("aria-describedby"), "error");
    }
    assert.equal(await page.getByLabel("Username").inputValue(), "alice");
    assert.equal(await page.getByLabel("Password").inputValue(), "");
    assert.equal(await page.locator(":focus").getAttribute("name"), "password");
    await shot(page, "wrong-password");
    await signIn(page);
    assert.ok((await allow(page)).code);
});

await test("the consent page can be loaded again, and nobody posts a password twice", {}, async (page, context) => {
    await page.goto(authorize());
    await signIn(page);
    const posted = [];
    page.on("request", (request) => request.method() === "POST" && posted.push(request.url()));
    await page.reload();
    assert.equal(await heading(page), "Allow access?");
    assert.equal(await page.title(), "Allow access? – Authorization Server");
    assert.deepEqual(posted, []);
    assert.doesNotMatch(page.url(), /password|sessionData/);
    // The address is worthless in another browser.
    const other = await context.browser().newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
    const elsewhere = await other.newPage();
    await elsewhere.goto(page.url());
    assert.equal(await elsewhere.locator("#error_code").innerText(), "3001110");
    await other.close();
    const address = page.url();
    assert.ok((await allow(page)).code);
    await page.goto(address);
    assert.equal(await page.locator("#error_code").innerText(), "3001110");
});

await test("cancel", {}, async (page) => {
    await page.goto(authorize());
    await press(page, "Cancel");
    const { error, error_description, state, iss } = answer(page);
    assert.equal(error, "access_denied");
    assert.match(error_description, /cancelled/);
    assert.equal(state, "s-1");
    assert.equal(iss, "https://localhost:8443");
});

await test("deny", {}, async (page) => {
    await page.goto(authorize());
    await signIn(page);
    await press(page, "Deny");
    assert.equal(answer(page).error, "access_denied");
});

await test("the second visit asks nothing", {}, async (page, context) => {
    await page.goto(authorize());
    await signIn(page);
    await allow(page);
    await page.goto(authorize({ state: "s-2" }));
    assert.equal(answer(page).state, "s-2");
    assert.ok(answer(page).code);
    await page.goto(authorize({ prompt: "none" }));
    assert.ok(answer(page).code);
    await page.goto(authorize({ scope: "openid read email" }));
    assert.equal(await heading(page), "Allow access?");
    await page.goto(authorize({ prompt: "login" }));
    assert.equal(await heading(page), "Sign in");
    const cookie = (await context.cookies(gateway.origin)).find(({ name }) => name === "l7otk2a");
    assert.deepEqual(
        { secure: cookie.secure, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, path: cookie.path },
        { secure: true, httpOnly: true, sameSite: "Lax", path: "/" },
    );
});

await test("not you?", {}, async (page) => {
    await page.goto(authorize());
    await signIn(page, "bob");
    assert.equal(await page.locator("#resource_owner").innerText(), "bob");
    await press(page, "Not you?", "link");
    await signIn(page, "alice");
    assert.equal(await page.locator("#resource_owner").innerText(), "alice");
    assert.ok((await allow(page)).code);
});

await test("signed out by the link without a session", {}, async (page) => {
    await page.goto(authorize());
    await signIn(page);
    await page.goto(`${gateway.origin}/auth/oauth/v2/authorize/login?action=reset`);
    assert.equal(await heading(page), "You are signed out");
    await shot(page, "reset");
    await page.goto(authorize({ prompt: "none" }));
    assert.equal(answer(page).error, "login_required");
});

await test("two tabs at once", {}, async (page, context) => {
    const other = await context.newPage();
    await page.goto(authorize({ state: "one" }));
    await other.goto(authorize({ state: "two" }));
    await signIn(other);
    assert.equal((await allow(other)).state, "two");
    await signIn(page);
    assert.equal(answer(page).state, "one");
    await other.close();
});

await test("a request that the client's site posts finds the login, and leaves other tabs alone", {}, async (page, context) => {
    const fields = { response_type: "code", client_id: gateway.app.id, scope: "openid read", state: "a b&c" };
    const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${name}" value="${value.replace("&", "&amp;")}">`).join("");
    const site = await context.newPage();
    await site.route("https://client.example/", (route) =>
        route.fulfill({ contentType: "text/html", body: `<form method="post" action="${gateway.origin}/auth/oauth/v2/authorize">${inputs}<button>Go</button></form>` }),
    );
    const go = async () => {
        await site.goto("https://client.example/");
        await press(site, "Go");
    };
    await page.goto(authorize({ state: "tab" }));
    await go();
    assert.equal(await heading(site), "Sign in");
    await signIn(page);
    assert.equal((await allow(page)).state, "tab");
    await go();
    assert.equal(answer(site).state, "a b&c");
    assert.ok(answer(site).code);
});

await test("the same form twice leads to the same place, and a no to nowhere else", {}, async (page, context) => {
    await page.goto(authorize());
    await signIn(page);
    assert.equal(await heading(page), "Allow access?");
    // What a browser has after "back": the page as it was.
    const body = await page.content();
    const copy = await context.newPage();
    await copy.route(`${gateway.origin}/copy`, (route) => route.fulfill({ contentType: "text/html", body }));
    await copy.goto(`${gateway.origin}/copy`);
    await allow(page);
    await press(copy, "Allow");
    assert.equal(answer(copy).state, "s-1");
    assert.ok(answer(copy).code);
    await copy.goto(`${gateway.origin}/copy`);
    await press(copy, "Deny");
    assert.equal(answer(copy).error, "access_denied");
});

await test("an error is a page, without a password window", {}, async (page) => {
    const response = await page.goto(authorize({ redirect_uri: "https://evil.example/cb" }));
    assert.equal(response.status(), 400);
    assert.equal(await page.locator("#error_code").innerText(), "3000114");
    assert.equal(await heading(page), "Wrong return address");
    await shot(page, "error");
    const unknown = await page.goto(authorize({ client_id: "nobody" }));
    assert.equal(unknown.status(), 401);
    assert.equal(unknown.headers()["www-authenticate"], undefined);
});

await test("implicit: the token is in the fragment", {}, async (page) => {
    await page.goto(authorize({ response_type: "token" }));
    await signIn(page);
    await press(page, "Allow");
    const fragment = new URLSearchParams(new URL(page.url()).hash.slice(1));
    assert.ok(fragment.get("access_token"));
    assert.equal(fragment.get("state"), "s-1");
    assert.equal(new URL(page.url()).search, "");
});

await test("a form on another site gets nobody in", { javaScriptEnabled: true }, async (page, context) => {
    await page.goto(authorize());
    const fields = await page.locator("input[type=hidden]").evaluateAll((all) => all.map(({ name, value }) => [name, value]));
    const inputs = [...fields, ["username", "alice"], ["password", "alice-password"], ["action", "login"]]
        .map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`)
        .join("");
    const evil = await context.newPage();
    await evil.route("https://evil.example/", (route) =>
        route.fulfill({ contentType: "text/html", body: `<form method="post" action="${gateway.origin}/auth/oauth/v2/authorize/login">${inputs}<button>Go</button></form>` }),
    );
    await evil.goto("https://evil.example/");
    await press(evil, "Go");
    assert.equal(await evil.locator("#error_code").innerText(), "3001110");
    assert.equal((await context.cookies(gateway.origin)).some(({ name }) => name === "l7otk2a"), false);
});

await test("pages are well-formed, labelled, and forbid frames and scripts", { javaScriptEnabled: true }, async (page) => {
    const response = await page.goto(authorize({ login_hint: "a\"<b>&c" }));
    const policy = response.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    const checks = await page.evaluate((text) => {
        const parsed = new DOMParser().parseFromString(text, "application/xhtml+xml");
        const controls = [...document.querySelectorAll("input:not([type=hidden])")];
        return {
            wellFormed: parsed.querySelector("parsererror") === null,
            lang: document.documentElement.lang,
            landmark: document.querySelectorAll("main").length,
            labelled: controls.every((control) => control.labels.length === 1),
            hint: document.querySelector("[name=username]").value,
            ids: new Set([...document.querySelectorAll("[id]")].map(({ id }) => id)).size === document.querySelectorAll("[id]").length,
            styled: getComputedStyle(document.querySelector(".btn-primary")).backgroundColor !== "rgba(0, 0, 0, 0)",
            wide: document.documentElement.scrollWidth <= innerWidth,
        };
    }, await response.text());
    assert.deepEqual(checks, { wellFormed: true, lang: "en", landmark: 1, labelled: true, hint: "a\"<b>&c", ids: true, styled: true, wide: true });
});

await test("on a small screen, in the dark", { viewport: { width: 320, height: 640 }, colorScheme: "dark", javaScriptEnabled: true }, async (page) => {
    await page.goto(authorize());
    await shot(page, "login-small-dark");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await signIn(page);
    await shot(page, "consent-small-dark");
    assert.equal(await page.locator("#redirect_host").innerText(), "an application on this device");
    // No scope is broken by a line end.
    const heights = await page.locator(".scopes code").evaluateAll((all) => all.map((chip) => chip.offsetHeight));
    assert.ok(heights.every((height) => height < 32), `${heights}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});

await browser.close();
gateway.stop();
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exit(results.failed === 0 ? 0 : 1);
