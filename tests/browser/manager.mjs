// The OAuth Manager in a real browser: all that an administrator does there, with scripts and without.
import assert from "node:assert/strict";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";
import { fits, suite } from "./suite.mjs";

const { test, shot, everywhere, end } = await suite(process.argv[2]);
const gateway = await start("", "", "sample_data: false\nmonitoring: { listen: \"off\" }\n");
const manager = `${gateway.origin}/oauth/manager`;
const heading = (page) => page.locator("h1").innerText();
const said = (page) => page.locator(".message").innerText();

async function signIn(page, name = "admin", at = manager) {
    await page.goto(at);
    assert.equal(await heading(page), "OAuth Manager");
    await page.getByLabel("Username").fill(name);
    await page.getByLabel("Password").fill(`${name}-password`);
    await press(page, "Sign in");
}

for (const [scripts, javaScriptEnabled] of [["with scripts", true], ["without scripts", false]]) {
    const name = `App ${scripts}`;
    await test(`a client's life, ${scripts}`, { javaScriptEnabled }, async (page) => {
        await signIn(page);
        assert.equal(await heading(page), "Overview");
        await press(page, "Clients", "link");
        await press(page, "Register a client", "link");
        await shot(page, `manager-register-${javaScriptEnabled}`);
        await page.getByLabel("Name").fill("");
        await page.getByLabel("Organization").fill("Example");
        await page.getByLabel("Scope").fill("read write");
        await page.getByLabel("Redirect URIs").fill("https://app.example/cb");
        await page.getByLabel("Custom field of the key").fill("{\"a\": }");
        // What the browser itself would stop is sent all the same.
        await page.locator("form.wide").evaluate((form) => (form.noValidate = true));
        await press(page, "Register");
        assert.match(await said(page), /marked fields/);
        assert.match(await page.locator("#name-problem").innerText(), /1 to 128/);
        assert.match(await page.locator("#client_key_custom-problem").innerText(), /line 1 column 7/);
        assert.equal(await page.getByLabel("Scope").inputValue(), "read write");
        await shot(page, `manager-register-problems-${javaScriptEnabled}`);
        await page.getByLabel("Name").fill(name);
        await page.getByLabel("Custom field of the key").fill("{}");
        await press(page, "Register");
        assert.equal(await heading(page), "New credentials");
        await shot(page, `manager-secret-${javaScriptEnabled}`);
        const key = await page.locator("#shown-client-id").innerText();
        assert.match(await page.locator("#shown-secret").innerText(), /^[\w-]{43}$/);
        assert.equal(await page.getByRole("button", { name: "Copy" }).count(), javaScriptEnabled ? 2 : 0);
        await press(page, "Go on", "link");
        assert.equal(await heading(page), name);
        await shot(page, `manager-client-${javaScriptEnabled}`);

        await press(page, "Edit", "link");
        await page.getByLabel("Description").fill("An application");
        await press(page, "Save");
        assert.equal(await said(page), "Saved.");

        await press(page, "Add a key", "link");
        await page.getByLabel("Environment").fill("iOS");
        await press(page, "Add the key");
        await press(page, "Go on", "link");
        await page.getByLabel("Environment").fill("iOS");
        await press(page, "Filter");
        assert.equal(await page.locator("tbody tr").count(), 1);
        await page.getByLabel("Environment").fill("");
        await press(page, "Filter");
        assert.equal(await page.locator("tbody tr").count(), 2);

        await press(page, key, "link");
        await shot(page, `manager-key-${javaScriptEnabled}`);
        await page.getByLabel("Scope").fill("read");
        await page.getByLabel("Ends on (UTC)").fill("2040-12-31");
        await press(page, "Save");
        assert.equal(await said(page), "Saved.");
        assert.match(await page.locator(".facts").innerText(), /2040-12-31/);
        await page.getByLabel("Ends on (UTC)").fill("");
        await press(page, "Save");
        assert.match(await page.locator(".facts").innerText(), /never/);
        await press(page, "New secret", "link");
        await shot(page, `manager-new-secret-${javaScriptEnabled}`);
        await press(page, "Make a new secret");
        await press(page, "Go on", "link");
        await press(page, "Disable tokens");
        assert.match(await said(page), /Disabled 0/);
        const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
        assert.equal(file.suggestedFilename(), "client.json");
        await press(page, "Revoke", "link");
        await shot(page, `manager-revoke-${javaScriptEnabled}`);
        await press(page, "Revoke the key");
        assert.match(await said(page), /Revoked/);

        await press(page, "Delete", "link");
        assert.match(await page.locator(".lead").innerText(), /its keys \(1\)/);
        await shot(page, `manager-delete-${javaScriptEnabled}`);
        await press(page, "Delete the client");
        assert.match(await said(page), /Deleted/);
        await press(page, "Sign out");
        assert.equal(await heading(page), "OAuth Manager");
    });
}

