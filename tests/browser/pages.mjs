// The test clients, the account page and the start page in a real browser, with scripts and without.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { start } from "./gateway.mjs";
import { press } from "./press.mjs";
import { accessible, fits, suite } from "./suite.mjs";

const { test, shot, everywhere, end } = await suite(process.argv[2]);
const gateway = await start("", "", "sample_data: true\nmonitoring: { listen: \"off\" }\n");
const heading = (page) => page.locator("h1").innerText();

async function signIn(page, name = "sample") {
    await page.getByLabel("Username").fill(name);
    await page.getByLabel("Password").fill(`${name}-password`);
    await press(page, "Sign in");
}

/** The section of one test client. */
const part = (page, id) => page.locator(`#${id}`);
const within = (page, id, name) =>
    Promise.all([page.waitForEvent("load"), part(page, id).getByRole("button", { name, exact: true }).click()]);

for (const [scripts, javaScriptEnabled] of [["with scripts", true], ["without scripts", false]]) {
    await test(`each grant, ${scripts}`, { javaScriptEnabled }, async (page) => {
        await page.goto(`${gateway.origin}/`);
        assert.equal(await heading(page), "The gateway is running");
        await shot(page, `start-${javaScriptEnabled}`);
        await press(page, "Test clients", "link");

        await within(page, "authcode", "Initiate");
        assert.equal(await heading(page), "Sign in");
        await signIn(page);
        await press(page, "Allow");
        assert.equal(await heading(page), "Test clients");
        await within(page, "authcode", "Call API");
        assert.match(await part(page, "authcode").innerText(), /"resource_owner":"sample"/);
        await within(page, "authcode", "Refresh");
        assert.match(await part(page, "authcode").innerText(), /grant_type=refresh_token[^]*HTTP 200/);
        await shot(page, `test-clients-${javaScriptEnabled}`);

        await within(page, "implicit", "Initiate");
        if (!javaScriptEnabled) {
            assert.equal(await heading(page), "The token has arrived");
            await shot(page, "test-client-fragment");
            await page.getByLabel("Address of this page").fill(page.url());
            await press(page, "Go on");
        } else {
            await page.waitForURL(/\/oauth\/v2\/client#implicit$/);
        }
        assert.equal(await heading(page), "Test clients");
        await within(page, "implicit", "Call API");
        assert.match(await part(page, "implicit").innerText(), /"resource_owner":"sample"/);

        await part(page, "password").getByLabel("Password").fill("sample-password");
        await within(page, "password", "Initiate");
        await within(page, "password", "Call API");
        assert.match(await part(page, "password").innerText(), /"resource_owner":"sample"/);

        await within(page, "credentials", "Initiate");
        await within(page, "credentials", "Call API");
        assert.match(await part(page, "credentials").innerText(), /"resource_owner":"OAuth2Client"/);
        await within(page, "credentials", "Clear session");
        assert.match(await part(page, "credentials").innerText(), /No token yet/);
    });
}

for (const [scripts, javaScriptEnabled] of [["with scripts", true], ["without scripts", false]]) {
    for (const client of ["bcp", "icp"]) {
        await test(`OpenID Connect, ${client}, ${scripts}`, { javaScriptEnabled }, async (page) => {
            await page.goto(`${gateway.origin}/oauth/v2/client/${client}`);
            await within(page, client, "Send");
            await signIn(page);
            assert.equal(await heading(page), "Allow access?");
            await press(page, "Allow");
            if (client === "icp" && !javaScriptEnabled) {
                await page.getByLabel("Address of this page").fill(page.url());
                await press(page, "Go on");
            } else if (client === "icp") {
                await page.waitForURL(/\/oauth\/v2\/client\/icp$/);
            }
            assert.equal(await heading(page), "OpenID Connect test client");
            assert.match(await part(page, client).innerText(), /Verified: a published key/);
            await shot(page, `openid-${client}-${javaScriptEnabled}`);
            await within(page, client, "Claims");
            assert.match(await part(page, client).innerText(), /userinfo[^]*HTTP 200/);
            await within(page, client, "Resources");
            assert.match(await part(page, client).innerText(), /"resource_owner":"sample"/);
            await within(page, client, "Clear session");
            assert.match(await part(page, client).innerText(), /No token yet/);
        });
    }
}

await test("a user who denies comes back to the test client", { javaScriptEnabled: false }, async (page) => {
    await page.goto(`${gateway.origin}/oauth/v2/client`);
    await within(page, "authcode", "Initiate");
    await signIn(page);
    await press(page, "Deny");
    assert.match(await part(page, "authcode").innerText(), /error=access_denied/);
});

await test("the account: an application and another login end", { javaScriptEnabled: false }, async (page, context) => {
    const other = await context.browser().newContext({ ignoreHTTPSErrors: true });
    const elsewhere = await other.newPage();
    await elsewhere.goto(`${gateway.origin}/oauth/account`);
    await signIn(elsewhere, "sample");
    await page.goto(`${gateway.origin}/oauth/account`);
    await shot(page, "account-login");
    await signIn(page, "sample");
    assert.equal(await heading(page), "My account");
    await shot(page, "account");
    for (;;) {
        const applications = page.getByRole("button", { name: /End access/ });
        if ((await applications.count()) === 0) break;
        await Promise.all([page.waitForEvent("load"), applications.first().click()]);
    }
    assert.match(await page.locator(".none").innerText(), /No application/);
    for (;;) {
        const rows = page.locator("tbody tr").filter({ hasNotText: "this browser" });
        if ((await rows.count()) === 0) break;
        await Promise.all([page.waitForEvent("load"), rows.first().getByRole("button").click()]);
    }
    await elsewhere.reload();
    assert.equal(await elsewhere.getByRole("button", { name: "Sign in" }).count(), 1);
    await press(page, "Sign out");
    assert.equal(await page.getByRole("button", { name: "Sign in" }).count(), 1);
    await other.close();
});

await test("README's first five minutes", {}, async (page) => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const words = (text) => assert.ok(readme.replaceAll(/\s+/g, " ").includes(text), `README does not say: ${text}`);
    await page.goto(`${gateway.origin}/`);
    words("Follow *Test clients*");
    await press(page, "Test clients", "link");
    words('press *Initiate* under "Authorization code"');
    await within(page, "authcode", "Initiate");
    words("sign in as `sample`, and allow the access");
    await signIn(page);
    await press(page, "Allow");
    assert.match(await part(page, "authcode").innerText(), /Sent[^]*grant_type=authorization_code[^]*Came back[^]*HTTP 200/);
    words("*Call API* shows the API's answer");
    await within(page, "authcode", "Call API");
    assert.match(await part(page, "authcode").innerText(), /"resource_owner":"sample"/);
    words("OAuth Manager (https://localhost:8443/oauth/manager) `sample` sees the tokens");
    await press(page, "OAuth Manager", "link");
    await signIn(page);
    await press(page, "Tokens", "link");
    assert.match(await page.locator("tbody").innerText(), /sample[^]*OAuth2Client/);
    await press(page, "Sign out");
    words("`portcullis user add admin` makes a user who sees all clients, and the state of the gateway");
    await signIn(page, "admin");
    assert.match(await page.locator(".facts").innerText(), /running since/);
    await press(page, "Clients", "link");
    assert.match(await page.locator("tbody").innerText(), /OAuth2Client/);
    await shot(page, "readme");
});

