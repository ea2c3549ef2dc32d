// What the browser suites share: a browser, a context for each test, screenshots, and the accessibility check.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core")), "utf8");

// 200 % zoom in a window of 1280 × 900 shows what half of it shows. How the pages look does not depend on the database.
const views = process.env.BROWSER_DATABASE ? [] : [
    ["phone", { viewport: { width: 390, height: 844 } }],
    ["desk", { viewport: { width: 1280, height: 900 } }],
    ["zoom", { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 }],
    ["4k", { viewport: { width: 3840, height: 2160 } }],
];

/** A suite whose screenshots go to `shots`, if that is given. */
export async function suite(shots) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
    const results = { passed: 0, failed: 0 };
    const shot = (page, name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`), fullPage: true }) : undefined);
    const own = {
        /** Runs one test in a browser without history, and counts what the browser complains of as a failure. */
        async test(name, options, body) {
            const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
            const page = await context.newPage();
            const complaints = [];
            page.on("console", (message) => {
                // The status of a refused form is not a complaint.
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
                if (shots) await page.screenshot({ path: join(shots, `failed-${name.replaceAll(/\W+/g, "-")}.png`), fullPage: true });
            } finally {
                await context.close();
            }
        },
        shot,
        /** Runs a test in each window, light and dark. It is given a page, and a function that looks at what the page shows. */
        async everywhere(body) {
            for (const [size, view] of views) {
                for (const colorScheme of ["light", "dark"]) {
                    await own.test(`nobody is kept out: ${size}, ${colorScheme}`, { ...view, colorScheme }, (page) =>
                        body(page, async (name) => {
                            // Other windows have the same elements and colours.
                            if (["phone", "desk"].includes(size)) await accessible(page);
                            await fits(page);
                            await shot(page, `look-${size}-${colorScheme}-${name}`);
                        }),
                    );
                }
            }
        },
        async end() {
            await browser.close();
            console.log(`${results.passed} passed, ${results.failed} failed`);
            return results.failed;
        },
    };
    return own;
}

/** Nothing on the page keeps anybody out: WCAG 2.2, levels A and AA. */
export async function accessible(page) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
        globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
    );
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), []);
}

/** Nothing on the page is wider than the window. */
export async function fits(page) {
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(content <= window, `${page.url()} is ${content} wide in a window of ${window}`);
}