await test("two administrators edit one client", {}, async (page, context) => {
    await signIn(page, "admin", `${manager}/clients`);
    await press(page, "Example App", "link");
    await press(page, "Edit", "link");
    const second = await context.newPage();
    await second.goto(page.url());
    await page.getByLabel("Description").fill("by the first");
    await press(page, "Save");
    await second.getByLabel("Description").fill("by the second");
    await press(second, "Save");
    assert.match(await said(second), /Somebody else changed this client meanwhile.*by the first/);
    assert.equal(await second.getByLabel("Description").inputValue(), "by the second");
    await shot(second, "manager-conflict");
    await press(second, "Save");
    assert.equal(await said(second), "Saved.");
});

await test("tokens: found, disabled, enabled, revoked", { javaScriptEnabled: false }, async (page, context) => {
    const body = { grant_type: "password", username: "alice", password: "alice-password" };
    const basic = Buffer.from(`${gateway.app.id}:${gateway.app.secret}`).toString("base64");
    const answer = await context.request.post(`${gateway.origin}/auth/oauth/v2/token`, { form: body, headers: { Authorization: `Basic ${basic}` } });
    assert.equal(answer.status(), 200);
    await signIn(page, "admin", `${manager}/tokens`);
    await page.getByLabel("Exact value").fill("alice");
    await press(page, "Search");
    await shot(page, "manager-tokens");
    await press(page, "Disable");
    assert.match(await said(page), /Disabled the token of alice/);
    await press(page, "Enable");
    assert.match(await said(page), /Enabled/);
    await press(page, "Revoke");
    assert.match(await page.locator(".none").innerText(), /no token/);
});

await test("a user sees nobody else's clients", { javaScriptEnabled: false }, async (page) => {
    await signIn(page, "bob", `${manager}/clients`);
    assert.match(await page.locator(".none").innerText(), /no client/);
});

await test("with the keyboard alone", {}, async (page) => {
    await page.goto(manager);
    await page.getByLabel("Username").focus();
    await page.locator("input[name=username]:focus").waitFor();
    await page.keyboard.type("admin");
    await page.keyboard.press("Tab");
    await page.keyboard.type("admin-password");
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
    await page.keyboard.press("Tab");
    assert.equal(await page.locator(":focus").innerText(), "To the content");
    for (let nth = 0; nth < 2; nth += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
    assert.equal(await heading(page), "Tokens");
});

// The longest names and as many scopes as a key can have: one character each, then two. What is read from the right stays in its place.
const long = "Anwendung-zur-Verwaltung-".repeat(5);
const single = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const scopes = [...single, ...Array.from({ length: 129 }, (_, nth) => `${single[Math.floor(nth / 62)]}${single[nth % 62]}`)].join(" ").slice(0, 512).trim();
const seeded = [
    ["client", "add", "--name", long.slice(0, 128), "--org", "مؤسسة الأمثلة", "--scope", scopes],
    ["client", "add", "--name", "تطبيق الأمثلة", "--org", "مؤسسة", "--scope", "read"],
];
for (const words of seeded) gateway.cli(words);

await test("300 scopes are too many, and the page says so", { javaScriptEnabled: false, viewport: { width: 390, height: 844 } }, async (page) => {
    await signIn(page, "admin", `${manager}/clients`);
    await press(page, "Register a client", "link");
    await page.getByLabel("Name").fill("Many");
    await page.getByLabel("Organization").fill("Example");
    const many = Array.from({ length: 300 }, (_, nth) => `scope-${nth}`).join(" ");
    await page.getByLabel("Scope").fill(many);
    await press(page, "Register");
    assert.match(await page.locator("#scope-problem").innerText(), /512/);
    assert.equal(await page.getByLabel("Scope").inputValue(), many);
    await fits(page);
    await shot(page, "manager-300-scopes");
});

await everywhere(async (page, look) => {
    await page.goto(manager);
    await look("manager-login");
    await signIn(page);
    await look("overview");
    for (const part of ["clients", "clients?view=register", "tokens", "clients?q=Anwendung"]) {
        await page.goto(`${manager}/${part}`);
        await look(part.replaceAll(/\W+/g, "-"));
    }
    await press(page, long.slice(0, 128), "link");
    await look("client");
    await Promise.all([page.waitForEvent("load"), page.locator("tbody a").first().click()]);
    await look("key");
});

gateway.stop();
process.exit((await end()) ? 1 : 0);
