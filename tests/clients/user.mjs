// The user of the Node clients: a browser with cookies, who signs in, allows what is asked, and signs out.
import assert from "node:assert/strict";

const entities = { "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&" };
const unescape = (text) => text.replaceAll(/&(?:quot|#39|#x27|lt|gt|amp);/g, (entity) => entities[entity]);
const attribute = (tag, name) => unescape(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? "");

/** Prints whether a test passes. */
export async function check(name, body) {
    try {
        await body();
        console.log(`ok - ${name}`);
    } catch (error) {
        console.log(`not ok - ${name}: ${error} ${error.cause ? JSON.stringify(error.cause) : ""}`.replaceAll("\n", " "));
    }
}

export class User {
    #cookies = new Map();
    #credentials;

    constructor(username, password) {
        this.#credentials = { username, password };
    }

    async #open(url, options = {}) {
        const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
        const page = await fetch(url, { ...options, redirect: "manual", headers: { accept: "text/html", cookie } });
        for (const line of page.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            if (/max-age=0/i.test(line)) this.#cookies.delete(name);
            else this.#cookies.set(name, value);
        }
        return page;
    }

    /**
     * Goes from page to page until the browser comes to an address of the client's: then returns it, as a URL, or as the request that posts
     * the answer. `decision`: the button to press instead of those that lead there.
     */
    async go(url, client, decision) {
        let page = await this.#open(url);
        for (let step = 0; step < 10; step += 1) {
            const location = page.headers.get("location");
            if (location) {
                if (location.startsWith(client)) return new URL(location);
                page = await this.#open(new URL(location, url));
                continue;
            }
            const text = await page.text();
            assert.equal(page.status, 200, `${page.status} ${text}`);
            const fields = new URLSearchParams();
            for (const [tag] of text.matchAll(/<input\b[^>]*>/g)) {
                if (attribute(tag, "type") === "hidden") fields.set(attribute(tag, "name"), attribute(tag, "value"));
            }
            const action = attribute(/<form\b[^>]*>/.exec(text)?.[0] ?? "", "action");
            assert.ok(action, `no form: ${text}`);
            if (action.startsWith(client)) return new Request(action, { method: "POST", body: fields });
            const buttons = [...text.matchAll(/<button\b[^>]*>/g)].map(([tag]) => attribute(tag, "value"));
            fields.set("action", buttons.find((value) => value === decision) ?? buttons[0]);
            if (buttons.includes("login")) Object.entries(this.#credentials).forEach(([name, value]) => fields.set(name, value));
            page = await this.#open(new URL(action, url), { method: "POST", body: fields });
        }
        throw new Error(`no way to ${client}`);
    }
}

/** The parameters of an answer, wherever they stand. */
export async function parameters(answer) {
    if (answer instanceof URL) return new URLSearchParams(answer.hash ? answer.hash.slice(1) : answer.search);
    return new URLSearchParams(await answer.clone().text());
}
