// Clicks that come too fast or twice: nobody consents to what they have not seen, and no second click ends in an error.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const results = { passed: 0, failed: 0 };
const scopes = Array.from({ length: 25 }, (_, nth) => `orders:${nth}`).join(" ");
const gateway = await start("", scopes);

async function test(name, options, body) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false, ...options });
    const page = await context.newPage();
    try {
        await body(page, context);
        results.passed += 1;
        console.log(`ok   ${name}`);
    } catch (error) {
        results.failed += 1;
        console.log(`FAIL ${name}\n     at ${page.url()}\n     ${String(error.stack ?? error).replaceAll("\n", "\n     ")}`);
    } finally {
        await context.close();
    }
}

const authorize = (more = {}) =>
    `${gateway.origin}/auth/oauth/v2/authorize?` +
    new URLSearchParams({ response_type: "code", client_id: gateway.app.id, scope: "openid read", state: "s-1", ...more });
const heading = (page) => page.locator("h1").innerText();
const middle = async (page, name) => {
    const box = await page.getByRole("button", { name }).boundingBox();
    return [box.x + box.width / 2, box.y + box.height / 2];
};
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const fill = async (page, password = "alice-password") => {
    await page.getByLabel("Username").fill("alice");
    await page.getByLabel("Password").fill(password);
};

/** Presses and releases the mouse at one place twice, some milliseconds apart, whatever is there by then. */
async function twice(page, [x, y], apart) {
    await page.mouse.click(x, y);
    await pause(apart);
    await page.mouse.click(x, y);
}

/** Waits until the browser is back at the client. Playwright's own `waitForURL` gives up when a second click ends the first one's load. */
async function back(page) {
    for (let waited = 0; !page.url().startsWith(gateway.app.callback); waited += 50) {
        assert.ok(waited < 10_000, `not back at the client: ${page.url()}`);
        await pause(50);
    }
    return new URL(page.url()).searchParams;
}

for (const apart of [0, 60, 140, 200, 270, 340, 400]) {
    await test(`two clicks on "Sign in", ${apart} ms apart: the user is asked`, {}, async (page) => {
        await page.goto(authorize());
        await fill(page);
        await twice(page, await middle(page, "Sign in"), apart);
        await page.getByRole("button", { name: "Allow" }).waitFor();
        assert.equal(await heading(page), "Allow access?");
        assert.equal(new URL(page.url()).origin, gateway.origin);
        await press(page, "Allow");
        assert.ok(new URL(page.url()).searchParams.get("code"));
    });
}

for (const apart of [0, 20, 60, 140]) {
    await test(`two clicks on "Allow", ${apart} ms apart: back at the client`, {}, async (page) => {
        await page.goto(authorize());
        await fill(page);
        await press(page, "Sign in");
        await page.getByRole("button", { name: "Allow" }).waitFor();
        await twice(page, await middle(page, "Allow"), apart);
        const answer = await back(page);
        assert.equal(answer.get("state"), "s-1");
        assert.ok(answer.get("code"));
    });
}

for (const [button, login] of [["Deny", true], ["Cancel", false]]) {
    await test(`two clicks on "${button}": back at the client, with a no`, {}, async (page) => {
        await page.goto(authorize());
        if (login) {
            await fill(page);
            await press(page, "Sign in");
            await page.getByRole("button", { name: button }).waitFor();
        }
        await twice(page, await middle(page, button), 20);
        assert.equal((await back(page)).get("error"), "access_denied");
    });
}

await test("two clicks with a wrong password: the form again", {}, async (page) => {
    await page.goto(authorize());
    await fill(page, "wrong");
    await twice(page, await middle(page, "Sign in"), 30);
    await page.getByRole("alert").getByText("do not match").waitFor();
});

await test("a reload after a failed login posts nothing again", {}, async (page) => {
    await page.goto(authorize());
    await fill(page, "wrong");
    await press(page, "Sign in");
    assert.match(await page.getByRole("alert").innerText(), /do not match/);
    const posted = [];
    page.on("request", (request) => request.method() === "POST" && posted.push(request.url()));
    await page.reload();
    assert.match(await page.getByRole("alert").innerText(), /do not match/);
    assert.deepEqual(posted, []);
    assert.doesNotMatch(page.url(), /password|sessionData|alice/);
});

await test("the keyboard presses nothing early, either", {}, async (page) => {
    await page.goto(authorize());
    await fill(page);
    await page.keyboard.press("Enter");
    await pause(150);
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Allow" }).waitFor();
    assert.equal(await heading(page), "Allow access?");
});

for (const viewport of [{ width: 1280, height: 720 }, { width: 320, height: 568 }]) {
    await test(`25 scopes keep the buttons in sight (${viewport.width} × ${viewport.height})`, { viewport }, async (page) => {
        await page.goto(authorize({ scope: scopes }));
        await fill(page);
        await press(page, "Sign in");
        for (const name of ["Allow", "Deny"]) {
            const button = page.getByRole("button", { name });
            await button.waitFor();
            const { y, height } = await button.boundingBox();
            assert.ok(y >= 0 && y + height <= viewport.height, `${name} is at ${y}`);
        }
        // The last scope can be reached, and nothing lies over it.
        await page.locator(".scopes li").last().scrollIntoViewIfNeeded();
        await page.mouse.wheel(0, 5000);
        await pause(200);
        const last = await page.locator(".owner").boundingBox();
        const form = await page.locator(".form-consent").boundingBox();
        assert.ok(last.y + last.height <= form.y + 1, `${JSON.stringify(last)} ${JSON.stringify(form)}`);
        await press(page, "Allow");
        assert.ok(new URL(page.url()).searchParams.get("code"));
    });
}

await test("the client's callback may send the browser anywhere", {}, async (page) => {
    const complaints = [];
    page.on("console", (message) => complaints.push(message.text()));
    await page.goto(authorize({ client_id: gateway.relay, scope: "read" }));
    await fill(page);
    await press(page, "Sign in");
    await page.getByRole("button", { name: "Allow" }).click();
    await page.waitForURL(gateway.app.callback);
    // Nothing here opens an app's address, but the browser must not be kept from trying.
    await page.goto(authorize({ client_id: gateway.relay, scope: "read", state: "app", prompt: "consent" }));
    const tried = page.waitForEvent("requestfailed", (request) => request.url().includes("/relay?"));
    await page.getByRole("button", { name: "Allow" }).click();
    await Promise.race([tried, pause(3000)]);
    assert.deepEqual(complaints.filter((text) => /form-action|Content Security Policy/.test(text)), []);
});

await browser.close();
gateway.stop();
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exit(results.failed === 0 ? 0 : 1);
