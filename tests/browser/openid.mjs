// What OpenID Connect adds in a browser: the frame that tells a client's page whether the user is still signed in, and pages in the
// user's language, also from right to left.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { dirname, join } from "node:path";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";
import { accessible, fits, suite } from "./suite.mjs";

const gateway = await start("    set session_management = true");
const { test, shot, end } = await suite(process.argv[2]);

// The client's page, and one that asks without being it: on the gateway's own site, whose cookies every browser sends to frames.
const RP = await pages();
const OTHER = await pages();
const added = gateway.cli(["client", "add", "--name", "Watching App", "--org", "Example", "--scope", "openid", "--callback", `${RP}/cb`, "--json"]);
const watching = JSON.parse(added).client_key;

/** A server that has one page, with the gateway's certificate. */
function pages() {
    const file = (name) => readFileSync(join(dirname(gateway.authority), name));
    const server = createServer({ key: file("default_ssl_key.key.pem"), cert: file("default_ssl_key.crt.pem") }, (_, response) => {
        response.setHeader("Content-Type", "text/html;charset=UTF-8");
        response.end('<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>App</title><h1>App</h1></html>');
    });
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`https://localhost:${server.address().port}`)));
}

const authorize = (more = {}) =>
    `${gateway.origin}/auth/oauth/v2/authorize?` +
    new URLSearchParams({ response_type: "code", client_id: gateway.app.id, scope: "openid email read", state: "s-1", ...more });

/** Signs in for the client, and returns the session_state of its answer. */
async function signIn(page) {
    await page.goto(authorize({ client_id: watching, scope: "openid" }));
    await page.getByLabel("Username").fill("alice");
    await page.getByLabel("Password").fill("alice-password");
    await press(page, "Sign in");
    await press(page, "Allow");
    assert.ok(page.url().startsWith(`${RP}/cb?`), page.url());
    const state = new URL(page.url()).searchParams.get("session_state");
    assert.match(state, /^[\w-]{43}\.[\w-]+$/);
    return state;
}

/** What the frame answers to the client's page. */
function ask(page, message) {
    return page.evaluate(
        async ([frame, message]) => {
            let element = document.querySelector("iframe");
            if (!element) {
                element = document.createElement("iframe");
                element.src = frame;
                const loaded = new Promise((resolve) => (element.onload = resolve));
                document.body.append(element);
                await loaded;
            }
            const answered = new Promise((resolve, reject) => {
                addEventListener("message", resolve, { once: true });
                setTimeout(() => reject(new Error("the frame does not answer")), 10_000);
            });
            element.contentWindow.postMessage(message, new URL(frame).origin);
            const { data, origin } = await answered;
            return `${data} from ${origin === new URL(frame).origin ? "the gateway" : origin}`;
        },
        [`${gateway.origin}/connect/session/check`, message],
    );
}

await test("the frame says unchanged while the login lasts, and changed after a logout", {}, async (page, context) => {
    const state = await signIn(page);
    assert.equal(await ask(page, `${watching} ${state}`), "unchanged from the gateway");
    assert.equal(await ask(page, `somebody-else ${state}`), "changed from the gateway");
    assert.equal(await ask(page, `${watching} ${"A".repeat(43)}.salt`), "changed from the gateway");
    for (const nonsense of ["", "nonsense", `${watching} no-salt`, { client: 1 }]) assert.equal(await ask(page, nonsense), "error from the gateway");

    const other = await context.newPage();
    await other.goto(`${gateway.origin}/connect/session/end`);
    await press(other, "Sign out");
    assert.equal(await ask(page, `${watching} ${state}`), "changed from the gateway");
});

await test("a page of another origin cannot use a session_state", {}, async (page) => {
    const state = await signIn(page);
    await page.goto(`${OTHER}/`);
    assert.equal(await ask(page, `${watching} ${state}`), "changed from the gateway");
});

for (const [locale, direction, signIn, username, password, heading] of [
    ["de-AT", "ltr", "Anmelden", "Benutzername", "Passwort", "Zugriff erlauben?"],
    ["fr", "ltr", "Se connecter", "Nom d’utilisateur", "Mot de passe", "Autoriser l’accès ?"],
    ["ar-EG", "rtl", "تسجيل الدخول", "اسم المستخدم", "كلمة المرور", "هل تسمح بالوصول؟"],
]) {
    await test(`pages in ${locale}`, { locale, viewport: { width: 360, height: 740 } }, async (page) => {
        await page.goto(authorize());
        assert.equal(await page.evaluate(() => document.dir), direction);
        assert.equal(await page.evaluate(() => document.documentElement.lang), locale.slice(0, 2));
        await accessible(page);
        await fits(page);
        await shot(page, `login-${locale}`);
        await page.getByLabel(username).fill("alice");
        await page.getByLabel(password).fill("wrong");
        await press(page, signIn);
        await accessible(page);
        await page.getByLabel(password).fill("alice-password");
        await press(page, signIn);
        assert.equal(await page.locator("h1").innerText(), heading);
        assert.equal(await page.locator("#resource_owner").innerText(), "alice");
        await accessible(page);
        await fits(page);
        await shot(page, `consent-${locale}`);
        // A name from the other side stays in one piece, at the side where the page begins.
        const [left, right] = await page.locator("#client_name").evaluate((name) => {
            const [own, around] = [document.createRange(), name.closest(".client").getBoundingClientRect()];
            own.selectNodeContents(name);
            const box = own.getBoundingClientRect();
            return [box.left - around.left, around.right - box.right];
        });
        assert.ok(direction === "rtl" ? right < left : left < right, `${left} ${right}`);
        await page.goto(authorize({ client_id: "nobody" }));
        await accessible(page);
        await shot(page, `error-${locale}`);
    });
}

const failed = await end();
gateway.stop();
process.exit(failed === 0 ? 0 : 1);
