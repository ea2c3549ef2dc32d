// The manager, the test clients and the account page in German and Arabic, in a real browser: nothing scrolls sideways, nobody is kept out, and
// Arabic begins at the right.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";
import { accessible, fits, suite } from "./suite.mjs";

const { test, shot, end } = await suite(process.argv[2]);
const gateway = await start("", "", "sample_data: true\nmonitoring: { listen: \"off\" }\n");
const manager = `${gateway.origin}/oauth/manager`;

/** All texts of a language, as a page uses them. */
const texts = (language) =>
    Object.assign(
        {},
        ...["authorization", "manager", "test_clients"].map((folder) =>
            JSON.parse(readFileSync(new URL(`../../fragments/${folder}/texts/${language}.json`, import.meta.url), "utf8")),
        ),
    );
const english = texts("en");
const without = (phrase) => phrase.split(/\{\w+\}/).map((part) => part.trim()).filter((part) => part.length > 3);
gateway.cli(["client", "add", "--name", "تطبيق الأمثلة", "--org", "مؤسسة", "--client_id", "5eed-1", "--scope", "read write", "--callback", "https://app.example/cb"]);

const languages = process.argv[2] ? ["en", "de", "ar"] : ["de", "ar"];
for (const language of languages) {
    const own = texts(language);
    // Sentences that are English, and only English: none of them may be on the page. Services are called "… Authorization Server …".
    const foreign = Object.entries(english)
        .filter(([name, text]) => typeof text === "string" && name !== "server_name" && text !== own[name])
        .flatMap(([, text]) => without(text))
        .filter((part) => part.includes(" ") && !Object.values(own).some((text) => typeof text === "string" && text.includes(part)));
    for (const width of [390, 1280]) {
        for (const colorScheme of width === 390 && process.argv[2] ? ["light", "dark"] : ["light"]) {
            await test(`pages in ${language}, ${width} wide, ${colorScheme}`, { locale: language, colorScheme, viewport: { width, height: 844 } }, async (page) => {
                const look = async (name) => {
                    assert.equal(await page.evaluate(() => document.documentElement.lang), language);
                    assert.equal(await page.evaluate(() => document.dir), own.direction);
                    const shown = await page.locator("body").innerText();
                    if (language !== "en") assert.deepEqual(foreign.filter((part) => shown.includes(part)), []);
                    await accessible(page);
                    await fits(page);
                    await shot(page, `language-${language}-${width}-${colorScheme}-${name}`);
                };
                const signIn = async (name) => {
                    await page.getByLabel(own.username).fill(name);
                    await page.getByLabel(own.password).fill(`${name}-password`);
                    await press(page, own.sign_in);
                };
                const within = (id, action) =>
                    Promise.all([page.waitForEvent("load"), page.locator(`#${id} button[value=${action}]`).click()]);

                await page.goto(`${gateway.origin}/`);
                await look("start");
                await page.goto(`${gateway.origin}/oauth/v2/client`);
                await within("credentials", "initiate");
                await within("credentials", "call");
                await look("test-clients");
                await page.goto(`${gateway.origin}/oauth/v2/client/bcp`);
                await within("bcp", "initiate");
                await signIn("sample");
                await Promise.all([page.waitForURL(/\/oauth\/v2\/client\/bcp$/), page.locator("#grant").click()]);
                await look("openid");
                await page.goto(`${gateway.origin}/oauth/account`);
                await look("account");

                await page.goto(manager);
                await look("manager-login");
                await signIn("admin");
                await look("overview");
                await page.goto(`${manager}?view=endpoints`);
                await look("endpoints");
                await page.goto(`${manager}/clients?view=register`);
                await page.locator("form.wide").evaluate((form) => (form.noValidate = true));
                await page.locator("#callback").fill("http://app.example/cb");
                await page.locator("#client_custom").fill("{\"a\": }");
                await Promise.all([page.waitForEvent("load"), page.locator("button[value=register]").click()]);
                await look("register");
                await page.goto(`${manager}/clients`);
                await look("clients");
                await press(page, "تطبيق الأمثلة", "link");
                await look("client");
                await press(page, own.manager_delete, "link");
                await look("delete");
                await page.goto(`${manager}/clients?client_key=5eed-1`);
                await look("key");
                // The key begins with a digit, and is read from the left all the same.
                const [first, last] = await page.locator("h1 bdi").evaluate(({ firstChild }) =>
                    [0, 5].map((from) => {
                        const range = document.createRange();
                        range.setStart(firstChild, from);
                        range.setEnd(firstChild, from + 1);
                        return range.getBoundingClientRect().left;
                    }),
                );
                assert.ok(first < last, `${first} ${last}`);
                await page.goto(`${manager}/clients?client_key=5eed-1&view=secret`);
                await Promise.all([page.waitForEvent("load"), page.locator("button[value=key-secret]").click()]);
                assert.equal(await page.getByRole("button", { name: own.manager_copy }).count(), 2);
                await look("secret");
                await page.goto(`${manager}/tokens`);
                await look("tokens");
            });
        }
    }
}

await test("a language that was asked for stays", { locale: "de" }, async (page) => {
    const own = texts("ar");
    await page.goto(`${gateway.origin}/?ui_locales=ar`);
    for (const name of [own.manager_name]) await press(page, name, "link");
    await page.getByLabel(own.username).fill("admin");
    await page.getByLabel(own.password).fill("admin-password");
    await press(page, own.sign_in);
    for (const name of [own.manager_clients, "تطبيق الأمثلة", own.manager_edit]) await press(page, name, "link");
    await press(page, own.manager_save);
    assert.equal(await page.locator(".message").innerText(), own.manager_saved);
    await press(page, own.manager_tokens, "link");
    await press(page, own.manager_search);
    assert.equal(await page.locator("h1").innerText(), own.manager_tokens);
    await press(page, own.account_title, "link");
    assert.equal(await page.locator("h1").innerText(), own.account_title);
    await page.goto(`${gateway.origin}/oauth/v2/client?ui_locales=ar`);
    await Promise.all([page.waitForEvent("load"), page.locator("#authcode button[value=initiate]").click()]);
    assert.equal(await page.locator("h1").innerText(), own.login_title);
    await page.getByLabel(own.username).fill("sample");
    await page.getByLabel(own.password).fill("sample-password");
    await press(page, own.sign_in);
    await press(page, own.allow);
    assert.equal(await page.locator("h1").innerText(), own.test_title);
});

gateway.stop();
process.exit((await end()) ? 1 : 0);
