// Login on another site: the browser itself decides which cookies it sends, and only the browser that began can continue.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";
import { loginServer } from "./login-server.mjs";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const results = { passed: 0, failed: 0 };

/** Runs one test with as many browsers as it asks for; they share nothing. */
async function test(name, body) {
    const contexts = [];
    const newPage = async () => {
        const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
        contexts.push(context);
        return context.newPage();
    };
    try {
        await body(newPage);
        results.passed += 1;
        console.log(`ok   ${name}`);
    } catch (error) {
        results.failed += 1;
        console.log(`FAIL ${name}\n     ${String(error.stack ?? error).replaceAll("\n", "\n     ")}`);
    } finally {
        for (const context of contexts) await context.close();
    }
}

const heading = (page) => page.locator("h1").innerText();
const authorize = (gateway, more = {}) =>
    `${gateway.origin}/auth/oauth/v2/authorize?` +
    new URLSearchParams({ response_type: "code", client_id: gateway.app.id, scope: "openid read", state: "s-1", ...more });
const answer = (gateway, page) => {
    assert.ok(page.url().startsWith(gateway.app.callback), `not back at the client: ${page.url()}`);
    return Object.fromEntries(new URL(page.url()).searchParams);
};
const loggedIn = async (page) => (await page.context().cookies()).some(({ name }) => name === "l7otk2a");

async function logIn(page, name = "alice", password = `${name}-password`) {
    assert.equal(await heading(page), "Login elsewhere");
    await page.locator("[name=username]").fill(name);
    await page.locator("[name=password]").fill(password);
    await press(page, "Log in");
}

const login = await loginServer();
const gateway = await start(`set host_login_server = "${login.origin}"\nset path_login_server = "/signin"`);
login.gateway = gateway;

await test("a login server on another site: the browser comes back with its mark", async (newPage) => {
    const page = await newPage();
    await page.goto(authorize(gateway));
    await logIn(page);
    assert.equal(await loggedIn(page), false);
    await press(page, "Continue");
    assert.equal(await heading(page), "Allow access?");
    assert.equal(await page.locator("#resource_owner").innerText(), "alice");
    assert.equal(await loggedIn(page), true);
    await page.reload();
    await press(page, "Allow");
    assert.equal(answer(gateway, page).state, "s-1");
    assert.ok(answer(gateway, page).code);
    await page.goto(authorize(gateway, { prompt: "none" }));
    assert.ok(answer(gateway, page).code);
});

await test("a login server on another site that asks for consent itself", async (newPage) => {
    const page = await newPage();
    login.decides = "Grant";
    await page.goto(authorize(gateway));
    await logIn(page);
    await press(page, "Continue");
    assert.ok(answer(gateway, page).code);
    login.decides = "consent";
});

for (const decides of ["consent", "Grant"]) {
    await test(`whom an attacker sends to the login server signs in for nobody (${decides})`, async (newPage) => {
        login.decides = decides;
        const [attacker, victim] = [await newPage(), await newPage()];
        await attacker.goto(authorize(gateway));
        const link = attacker.url();
        const sessionID = new URL(link).searchParams.get("sessionID");
        await victim.goto(link);
        await logIn(victim);
        await press(victim, "Continue");
        assert.equal(await victim.locator("#error_code").innerText(), "3001110");
        assert.equal(await loggedIn(victim), false);
        for (const page of [victim.url(), `${gateway.origin}/auth/oauth/v2/authorize/login?action=display&sessionID=${sessionID}`]) {
            await attacker.goto(page);
            assert.equal(await attacker.locator("#error_code").innerText(), "3001110");
        }
        assert.equal(await loggedIn(attacker), false);
        login.decides = "consent";
    });
}
gateway.stop();

const ours = await start(`set host_login_server = "${login.origin}"\nset path_login_server = "/signin"\nset local_login = true`);
login.gateway = ours;
login.pageOnly = true;

await test("a login page on another site posts name and password to us", async (newPage) => {
    const page = await newPage();
    await page.goto(authorize(ours));
    await logIn(page, "alice", "wrong");
    assert.equal(await page.locator("#error").innerText(), "202");
    await logIn(page);
    assert.equal(await page.locator("#resource_owner").innerText(), "alice");
    assert.equal(await loggedIn(page), true);
    await press(page, "Allow");
    assert.ok(answer(ours, page).code);
});

await test("whom an attacker sends to the login page signs in for nobody", async (newPage) => {
    const [attacker, victim] = [await newPage(), await newPage()];
    await attacker.goto(authorize(ours));
    await victim.goto(attacker.url());
    await logIn(victim);
    assert.equal(await victim.locator("#error_code").innerText(), "3001110");
    await attacker.goto(victim.url());
    assert.equal(await attacker.locator("#error_code").innerText(), "3001110");
});
ours.stop();

const plain = await start();

await test("whom an attacker sends the login page gets a page of their own", async (newPage) => {
    const [attacker, victim] = [await newPage(), await newPage()];
    await attacker.goto(authorize(plain));
    const [sessionID, sessionData] = await Promise.all(
        ["sessionID", "sessionData"].map((name) => attacker.locator(`[name=${name}]`).getAttribute("value")),
    );
    const link = `${plain.origin}/auth/oauth/v2/authorize/login?` + new URLSearchParams({ action: "display", sessionID, sessionData });
    await victim.goto(link);
    assert.equal(await heading(victim), "Sign in");
    assert.notEqual(await victim.locator("[name=sessionID]").getAttribute("value"), sessionID);
    await victim.getByLabel("Username").fill("alice");
    await victim.getByLabel("Password").fill("alice-password");
    await press(victim, "Sign in");
    assert.equal(await victim.locator("#resource_owner").innerText(), "alice");
    for (const page of [victim.url(), `${plain.origin}/auth/oauth/v2/authorize/login?action=display&sessionID=${sessionID}`]) {
        await attacker.goto(page);
        assert.equal(await attacker.locator("#error_code").innerText(), "3001110");
    }
    await attacker.goto(link);
    assert.equal(await heading(attacker), "Sign in");
    await press(victim, "Allow");
    assert.ok(answer(plain, victim).code);
});
plain.stop();

await browser.close();
login.close();
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exit(results.failed === 0 ? 0 : 1);
