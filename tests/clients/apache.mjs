// mod_auth_openidc, the relying party of Debian's Apache, in headless Chromium: login, refused login, logout. `run` starts both servers.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { check } from "./user.mjs";

const { APACHE, OPENID_ISSUER: ISSUER, PASSWORD, CHROMIUM = "/usr/bin/chromium" } = process.env;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });

const press = (page, name) => Promise.all([page.waitForEvent("load"), page.getByRole("button", { name, exact: true }).click()]);

async function signIn(page) {
    await page.goto(`${APACHE}/secret/`);
    assert.ok(page.url().startsWith(ISSUER), page.url());
    await page.getByLabel("Username").fill("alice");
    await page.getByLabel("Password").fill(PASSWORD);
    await press(page, "Sign in");
}

/** Runs a test in a browser without history. */
async function visit(name, body) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en" });
    await check(`mod_auth_openidc in Chromium: ${name}`, async () => body(await context.newPage()));
    await context.close();
}

await visit("login, its claims, and logout", async (page) => {
    await signIn(page);
    assert.equal(await page.locator("h1").innerText(), "Allow access?");
    await press(page, "Allow");
    // Only for the address that userinfo says.
    assert.equal(page.url(), `${APACHE}/secret/`);
    assert.equal(await page.locator("h1").innerText(), "Secret");
    await page.goto(`${APACHE}/callback?logout=${encodeURIComponent(`${APACHE}/bye.html`)}`);
    assert.equal(page.url().split("?")[0], `${APACHE}/bye.html`);
    await page.goto(`${APACHE}/secret/`);
    assert.equal(await page.locator("h1").innerText(), "Sign in");
});
for (const [how, button] of [["cancelled", "Cancel"], ["refused consent", "Deny"]]) {
    await visit(how, async (page) => {
        if (button === "Deny") await signIn(page);
        else await page.goto(`${APACHE}/secret/`);
        await press(page, button);
        assert.ok(page.url().startsWith(`${APACHE}/callback?error=access_denied&`), page.url());
        // Debian's version takes the `iss` of an error (RFC 9207) for a login that somebody else begins, and refuses that.
        assert.match(await page.locator("body").innerText(), /^Error:/);
        await page.goto(`${APACHE}/secret/`);
        assert.ok(page.url().startsWith(ISSUER), page.url());
    });
}
await visit("wrong password", async (page) => {
    await page.goto(`${APACHE}/secret/`);
    await page.getByLabel("Username").fill("alice");
    await page.getByLabel("Password").fill("wrong");
    await press(page, "Sign in");
    assert.match(await page.locator("#error").innerText(), /do not match/);
});
await browser.close();
console.log("# apache done");
