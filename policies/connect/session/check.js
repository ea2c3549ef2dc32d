// Answers a client's page that asks, by "client_id session_state", whether this browser still has the login of that answer.
addEventListener("message", async ({ data, origin, source }) => {
    const parts = typeof data === "string" ? /^(.+) ([\w-]+\.([\w-]+))$/.exec(data) : null;
    if (!source || origin === "null") return;
    if (!parts) {
        source.postMessage("error", origin);
        return;
    }
    const [, client, state, salt] = parts;
    const login = /(?:^|;\s*)__Host-l7otk2s=([^;]*)/.exec(document.cookie)?.[1] ?? "";
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode([client, origin, login, salt].join(" ")));
    const text = btoa(String.fromCharCode(...new Uint8Array(digest))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    source.postMessage(login && [text, salt].join(".") === state ? "unchanged" : "changed", origin);
});