for (const width of [390, 1280]) {
    await test(`start and account in Arabic, ${width} wide`, { locale: "ar", viewport: { width, height: 844 } }, async (page) => {
        const look = async (name, title) => {
            assert.equal(await heading(page), title);
            assert.equal(await page.evaluate(() => document.dir), "rtl");
            await accessible(page);
            await fits(page);
            await shot(page, `arabic-${width}-${name}`);
        };
        await page.goto(`${gateway.origin}/`);
        await look("start", "البوابة تعمل");
        await press(page, "حسابي", "link");
        await look("sign-in", "حسابي");
        await page.getByLabel("اسم المستخدم").fill("sample");
        await page.getByLabel("كلمة المرور").fill("sample-password");
        await press(page, "تسجيل الدخول");
        await look("account", "حسابي");
        // The day stands before the hour, although the page begins at the right.
        const moment = page.locator("td > span").first();
        assert.match(await moment.innerText(), /^\d{4}-\d\d-\d\d \d\d:\d\d$/);
        const [day, hour] = await moment.evaluate(({ firstChild }) =>
            [[0, 10], [11, 16]].map(([from, to]) => {
                const range = document.createRange();
                range.setStart(firstChild, from);
                range.setEnd(firstChild, to);
                return range.getBoundingClientRect().left;
            }),
        );
        assert.ok(day < hour, `${day} ${hour}`);
        await press(page, "تسجيل الخروج");
        await look("signed-out", "حسابي");
    });
}

await everywhere(async (page, look) => {
    await page.goto(`${gateway.origin}/`);
    await look("start");
    await page.goto(`${gateway.origin}/oauth/v2/client`);
    await within(page, "credentials", "Initiate");
    await look("test-clients");
    await within(page, "authcode", "Initiate");
    await look("login");
    await signIn(page);
    await page.getByRole("button", { name: "Allow" }).waitFor();
    await look("consent");
    await press(page, "Allow");
    await page.goto(`${gateway.origin}/oauth/account`);
    await look("account");
    await page.goto(`${gateway.origin}/oauth/manager`);
    await signIn(page, "admin");
    await look("manager-state");
    await page.goto(`${gateway.origin}/oauth/manager?view=endpoints`);
    await look("manager-endpoints");
});

gateway.stop();
process.exit((await end()) ? 1 : 0);
